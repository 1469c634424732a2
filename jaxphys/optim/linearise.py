"""A batch of network outputs, linearised at the parameters.

From `outputs(params, inputs) -> (d,)` for one sample and a batch of b inputs come the
values, Jacobian–vector products both ways, and the m × P Jacobian J of all m = b·d
outputs: kept as factors x ⊗ δ of the network's dense layers, so that the sample-space
Gram matrix K = J Jᵀ costs m² + activations in memory and J itself is never formed.
What is no dense layer joins as plain columns of J, in blocks where those are large.
"""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxphys import devices, linalg, trees
from jaxphys._jaxpr import layers
from jaxphys.checks import check_function, checked
from jaxphys.optim import routes
from jaxphys.optim.columns import PlainLeaves
from jaxphys.optim.factors import Block, Factors, dense, gram, joined, pull_back
from jaxphys.precision import always_exact, exact
from jaxphys.types import Array, PyTree

__all__ = ["Linearisation", "linearise"]


@checked(outputs=check_function)
def linearise(
    outputs: Callable[[PyTree, PyTree], Array],
    params: PyTree,
    inputs: PyTree,
    *,
    block_bytes: int = routes.BLOCK_BYTES,
) -> "Linearisation":
    """Linearise a batch of outputs in the parameters; nothing is computed unasked.

    Args:
      outputs: `outputs(params, inputs) -> (d,)`, for one sample: a network, or a
        simulator after a network.
      params: θ, a pytree of real arrays of one dtype, P entries in all.
      inputs: a pytree of arrays with leading axis b.
      block_bytes: columns of J that are no dense layer's are formed in pieces of this
        many bytes at most.

    Returns:
      A `Linearisation`.

    Raises:
      ValueError: if `outputs` does not return one real vector for one sample, if the
        parameters have several dtypes, or if the inputs have no common batch axis.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> outputs = lambda params, x: jnp.tanh(x @ params)
      >>> batch = linearise(outputs, jnp.ones((2, 3)), jnp.eye(2))
      >>> batch.values.shape, batch.jacobian().shape, batch.gram().shape
      ((2, 3), (6, 6), (6, 6))
    """
    outputs = exact(outputs)
    size = _batch_size(params, inputs)
    sample = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(jnp.shape(x)[1:], jnp.result_type(x)), inputs
    )
    _check_outputs(jax.eval_shape(outputs, params, sample))
    trace = layers.trace(outputs, params, sample)
    leaves, tree = jax.tree.flatten(params)
    apart = _cheaper_apart(trace, leaves, size, block_bytes)
    if apart:
        trace = layers.trace(outputs, params, sample, apart)
    leaves = [jnp.asarray(leaf) for leaf in leaves]
    probes = [jnp.zeros((size, *site.shape), leaves[0].dtype) for site in trace.sites]
    probed = _Probed(trace, leaves, probes, inputs)
    pull: Any
    if trace.ruled:
        # A function's own derivatives are there to be cheaper, or other, than JAX's,
        # which are those of the probed function: it is kept for the layers' δ alone.
        values, pull = jax.vjp(_batched(outputs, inputs), params)

        def backward(w: Array) -> PyTree:
            return pull(w)[0]

    else:
        values, pull, _ = probed.forward

        def backward(w: Array) -> PyTree:
            return jax.tree.unflatten(tree, pull(w)[0])

    plain = PlainLeaves(outputs, leaves, tree, inputs, trace.closed, block_bytes)
    return Linearisation(values, params, plain, probed, backward, block_bytes)


