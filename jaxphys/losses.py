"""Objectives of one sample, and their derivatives for second-order methods.

An objective is `objective(outputs, targets) -> scalar` for one sample; training takes
its mean over the batch.
"""

import dataclasses
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from jaxphys._jaxpr.coupling import groups
from jaxphys.checks import check_array, check_function, check_numbers, checked
from jaxphys.linalg import Blocks, positive_roots
from jaxphys.precision import exact
from jaxphys.types import Array, PyTree

__all__ = [
    "curvature",
    "gaussian_likelihood",
    "half_squared_error",
    "hessian",
    "huber",
    "infidelity",
    "infidelity_residual",
    "kl_divergence",
    "mean_squared_error",
    "newton_residual",
    "second_derivatives",
    "softmax_cross_entropy",
    "squared_error",
    "squared_size",
]


def squared_error(outputs: Array, targets: Array) -> Array:
    """|y − y*|², summed over components, without ½.

    Example:
      >>> import jax.numpy as jnp
      >>> print(squared_error(jnp.array([1.0, 2.0]), jnp.zeros(2)))
      5.0
    """
    _check_same("squared_error", outputs, targets)
    return jnp.sum((outputs - targets) ** 2)


def _check_same(name: str, outputs: Array, targets: Array) -> None:
    """A ValueError unless both are of one shape: others would be broadcast."""
    for what, value in (("outputs", outputs), ("targets", targets)):
        if not hasattr(value, "shape") and not isinstance(value, float | int):
            raise TypeError(
                f"{name} got {what} of type {type(value).__name__}; expected an array."
            )
    if jnp.shape(outputs) != jnp.shape(targets):
        raise ValueError(
            f"{name} got outputs of shape {jnp.shape(outputs)} and targets of shape "
            f"{jnp.shape(targets)}; expected one shape, that of one sample, (d,). For "
            "a batch use jax.vmap; targets (N,) of one output are (N, 1)."
        )


@checked(residual=check_numbers)
def squared_size(residual: Array, targets: PyTree = None) -> Array:
    """|r|² of outputs that are residuals already; the targets are ignored.

    Example:
      >>> import jax.numpy as jnp
      >>> print(squared_size(jnp.array([1.0, 2.0])))
      5.0
    """
    del targets
    return jnp.sum(residual**2)


def half_squared_error(outputs: Array, targets: Array) -> Array:
    """½ |y − y*|².

    Example:
      >>> import jax.numpy as jnp
      >>> print(half_squared_error(jnp.array([1.0, 2.0]), jnp.zeros(2)))
      2.5
    """
    return squared_error(outputs, targets) / 2


def mean_squared_error(outputs: Array, targets: Array) -> Array:
    """|y − y*|²/d, averaged over components.

    Example:
      >>> import jax.numpy as jnp
      >>> print(mean_squared_error(jnp.array([1.0, 2.0]), jnp.zeros(2)))
      2.5
    """
    _check_same("mean_squared_error", outputs, targets)
    return jnp.mean((outputs - targets) ** 2)


def huber(outputs: Array, targets: Array, width: float = 1.0) -> Array:
    """Σ ½ r² for |r| ≤ δ and Σ δ (|r| − ½ δ) beyond, r = y − y*: few outliers matter.

    Convex. Beyond δ it has a slope and no curvature.

    Args:
      outputs, targets: y and y*, of one shape.
      width: δ > 0, in the units of y.

    Raises:
      ValueError: if a width that is known when tracing is not positive.

    Example:
      >>> import jax.numpy as jnp
      >>> print(huber(jnp.array([0.5, 3.0]), jnp.zeros(2)))
      2.625

    Reference: Huber, Robust estimation of a location parameter, 1964.
    """
    if not isinstance(width, jax.core.Tracer) and not width > 0:
        raise ValueError(f"width is {width}; expected a number > 0.")
    size = jnp.abs(outputs - targets)
    inside = jnp.minimum(size, width)
    return jnp.sum(inside * (size - inside / 2))


def softmax_cross_entropy(outputs: Array, targets: Array) -> Array:
    """−Σ_i q_i log p_i, p = softmax(y): logits against a class, or probabilities q.

    Convex: ∂²ℓ/∂y² = diag p − p pᵀ, a block for each softmax.

    Args:
      outputs: logits y; (k,) for k classes, or (n·k,) for n softmaxes side by side.
      targets: the class, an integer, or q, shape (k,); for n of them (n,) or (n, k).

    Raises:
      ValueError: for shapes that do not fit.

    Example:
      >>> import jax.numpy as jnp
      >>> logits = jnp.array([0.0, 0.0, 1.0, 1.0])
      >>> print(softmax_cross_entropy(logits[:2], jnp.array(1)).round(4))
      0.6931
      >>> two = jnp.array([[1.0, 0.0], [0.5, 0.5]])
      >>> print(softmax_cross_entropy(logits, two).round(4))
      1.3863
    """
    logits, chances = _classes("softmax_cross_entropy", outputs, targets)
    return -jnp.sum(chances * jax.nn.log_softmax(logits, axis=-1))


