"""Spectral steps by the factors of the layers: an approximation of many parameters.

With N = Jᵀ J, the step of exponent κ is J^κ g = N^((κ−1)/2) Jᵀ g. Of a batch of b, the
part of N that belongs to one dense layer z = x W is Σ (x xᵀ) ⊗ (δ δᵀ) over samples and
outputs, δ = ∂y/∂z. Two neglects make its powers cheap: what layers have in common, and
that x and δ may depend on each other,

    N ≈ b A ⊗ D,  A = ⟨x xᵀ⟩,  D = ⟨Σ_outputs δ δᵀ⟩,
    J^κ g ≈ b^((κ−1)/2) A^((κ−1)/2) G D^((κ−1)/2),  G = ∂ℓ/∂W,

products of matrices of the layer's own width (Martens & Grosse, Optimizing Neural
Networks with Kronecker-factored Approximate Curvature, 2015,
https://arxiv.org/abs/1503.05671, for κ = −1). D takes one reverse pass and not d of
them: for random signs w, Jᵀ w has the covariance N (and Jᵀ S w that of the generalized
Gauss–Newton matrix, S² = ∂²ℓ/∂y² of each sample), and that is all that is known of
weights that are no dense layer's. The averages run over past batches,
so that batches may be smaller than the directions of a layer are many; the powers of
the factors are taken afresh now and then.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxphys import linalg, trees
from jaxphys.checks import (
    check_count,
    check_number,
    check_positive,
    check_share,
    checked,
)
from jaxphys.optim import routes
from jaxphys.optim.factors import Block
from jaxphys.optim.weighted import per_largest, roots_of
from jaxphys.precision import always_exact
from jaxphys.types import Array, PyTree

__all__ = ["KroneckerState", "scale_by_kronecker"]


class KroneckerState(NamedTuple):
    """Running averages of the layers' factors, and powers of them.

    Attributes:
      updates: how many so far.
      refresh_at: the number of updates at which the powers are next taken.
      moments: leaf by leaf (A, D) of a matrix, (M,) of a bias or another small leaf,
        N = b M, and (v,) of a large one, the diagonal of N over b.
      powers: the same, each to the power (κ − 1)/2.
    """

    updates: Array
    refresh_at: Array
    moments: list[tuple[Array, ...]]
    powers: list[tuple[Array, ...]]


def _kind(leaf: Array, largest_side: int) -> str:
    """How a leaf's part of N is kept, by its shape."""
    if leaf.ndim == 2 and max(leaf.shape) <= largest_side:
        return "factors"
    return "full" if leaf.size <= largest_side else "diagonal"


def _nothing(kind: str, leaf: Array) -> tuple[Array, ...]:
    """Zeros in place of the averages of a leaf."""
    if kind == "diagonal":
        return (jnp.zeros_like(leaf),)
    sides = leaf.shape if kind == "factors" else (leaf.size,)
    return tuple(jnp.zeros((side, side), leaf.dtype) for side in sides)


def _second_moment(x: Array) -> Array:
    """Σ x xᵀ over all but the last axis."""
    rows = x.reshape(-1, x.shape[-1])
    return rows.T @ rows


def _estimate(
    kind: str, block: Block | None, probe: Array, batch: int
) -> tuple[Array, ...]:
    """One batch's estimate of what is kept of a leaf, whose part of Jᵀ w is `probe`.

    A matrix V with the covariance b A ⊗ D has ⟨V Vᵀ⟩ = b A tr D and ⟨Vᵀ V⟩ = b D tr A.
    """
    if kind == "diagonal":
        return (probe**2 / batch,)
    if kind == "full":
        rows = probe.reshape(1, -1)
        if block is not None and block.rows is None:
            rows = block.columns
        return (_second_moment(rows) / batch,)
    if block is None or block.rows is None:
        size = jnp.sum(probe**2)
        left = _second_moment(probe.T)
        return left / batch, _second_moment(probe) / jnp.where(size > 0, size, 1)
    terms = block.columns.shape[2]
    sums = _second_moment(block.rows), _second_moment(block.columns)
    return sums[0] / batch, sums[1] / (batch * terms)


def _isotropic(moment: Array) -> Array:
    """The multiple of the identity that has the same trace."""
    size = moment.shape[0]
    return jnp.eye(size, dtype=moment.dtype) * jnp.trace(moment) / size


def _averaged(kind: str, old: Array, new: Array, first: Array, average: float) -> Array:
    """The running average, which starts from what has no direction."""
    start = jnp.mean(new) if kind == "diagonal" else _isotropic(new)
    return average * jnp.where(first, start, old) + (1 - average) * new


def _moved(kinds: list[str], old: list, new: list, first: Array, average) -> list:
    """The running averages of all leaves."""
    return [
        tuple(
            _averaged(kind, before, now, first, average)
            for before, now in zip(*pair, strict=True)
        )
        for kind, *pair in zip(kinds, old, new, strict=True)
    ]


def _root(moment: Array, matrix: bool, exponent, damping: float, wide) -> Array:
    """A power of a factor; eigenvalues below `damping` of the largest are held there.

    A factor of zeros has the power zero.
    """
    values = moment.astype(wide)
    vectors = None
    if matrix:
        values, vectors = jnp.linalg.eigh(values)
    largest = jnp.max(values)
    held = jnp.maximum(values, damping * largest)
    powers = linalg.masked_power(held, exponent, held > 0)
    if vectors is not None:
        powers = (vectors * powers[None]) @ vectors.T
    return powers.astype(moment.dtype)


def _roots(kinds: list[str], moments: list, exponent, damping: float, wide) -> list:
    """The powers of all factors, leaf by leaf."""
    return [
        tuple(_root(x, kind != "diagonal", exponent, damping, wide) for x in each)
        for kind, each in zip(kinds, moments, strict=True)
    ]


