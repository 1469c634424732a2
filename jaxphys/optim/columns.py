"""Columns of a Jacobian whose parameters are no dense layer's: formed, maybe in pieces.

For a convolution's kernel, a weight in a scan, or a scalar, ∂y/∂leaf is taken by JAX's
own derivatives, sample by sample. A leaf with so many entries that its columns would
not fit is cut into pieces, whose columns are made one after another.

There are three ways. A leaf with fewer entries than there are outputs is pushed forward
entry by entry; the others take one reverse pass an output, together. Of weights that
act at every step of a loop, as a policy does in a rollout, the columns come of one pass
through the loop with their sensitivities (`jaxphys/_jaxpr/plans.py`), where
that has fewer operations: it takes as many reverse passes through one step as a state
has entries, whatever the horizon and the number of outputs.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxphys._jaxpr import plans, sensitivities, walk
from jaxphys.optim.factors import Block
from jaxphys.types import Array, PyTree

__all__ = ["PlainLeaves"]


class PlainLeaves(NamedTuple):
    """A function of parameter leaves, for derivatives by some of them.

    Attributes:
      outputs: `outputs(params, inputs) -> (d,)`, one sample.
      leaves, tree: the parameters, flattened.
      inputs: of the batch, with leading axis b.
      closed: the jaxpr of one sample's outputs, of leaves and inputs.
      block_bytes: what the tangents that are pushed forward together may take.
    """

    outputs: Callable[[PyTree, PyTree], Array]
    leaves: list[Array]
    tree: Any
    inputs: PyTree
    closed: Any
    block_bytes: int

    def blocks(self, indices: list[int]) -> dict[int, Block]:
        """The columns of these leaves, whole.

        Those that need reverse passes share them: one compilation for all.
        """
        plan = self._plan(indices)
        if plan is not None:
            return self._along(indices, plan)
        blocks, together = {}, []
        for index in indices:
            run, leaf = self._of_one(index), self.leaves[index]
            if _better_forward(run, leaf, self.inputs):
                blocks[index] = self._forward(run, leaf)
            else:
                together.append(index)
        if together:
            blocks |= self._reverse(together)
        return blocks

    def ways(self, indices: list[int]) -> dict[int, str]:
        """How the columns of each leaf are made: "along", "forward" or "reverse"."""
        if self._plan(indices) is not None:
            return dict.fromkeys(indices, "along")
        found = {}
        for index in indices:
            run, leaf = self._of_one(index), self.leaves[index]
            better = _better_forward(run, leaf, self.inputs)
            found[index] = "forward" if better else "reverse"
        return found

    def _plan(self, indices: list[int]) -> plans.Plan | None:
        """How these leaves' sensitivities go along the loops that they act in.

        None where there is no such loop, or where passes through all of it are cheaper.
        """
        if not indices:
            return None
        moving = self._moving(indices)
        plan = plans.plan(self.closed, moving)
        if plan is None:
            return None
        size = sum(self.leaves[index].size for index in indices)
        passes = min(size, self.closed.jaxpr.outvars[0].aval.size)
        whole = passes * plans.reverse_cost(plan)
        return plan if plan.cost < whole else None

    def _moving(self, indices: list[int]) -> list[bool]:
        count = len(self.closed.jaxpr.invars)
        return [number in indices for number in range(count)]

    def _along(self, indices: list[int], plan: plans.Plan) -> dict[int, Block]:
        """The columns of these leaves, in one pass with their sensitivities."""
        moving = self._moving(indices)
        size = sum(self.leaves[index].size for index in indices)

        def one(sample: PyTree) -> Array:
            inputs = [*self.leaves, *jax.tree.leaves(sample)]
            # A loop that depends on the leaves may still not reach the outputs.
            (values,), (rows,) = sensitivities.jacobian(plan, inputs, moving)
            return (
                jnp.zeros((values.size, size), values.dtype) if rows is None else rows
            )

        rows, blocks, begin = jax.vmap(one)(self.inputs), {}, 0
        for index in sorted(indices):
            end = begin + self.leaves[index].size
            blocks[index] = Block(None, rows[:, :, None, begin:end])
            begin = end
        return blocks

    def make_fold(self, indices: list[int], length: int) -> Callable:
        """`Factors.fold_pieces` of these leaves, `length` entries at a time."""

        def fold(body: Callable, carry: Any) -> Any:
            for index in indices:
                carry = self._fold_one(index, length, body, carry)
            return carry

        return fold

    def _run(self, replaced: dict[int, Array], sample: PyTree) -> Array:
        """The outputs of one sample, with other values of some leaves."""
        new = [
            replaced.get(index, leaf).reshape(leaf.shape)
            for index, leaf in enumerate(self.leaves)
        ]
        return self.outputs(jax.tree.unflatten(self.tree, new), sample)

    def _of_one(self, index: int) -> Callable[[Array, PyTree], Array]:
        return lambda leaf, sample: self._run({index: leaf}, sample)

    def _forward(self, run: Callable, leaf: Array) -> Block:
        """The columns of a leaf by tangents, as many at once as there is memory for."""
        batch = jax.tree.leaves(self.inputs)[0].shape[0]
        together = self.block_bytes // (batch * _largest_bytes(self.closed.jaxpr))
        if together >= leaf.size:
            return _columns(jax.jacfwd, run, leaf, self.inputs)
        whole = jax.vmap(run, in_axes=(None, 0))
        _, push = jax.linearize(lambda leaf: whole(leaf, self.inputs), leaf)
        tangents = jnp.eye(leaf.size, dtype=leaf.dtype).reshape(-1, *leaf.shape)
        rows = jax.lax.map(push, tangents, batch_size=max(together, 1))
        return _plain(jnp.moveaxis(rows, 0, -1), leaf.size)

    def _reverse(self, indices: list[int]) -> dict[int, Block]:
        def run(parts: list[Array], sample: PyTree) -> Array:
            return self._run(dict(zip(indices, parts, strict=True)), sample)

        parts = [self.leaves[index] for index in indices]
        jacobians = jax.vmap(jax.jacrev(run), in_axes=(None, 0))(parts, self.inputs)
        return {
            index: _plain(jacobian, self.leaves[index].size)
            for index, jacobian in zip(indices, jacobians, strict=True)
        }

    def _fold_one(self, index: int, length: int, body: Callable, carry: Any) -> Any:
        flat = self.leaves[index].reshape(-1)

        def piece(carry: Any, start: Array | int, length: int) -> Any:
            def run(part: Array, sample: PyTree) -> Array:
                whole = jax.lax.dynamic_update_slice(flat, part, (start,))
                return self._run({index: whole}, sample)

            part = jax.lax.dynamic_slice(flat, (start,), (length,))
            forward = _better_forward(run, part, self.inputs)
            mode = jax.jacfwd if forward else jax.jacrev
            return body(carry, index, start, _columns(mode, run, part, self.inputs))

        def one(number: Array, carry: Any) -> Any:
            return piece(carry, number * length, length)

        # Pieces of one length are one compiled body; what is left over is another.
        whole, rest = divmod(flat.size, length)
        carry = jax.lax.fori_loop(0, whole, one, carry)
        return piece(carry, whole * length, rest) if rest else carry


def _largest_bytes(jaxpr: Any) -> int:
    """The size of the largest value in a jaxpr, and in those that it calls."""
    sizes = [1]
    for eqn in jaxpr.eqns:
        sizes += [
            var.aval.size * var.aval.dtype.itemsize
            for var in eqn.outvars
            if hasattr(var.aval, "size")
        ]
        sizes += [_largest_bytes(inner) for inner in walk.nested(eqn)]
    return max(sizes)


def _better_forward(run: Callable, leaf: Array, inputs: PyTree) -> bool:
    """Whether a tangent for each entry of the leaf is fewer than a cotangent for each
    output, and the function has forward derivatives at all (custom_vjp has none)."""
    sample = jax.tree.map(lambda x: x[0], inputs)
    if leaf.size >= jax.eval_shape(run, leaf, sample).size:
        return False
    try:
        jax.eval_shape(jax.jacfwd(run), leaf, sample)
    except TypeError:
        return False
    return True


def _columns(mode: Callable, run: Callable, leaf: Array, inputs: PyTree) -> Block:
    """∂y/∂leaf sample by sample, by `jax.jacfwd` or `jax.jacrev`."""
    jacobian = jax.vmap(mode(run), in_axes=(None, 0))(leaf, inputs)
    return _plain(jacobian, leaf.size)


def _plain(jacobian: Array, size: int) -> Block:
    """∂y/∂leaf of shape (b, d, *leaf.shape) as a block, (b, d, 1, size)."""
    return Block(None, jacobian.reshape(*jacobian.shape[:2], 1, size))