def kl_divergence(outputs: Array, targets: Array) -> Array:
    """Σ_i q_i log(q_i/p_i), p = softmax(y): how far p is from probabilities q.

    Convex; the cross entropy less the entropy of q, so that zero is reached.

    Args:
      outputs, targets: as in `softmax_cross_entropy`.

    Raises:
      ValueError: for shapes that do not fit.

    Example:
      >>> import jax.numpy as jnp
      >>> q = jnp.array([0.25, 0.75])
      >>> print(kl_divergence(jnp.zeros(2), q).round(4))
      0.1308
    """
    _, chances = _classes("kl_divergence", outputs, targets)
    entropy = -jnp.sum(jax.scipy.special.xlogy(chances, chances))
    return softmax_cross_entropy(outputs, targets) - entropy


def _classes(name: str, outputs: Array, targets: Array) -> tuple[Array, Array]:
    """Logits and probabilities, (n, k) each."""
    targets = jnp.asarray(targets)
    integers = jnp.issubdtype(targets.dtype, jnp.integer)
    shape = targets.shape if integers else targets.shape[:-1]
    count = targets.size if integers else math.prod(shape)
    fits = len(shape) < 2 and outputs.ndim == 1 and count and outputs.size % count == 0
    if not fits or (not integers and targets.size != outputs.size):
        raise ValueError(
            f"{name} got outputs of shape {outputs.shape} and targets of shape "
            f"{targets.shape}, {targets.dtype}; expected logits (k,) with a class () "
            "or probabilities (k,), or (n·k,) with (n,) or (n, k), of one sample. For "
            "a batch use jax.vmap."
        )
    logits = outputs.reshape(count, -1)
    if integers:
        # By comparison: an index would hide from whom it takes which class is which.
        classes = jnp.arange(logits.shape[1], dtype=targets.dtype)
        chances = targets.reshape(count, 1) == classes
        return logits, chances.astype(logits.dtype)
    return logits, targets.reshape(logits.shape)


def gaussian_likelihood(outputs: Array, targets: Array) -> Array:
    """Σ ½ (y* − μ)² e^(−s) + ½ s of means μ and log variances s: noise that is learned.

    The negative logarithm of the normal density, without ½ log 2π. A mean and its s are
    coupled, ∂²ℓ/∂(μ, s)² = e^(−s) ((1, r), (r, ½ r²)) with r = y* − μ. Its determinant
    is negative: a likelihood of both is not convex, and second-order methods see the
    positive part.

    Args:
      outputs: (μ₁ … μ_n, s₁ … s_n), shape (2n,).
      targets: y*, shape (n,).

    Raises:
      ValueError: for other shapes.

    Example:
      >>> import jax.numpy as jnp
      >>> print(gaussian_likelihood(jnp.array([1.0, 0.0]), jnp.array([3.0])))
      2.0

    Reference: Nix & Weigend, Estimating the mean and variance of the target probability
    distribution, 1994.
    """
    n = targets.shape[0] if targets.ndim == 1 else -1
    if outputs.shape != (2 * n,):
        raise ValueError(
            f"gaussian_likelihood got outputs of shape {outputs.shape} and targets of "
            f"shape {targets.shape}; expected (2n,), means and then log variances, and "
            "(n,), one sample. For a batch use jax.vmap."
        )
    mean, spread = outputs[:n], outputs[n:]
    return jnp.sum((targets - mean) ** 2 * jnp.exp(-spread) + spread) / 2