def _signs(key: Array, cotangent: Array, dtype, roots: linalg.Roots | None) -> Array:
    """Random w; S w/√c where the curvature is to count."""
    signs = jax.random.rademacher(key, cotangent.shape, dtype)
    if roots is None:
        return signs
    root, _ = per_largest(roots)
    return root.apply(signs.astype(root.entries.dtype))


def _applied(kind: str, powers: tuple[Array, ...], gradient: Array) -> Array:
    """The leaf's part of N^((κ−1)/2) Jᵀ g, but for b."""
    if kind == "factors":
        left, right = powers
        return left @ gradient @ right
    if kind == "full":
        return (powers[0] @ gradient.reshape(-1)).reshape(gradient.shape)
    return powers[0] * gradient


@checked(
    power=check_number,
    damping=check_positive,
    refresh=check_count,
    largest_side=check_count,
    average=check_share,
)
def scale_by_kronecker(
    *,
    power: float,
    weighted: bool = False,
    damping: float = 1e-4,
    average: float = 0.95,
    refresh: int = 50,
    largest_side: int = 1024,
) -> optax.GradientTransformationExtraArgs:
    """Replace the gradient Jᵀ g by J^κ g of N ≈ b A ⊗ D, layer by layer.

    It costs two reverse passes, the products by the powers, and now and then
    eigenvectors of matrices of the layers' widths. Nothing has m = b·d rows, so no
    batch is too large. It is an approximation in which each layer takes the whole step:
    divide the rate of the exact step by about the number of layers, and add momentum,
    `optax.trace(0.95, nesterov=True)` in a chain.

    Args:
      power: κ; at κ = 1 it is the gradient.
      weighted: take S J/√c in place of J, c the largest curvature of the batch: at
        κ = −1 that is Gauss–Newton for any objective. A curvature that is not positive
        is cut, as in `levenberg_marquardt`. For sums of squares it changes nothing.
      damping: eigenvalues of a factor below this share of its largest are held there.
      average: by which running averages fall from batch to batch, in [0, 1). They
        start from a multiple of the identity that has the first batch's trace.
      refresh: updates from one computation of the powers to the next; fewer at first.
      largest_side: of the matrices that are kept; of a leaf that would need larger
        ones the diagonal of N is.

    Extras of `update`: linearisation, cotangent and, where weighted, curvature_fn, as
    in `scale_by_spectral`; the memory limit is ignored.

    Raises:
      ValueError: for numbers out of their range.

    Example:
      >>> from jaxphys import losses, training
      >>> outputs = lambda params, x: x @ params
      >>> tx = optax.chain(scale_by_kronecker(power=-0.5), optax.scale(-0.1))
      >>> step = training.make_train_step(outputs, losses.squared_error, tx)
      >>> state = training.init_state(jnp.ones((2, 3)), tx)
      >>> state, info = step(state, (jnp.eye(2), jnp.zeros((2, 3))))
      >>> float(info.loss)
      3.0
    """
    if not 0 <= average < 1 or not 0 < damping < 1:
        raise ValueError(
            f"got average {average} and damping {damping}; expected 0 <= average < 1 "
            "and 0 < damping < 1."
        )
    if refresh < 1 or largest_side < 1:
        raise ValueError(
            f"got refresh {refresh} and largest_side {largest_side}; expected ≥ 1."
        )
    exponent = (power - 1) / 2

    def init(params: PyTree) -> KroneckerState:
        trees.check_one_dtype(params)
        zero = jnp.zeros((), jnp.int32)
        nothing = [
            _nothing(_kind(leaf, largest_side), leaf)
            for leaf in jax.tree.leaves(params)
        ]
        return KroneckerState(zero, zero, nothing, nothing)

    @always_exact
    def update(
        updates,
        state,
        params=None,
        *,
        linearisation=None,
        cotangent=None,
        curvature_fn=None,
        **extras,
    ):
        del extras
        routes.require(
            f"the layerwise step of power {power}",
            params=params,
            linearisation=linearisation,
            cotangent=cotangent,
            **({"curvature_fn": curvature_fn} if weighted else {}),
        )
        wide = linalg.double(trees.check_one_dtype(params))
        batch = cotangent.shape[0]
        leaves, tree = jax.tree.flatten(params)
        # Other signs for each update, yet the same in a run that is repeated.
        key = jax.random.fold_in(jax.random.key(0), state.updates)
        roots = roots_of(curvature_fn(), cotangent, wide) if weighted else None
        signs = _signs(key, cotangent, leaves[0].dtype, roots)
        blocks = linearisation.responses(signs)
        probes = jax.tree.leaves(linearisation.vjp(signs))
        kinds = [_kind(leaf, largest_side) for leaf in leaves]
        fresh = [
            _estimate(kind, block, probe, batch)
            for kind, block, probe in zip(kinds, blocks, probes, strict=True)
        ]
        first = state.updates == 0
        moments = _moved(kinds, state.moments, fresh, first, average)
        due = state.updates >= state.refresh_at
        powers = jax.lax.cond(
            due,
            lambda: _roots(kinds, moments, exponent, damping, wide),
            lambda: state.powers,
        )
        following = state.updates + jnp.minimum(refresh, 1 + state.updates // 8)
        scale = float(batch) ** exponent
        new = [
            scale * _applied(kind, each, gradient)
            for kind, each, gradient in zip(
                kinds, powers, jax.tree.leaves(updates), strict=True
            )
        ]
        refresh_at = jnp.where(due, following, state.refresh_at)
        state = KroneckerState(state.updates + 1, refresh_at, moments, powers)
        return jax.tree.unflatten(tree, new), state

    return optax.GradientTransformationExtraArgs(init, update)