@dataclasses.dataclass(frozen=True, eq=False)
class Linearisation:
    """A batch of outputs y(θ) at θ, and what their derivative can do.

    It is made by `linearise`. What is expensive is traced when it is first asked for,
    and kept: several methods then share one forward pass and one set of factors.

    Attributes:
      values: y, shape (b, d).
    """

    values: Array
    _params: PyTree
    _plain: PlainLeaves
    _probed: "_Probed"
    _backward: Callable[[Array], PyTree]
    _block_bytes: int

    @always_exact
    def vjp(self, cotangents: Array) -> PyTree:
        """Jᵀ w, shaped like the parameters, for w of shape (b, d): one reverse pass."""
        return self._backward(self._like_values(cotangents))

    @always_exact
    def jvp(self, tangent: PyTree) -> Array:
        """J v, shape (b, d), for v shaped like the parameters, by one forward pass.

        Of a function that has no forward derivatives, as an integrator with an adjoint
        of its own, it comes from the factors of J.
        """
        if self._has_forward:
            return jax.jvp(self._outputs, (self._params,), (tangent,))[1]
        factors = self.factors()
        back = jax.linear_transpose(lambda w: pull_back(factors, w), self.values)
        return back(tangent)[0]

    @always_exact
    def bend(self, tangent: PyTree) -> Array:
        """∂²y(θ + t v)/∂t² at t = 0, shape (b, d), by forward derivatives alone."""

        def slope(params: PyTree) -> Array:
            return jax.jvp(self._outputs, (params,), (tangent,))[1]

        return jax.jvp(slope, (self._params,), (tangent,))[1]

    def factors(self) -> Factors:
        """The Jacobian layer by layer, by d reverse passes; computed once."""
        return self._factors

    def ways(self) -> dict[str, str]:
        """How the columns of J come about, leaf by leaf.

        Chosen from sizes alone; nothing is computed. "layer": as factors x ⊗ δ of a
        dense layer. "along": with sensitivities that go along a loop, as a policy's in
        a rollout. "forward" and "reverse": by a pass for each entry of the leaf, or for
        each output. "pieces": one of these, again and again, as the columns of all
        entries together are larger than `block_bytes`.
        """
        names = [
            jax.tree_util.keystr(path)
            for path, _ in jax.tree_util.tree_leaves_with_path(self._params)
        ]
        found = dict.fromkeys(range(len(names)), "layer")
        whole, pieced = self._divided
        found |= dict.fromkeys(pieced, "pieces") | self._plain.ways(whole)
        return {name: found[index] for index, name in enumerate(names)}

    @always_exact
    def responses(self, cotangents: Array) -> list[Block | None]:
        """Leaf by leaf the factors of each sample's Jᵀ w as if it were one output.

        It takes one reverse pass. Leaves that are no dense layer's have None.
        """
        _, pull, _ = self._probed.forward
        deltas = pull(self._like_values(cotangents))[1]
        return self._probed.blocks([delta[None] for delta in deltas], 1)

    @always_exact
    def jacobian(self) -> Array:
        """The dense Jacobian, shape (m, P); columns in the order of `trees.ravel`."""
        return dense(self.factors())

    @always_exact
    def gram(self, dtype: DTypeLike | None = None, route: str = "auto") -> Array:
        """K = J Jᵀ, shape (m, m).

        Args:
          dtype: in which products are taken; by default the parameters'.
          route: "auto" or "layers", from the factors; "dense" forms J, to compare.
        """
        if route == "dense":
            jacobian = self.jacobian().astype(dtype or self._dtype)
            return linalg.self_product(jacobian)
        if route not in ("auto", "layers"):
            raise ValueError(f"unknown route {route!r}; known: auto, layers, dense.")
        return gram(self.factors(), dtype)

    @always_exact
    def normal(
        self, dtype: DTypeLike | None = None, root: linalg.Blocks | None = None
    ) -> Array:
        """N = Jᵀ J, shape (P, P), summed over blocks of samples.

        Args:
          dtype: in which products are taken; by default the parameters'.
          root: of the batch, symmetric: S J in place of J.
        """
        batch, d = self.values.shape
        dtype = dtype or self._dtype
        plain = self._plain
        outputs, leaves, inputs = plain.outputs, plain.leaves, plain.inputs
        size = sum(leaf.size for leaf in leaves)
        limit = max(self._block_bytes // (d * size * jnp.dtype(dtype).itemsize), 1)
        # Each device has its part of a block.
        parts = devices.count() if batch % devices.count() == 0 else 1
        each = batch // parts
        largest = max(n for n in range(1, each + 1) if each % n == 0 and n <= limit)
        chunk = parts * largest

        def product(part: Linearisation, root: linalg.Blocks | None) -> Array:
            rows = part.jacobian().astype(dtype)
            if root is not None:
                by_sample = rows.reshape(-1, d, size)
                rows = root.apply(by_sample).astype(dtype).reshape(rows.shape)
            return linalg.tall_product(rows)

        if chunk == batch:
            return devices.whole(product(self, root))

        # The rows of J of a block are linearised anew: those of all would not fit.
        def add(total: Array, part: tuple[PyTree, Any]) -> tuple[Array, None]:
            some_inputs, some_root = part
            some = linearise(
                outputs, self._params, some_inputs, block_bytes=self._block_bytes
            )
            return total + product(some, some_root), None

        split = jax.tree.map(
            lambda x: x.reshape(batch // chunk, chunk, *x.shape[1:]), (inputs, root)
        )
        split = devices.split(split, axis=1)
        total = jax.lax.scan(add, jnp.zeros((size, size), dtype), split)[0]
        return devices.whole(total)

    @always_exact
    def product(self, dtype: DTypeLike | None = None) -> Callable[[Array], Array]:
        """`w ↦ K w` for w of shape (m,), one pass forward and one back for each w.

        Neither J nor K is formed.

        Args:
          dtype: in which both passes are taken; by default the parameters'.
        """
        inputs = self._plain.inputs
        params, inputs = (trees.cast(x, dtype) for x in (self._params, inputs))
        outputs = _batched(self._plain.outputs, inputs)

        def flat(params: PyTree) -> Array:
            return outputs(params).reshape(-1)

        at, forward = jax.linearize(flat, params)
        back = jax.linear_transpose(forward, params)
        return lambda w: forward(back(w.astype(at.dtype))[0]).astype(w.dtype)

    @property
    def _dtype(self) -> jnp.dtype:
        return self._plain.leaves[0].dtype

    def _outputs(self, params: PyTree) -> Array:
        return _batched(self._plain.outputs, self._plain.inputs)(params)

    def _like_values(self, cotangents: Array) -> Array:
        return cotangents.reshape(self.values.shape).astype(self.values.dtype)

    @functools.cached_property
    def _has_forward(self) -> bool:
        """Whether there are forward derivatives; a custom_vjp has none."""
        sample = jax.tree.map(lambda x: x[0], self._plain.inputs)

        def one(params: PyTree) -> Array:
            return self._plain.outputs(params, sample)

        def slope(tangent: PyTree) -> Array:
            return jax.jvp(one, (self._params,), (tangent,))[1]

        # JAX finds out late, when a tangent is batched or compiled.
        several = jax.tree.map(lambda x: jnp.stack([x, x]), self._params)
        try:
            jax.eval_shape(jax.vmap(slope), several)
        except TypeError:
            return False
        return True

    @functools.cached_property
    def _factors(self) -> Factors:
        batch, d = self.values.shape
        # The forward pass is kept for others, so it must not be traced inside the vmap.
        _, pull, _ = self._probed.forward
        # One reverse pass an output serves all samples at once, as they do not mix.
        deltas = jax.vmap(
            lambda e: pull(jnp.broadcast_to(e, (batch, d)).astype(self.values.dtype))[1]
        )(jnp.eye(d))
        blocks = self._probed.blocks(deltas, d)
        whole, pieced = self._divided
        for index, block in self._plain.blocks(whole).items():
            blocks[index] = block
        fold = self._plain.make_fold(pieced, self._longest_piece)
        return Factors(blocks, fold, (batch, d), self._params)

    @property
    def _longest_piece(self) -> int:
        """How many columns of J fit into `block_bytes`."""
        itemsize = jnp.dtype(self._dtype).itemsize
        return max(self._block_bytes // (self.values.size * itemsize), 1)

    @property
    def _divided(self) -> tuple[list[int], list[int]]:
        """The leaves of no dense layer: whose columns fit, and whose do not."""
        sizes = {i: self._plain.leaves[i].size for i in self._probed.trace.others}
        fits = {index: size <= self._longest_piece for index, size in sizes.items()}
        return [i for i in sizes if fits[i]], [i for i in sizes if not fits[i]]


@dataclasses.dataclass(frozen=True, eq=False)
class _Probed:
    """A batch's outputs by its parameters, and by a probe at each dense layer.

    A probe is a zero that is added to a layer's z = x W: the derivative by it is δ, and
    the x come along as the function is evaluated.
    """

    trace: layers.Trace
    leaves: list[Array]
    probes: list[Array]
    inputs: PyTree

    @functools.cached_property
    def forward(self) -> tuple[Array, Any, list[Array]]:
        """The values, the way back to leaves and probes, and the x of each layer."""

        def run(leaves: list[Array], probes: list[Array]):
            return jax.vmap(self.trace.run, in_axes=(None, 0, 0))(
                leaves, self.inputs, probes
            )

        return jax.vjp(run, self.leaves, self.probes, has_aux=True)

    def blocks(self, deltas: list[Array], num_outputs: int) -> list[Block | None]:
        """The dense layers' factors, from δ of shape (num_outputs, b, *z.shape)."""
        blocks: list[Block | None] = [None] * len(self.leaves)
        operands = self.forward[2]
        for site, x, delta in zip(self.trace.sites, operands, deltas, strict=True):
            make = functools.partial(layers.factors, site)
            block = Block(*jax.vmap(make)(x, jnp.moveaxis(delta, 0, 1)))
            blocks[site.leaf] = joined(blocks[site.leaf], block, num_outputs)
        return blocks


def _cheaper_apart(
    trace: layers.Trace, leaves: list[Array], batch: int, block_bytes: int
) -> list[int]:
    """Leaves whose δ are too large to keep, and larger than their columns of J.

    So are those of a convolution over many nodes with as many outputs: a small kernel
    with a δ for every pair of an output and a node.
    """
    numbers: dict[int, int] = {}
    for site in trace.sites:
        numbers[site.leaf] = numbers.get(site.leaf, 0) + math.prod(site.shape)
    outputs = batch * trace.closed.jaxpr.outvars[0].aval.size
    return [
        index
        for index, count in numbers.items()
        if outputs * count * leaves[index].dtype.itemsize > block_bytes
        and count > leaves[index].size
    ]


def _batched(outputs: Callable, inputs: PyTree) -> Callable[[PyTree], Array]:
    """params ↦ the outputs of all samples, (b, d)."""
    return lambda params: jax.vmap(outputs, in_axes=(None, 0))(params, inputs)


def _batch_size(params: PyTree, inputs: PyTree) -> int:
    """b, after checking what can be checked of parameters and inputs."""
    trees.check_one_dtype(params)
    sizes = {jnp.shape(leaf)[:1] for leaf in jax.tree.leaves(inputs)}
    if len(sizes) != 1 or sizes == {()}:
        raise ValueError(
            "linearise got inputs whose leading axes are "
            f"{sorted(sizes)}; expected one batch axis of equal length on every leaf."
        )
    return sizes.pop()[0]


def _check_outputs(result: Any) -> None:
    """A ValueError where one sample's outputs are not one real vector."""
    if not hasattr(result, "shape") or len(result.shape) != 1:
        got = jax.tree.map(lambda x: x.shape, result)
        raise ValueError(
            f"outputs(params, inputs) gave shape {got} for one sample; expected one "
            "vector (d,). It is called without a batch axis: linearise batches it."
        )
    if not jnp.issubdtype(result.dtype, jnp.floating):
        raise ValueError(
            f"outputs(params, inputs) gave dtype {result.dtype}; expected a real one. "
            "Stack the real and imaginary parts of complex outputs."
        )