@checked(objective=check_function)
@exact
def hessian(objective: Callable, values: Array, targets: PyTree) -> Blocks:
    """∂²ℓ/∂y² of one sample, as its diagonal or in blocks, of any sign.

    Which outputs an objective couples is read off its gradient, so that a sum of
    squares costs one derivative, and the cross entropy of n softmaxes of k classes k.

    Args:
      objective: `objective(outputs, targets) -> scalar`.
      values, targets: y, shape (d,), and the targets of one sample.

    Returns:
      `linalg.Blocks` of a sample without its batch axis, to be batched by `jax.vmap`.

    Example:
      >>> import jax.numpy as jnp
      >>> print(hessian(squared_error, jnp.ones(3), jnp.zeros(3)).entries)
      [2. 2. 2.]
      >>> pairs = lambda y, target: y[0] * y[2] + y[1] ** 2
      >>> found = hessian(pairs, jnp.ones(3), None)
      >>> found.groups, found.entries.shape
      (((0, 2), (1, -1)), (2, 2, 2))
    """
    like = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(jnp.shape(x), jnp.result_type(x)),
        (values, targets),
    )
    found = groups(objective, *like)
    slope = jax.grad(objective)

    def along(tangent: Array) -> Array:
        return jax.jvp(lambda y: slope(y, targets), (values,), (tangent,))[1]

    side, size = max(map(len, found), default=1), values.size
    if side == 1:
        return Blocks(along(jnp.ones_like(values)))
    if len(found) * side**2 > size**2:
        found, side = [list(range(size))], size
    # One derivative along the first outputs of all groups, one along the second …, as
    # groups do not reach each other.
    index = np.array([[*group, *[-1] * (side - len(group))] for group in found])
    tangents = np.zeros((side, size + 1))
    tangents[np.arange(side), index] = 1
    columns = jax.vmap(along)(jnp.asarray(tangents[:, :-1], values.dtype))
    inside = np.where(index < 0, size, index)
    rows = jnp.take(columns, inside, axis=1, mode="fill", fill_value=0)
    # Where a group is filled up, nothing is along it.
    matrices = jnp.moveaxis(rows, 0, -1) * jnp.asarray(index >= 0)[:, None, :]
    return Blocks(matrices, tuple(map(tuple, index.tolist())))


@checked(objective=check_function, values=check_array)
def second_derivatives(objective: Callable, values: Array, targets: PyTree) -> Array:
    """The diagonal of ∂²ℓ/∂y², shape (d,), of any sign.

    Example:
      >>> import jax.numpy as jnp
      >>> up = jnp.array([1.0, 0, 0, 0])
      >>> print(second_derivatives(infidelity, up, up))
      [-2.  0. -2.  0.]
    """
    return _of_batch(hessian(objective, values, targets)).diagonal()[0]


@checked(objective=check_function, values=check_array)
def curvature(objective: Callable, values: Array, targets: PyTree) -> Array:
    """The diagonal of ∂²ℓ/∂y², shape (d,); one if it is not positive.

    Example:
      >>> import jax.numpy as jnp
      >>> print(curvature(squared_error, jnp.ones(2), jnp.zeros(2)))
      [2. 2.]
    """
    diagonal = second_derivatives(objective, values, targets)
    return jnp.where(diagonal > 0, diagonal, 1)


def _of_batch(sample: Blocks) -> Blocks:
    """A batch of one."""
    return dataclasses.replace(sample, entries=sample.entries[None])


@checked(objective=check_function, values=check_array)
@exact
def newton_residual(objective: Callable, values: Array, targets: PyTree) -> Array:
    """(∂²ℓ/∂y²)⁻¹ ∂ℓ/∂y: the residual y − y* of a sum of squares.

    Directions whose curvature is not positive are cut, as in `linalg.positive_roots`.

    Example:
      >>> import jax.numpy as jnp
      >>> print(newton_residual(squared_error, jnp.array([3.0]), jnp.array([1.0])))
      [2.]
    """
    gradient = jax.grad(objective)(values, targets)[None]
    matrices = _of_batch(hessian(objective, values, targets))
    return positive_roots(matrices, gradient, 1.0).solve.apply(gradient)[0]


@exact
def infidelity(outputs: Array, targets: Array) -> Array:
    """1 − |⟨ψ*|ψ⟩|² of two normalized states, each stacked as (Re, Im), shape (2n,).

    Example:
      >>> import jax.numpy as jnp
      >>> up, down = jnp.array([1.0, 0, 0, 0]), jnp.array([0, 1.0, 0, 0])
      >>> print(infidelity(up, up), infidelity(up, down))
      0.0 1.0
    """
    real, imaginary = _overlap(outputs, targets)
    return 1 - real**2 - imaginary**2


@exact
def infidelity_residual(outputs: Array, targets: Array) -> Array:
    """(1 − |ψ*⟩⟨ψ*|) ψ, stacked; for normalized states its square is the infidelity.

    Second derivatives of 1 − |⟨ψ*|ψ⟩|² by ψ are negative. With this residual the
    infidelity is a sum of squares, as Gauss–Newton methods need.

    Example:
      >>> import jax.numpy as jnp
      >>> up, down = jnp.array([1.0, 0, 0, 0]), jnp.array([0, 1.0, 0, 0])
      >>> print(infidelity_residual(0.6 * up + 0.8 * down, up))
      [0.  0.8 0.  0. ]
    """
    real, imaginary = _overlap(outputs, targets)
    n = targets.shape[0] // 2
    turned = jnp.concatenate([-targets[n:], targets[:n]])
    return outputs - real * targets - imaginary * turned


def _overlap(outputs: Array, targets: Array) -> tuple[Array, Array]:
    """⟨ψ*|ψ⟩, real and imaginary part."""
    _check_same("infidelity", outputs, targets)
    n = targets.shape[0] // 2
    real = outputs @ targets
    return real, outputs[n:] @ targets[:n] - outputs[:n] @ targets[n:]
