"""Optimizers that take a power of the Jacobian's singular values.

All outputs of a batch are stacked into one Jacobian J = U Λ Vᵀ, and the step is

    θ ← θ − η J^κ g,    J^κ = V Λ^κ Uᵀ,    g = ∂ℓ/∂y, ℓ the batch mean of the objective.

κ = −1/2 is HIG (Schnell, Holl & Thuerey, ICLR 2022, https://arxiv.org/abs/2203.10131),
κ = −1 Gauss–Newton. In sample space that is Jᵀ K^((κ−1)/2) g with K = J Jᵀ, for which
`linearise` needs no J; where there are fewer parameters than outputs, Jᵀ J serves.

In function space the step is δy = −η K^((κ+1)/2) g, so that with curvature c of the
loss a linear model's largest singular direction is solved by η = 1/(c σ_max^(κ+1)), and
overshot by more than twice that. Rates in these units, `relative=True`, mean the same
for every κ, batch, normalization of the loss, and stage of the training.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxphys import linalg, trees
from jaxphys.checks import (
    check_count,
    check_number,
    check_rate,
    check_share,
    check_some,
    checked,
)
from jaxphys.optim import routes
from jaxphys.optim.info import StepInfo
from jaxphys.optim.weighted import Weighted, per_largest, roots_of
from jaxphys.precision import always_exact
from jaxphys.types import Array, PyTree

__all__ = ["METHODS", "SpectralState", "gauss_newton", "hig", "scale_by_spectral"]

METHODS = ("auto", "gram", "newton", "svd", "qr", "lanczos")


class SpectralState(NamedTuple):
    """What the last factorization saw.

    Attributes:
      largest: σ_max of the batch's Jacobian; rates that are to mean the same for every
        κ are divided by a power of it.
      info: what is reported: the rank.
    """

    largest: Array
    info: StepInfo


@checked(
    power=check_number,
    iterations=check_count,
    rcond=check_share,
    memory_limit=check_some,
)
def scale_by_spectral(
    *,
    power: float,
    rcond: float = 0.0,
    relative: bool = False,
    weighted: bool = False,
    method: str = "auto",
    iterations: int = 100,
    memory_limit: int | None = None,
) -> optax.GradientTransformationExtraArgs:
    """Replace the gradient Jᵀ g by J^κ g; `update` needs `linearisation`, `cotangent`.

    Power and rcond may be traced, as `optax.inject_hyperparams` has them: one
    compilation then serves all of them.

    Args:
      power: κ.
      rcond: singular values ≤ rcond · σ_max are discarded.
      relative: divide by c σ_max^(κ+1) of the batch, c the largest curvature of the
        loss in an output: a learning rate of one then solves the direction of largest
        singular value, as far as outputs are linear in the parameters, and from two on
        it overshoots by more than was missing.
      weighted: take S J/√c and √c S⁻¹ g in place of J and g, S² = ∂²ℓ/∂y² of each
        sample. At κ = −1 the step is then that of Gauss–Newton for any objective;
        where the curvature is the same number for all outputs it changes nothing. Other
        exponents are defined by J and g alone.
      method: "gram" takes eigenvectors of the smaller of J Jᵀ (built without J) and
        Jᵀ J in float64, and discards what they do not resolve, below 1e-7 σ_max or so;
        "newton" takes the inverse root of the same matrix by products of matrices and
        truncates softly (`linalg.newton_power`; κ = 1 − n/2), meant for accelerators,
        where it is unmeasured: on a CPU eigenvectors are faster, several times from a
        side of 128; "svd" and "qr" form J; "lanczos" has products by J Jᵀ alone, for
        outputs and parameters too many for a matrix of them, and leaves out of the
        small singular values what they have not found; "auto" is "lanczos" above a
        side of 1024 or the memory limit, else "gram" with x64 on and "qr" with x64
        off.
      iterations: products of "lanczos".
      memory_limit: bytes that "auto" may take for matrices or a Krylov basis.

    Extras of `update`:
      linearisation: the batch's `linearise(outputs, params, inputs)`.
      cotangent: g = ∂ℓ/∂y, shape (b, d), of the batch-mean loss.
      curvature_fn: ∂²ℓ/∂y², as in `levenberg_marquardt`, where relative or weighted;
        1/b stands for c where no eigenvalue is positive.
      memory_limit: in place of the one above, where it is not None.
    """
    plan = routes.Routes(
        method, iterations, memory_limit, routes.LARGEST_EIGENVECTORS
    ).check(METHODS)
    linalg.check_rcond(rcond)
    if method == "newton":
        linalg.quarters(power)

    def init(params):
        dtype = trees.check_one_dtype(params)
        zero = jnp.zeros((), dtype)
        info = StepInfo(
            rank=jnp.zeros((), jnp.int32), concave=zero if weighted else None
        )
        return SpectralState(zero, info)

    @always_exact
    def update(
        updates,
        state,
        params=None,
        *,
        linearisation=None,
        cotangent=None,
        curvature_fn=None,
        memory_limit=None,
        **extras,
    ):
        del state, extras
        needed = {
            "params": params,
            "linearisation": linearisation,
            "cotangent": cotangent,
        }
        if relative or weighted:
            needed["curvature_fn"] = curvature_fn
        routes.require(f"the spectral step of power {power}", **needed)
        dtype = trees.check_one_dtype(params)
        wide, g, root = linalg.double(dtype), cotangent, None
        roots: Any = None
        if relative or weighted:
            roots = roots_of(curvature_fn(), cotangent, wide)
        if weighted:
            root, inverse = per_largest(roots)
            g = inverse.apply(cotangent.astype(wide))
        g = g.reshape(-1)
        route = plan.choose(g.size, routes.num_params(params), wide, memory_limit)
        batch = _Batch(Weighted(linearisation, root), g, params, updates)
        new, spectrum = _powered(batch, route, power, rcond, iterations)
        if relative:
            unit = _unit(roots.largest, len(cotangent), spectrum.largest, power)
            new = jax.tree.map(lambda x: (unit * x).astype(x.dtype), new)
        info = StepInfo(rank=spectrum.rank.astype(jnp.int32))
        if weighted:
            info = info._replace(concave=roots.cut.astype(dtype))
        return new, SpectralState(spectrum.largest.astype(dtype), info)

    return optax.GradientTransformationExtraArgs(init, update)


class _Batch(NamedTuple):
    """What the step is made of: J or J̃, g of shape (m,), θ and Jᵀ g."""

    jacobian: Weighted
    g: Array
    params: PyTree
    gradient: PyTree


def _powered(
    batch: _Batch, route: str, power, rcond, iterations: int
) -> tuple[PyTree, linalg.Spectrum]:
    """J^κ g, shaped like the parameters, and its `Spectrum`, by one route."""
    jacobian, g, params, gradient = batch
    dtype = trees.check_one_dtype(params)
    wide = linalg.double(dtype)
    if route == "lanczos":
        product = jacobian.product(wide)
        count = min(iterations, g.size)
        spectrum = linalg.lanczos_power(product, g.astype(wide), power, rcond, count)
        return jacobian.vjp(spectrum.direction), spectrum
    if route in ("svd", "qr"):
        flat, unravel = trees.ravel(params)
        spectrum = linalg.spectral(
            jacobian.dense(), g, power=power, rcond=rcond, method=route
        )
        return unravel(spectrum.direction.astype(flat.dtype)), spectrum
    power_of = _POWERS[route]
    if g.size <= routes.num_params(params):
        spectrum = power_of(jacobian.gram(wide), g, power, rcond)
        return jacobian.pull(spectrum.direction), spectrum
    # With fewer parameters than outputs N = Jᵀ J is the smaller matrix, and the power
    # (κ − 1)/2 of it is applied to the gradient Jᵀ g itself.
    _, unravel = trees.ravel(params)
    pulled, _ = trees.ravel(gradient)
    spectrum = power_of(jacobian.normal(wide), pulled, power, rcond)
    return unravel(spectrum.direction.astype(dtype)), spectrum


_POWERS = {"gram": linalg.gram_power, "newton": linalg.newton_power}


def _unit(steepest: Array, batch: int, largest: Array, power) -> Array:
    """1/(c σ_max^(κ+1)); zero of a Jacobian that is zero."""
    steepest = jnp.where(steepest > 0, steepest, 1 / batch)
    stiffness = steepest * largest ** (power + 1)
    return jnp.where(stiffness > 0, 1 / jnp.where(stiffness > 0, stiffness, 1), 0)


@checked(rcond=check_share)
def hig(
    learning_rate: optax.ScalarOrSchedule = 1.0,
    *,
    rcond: float = 1e-10,
    relative: bool = False,
    method: str = "auto",
    **route: Any,
) -> optax.GradientTransformationExtraArgs:
    """Half-inverse gradients: θ ← θ − η V Λ^(−1/2) Uᵀ g = θ − η Jᵀ (J Jᵀ)^(−3/4) g.

    In function space the step is −η K^(1/4) g: halfway between gradient descent,
    which neglects directions of small singular value, and Gauss–Newton, which trusts
    them fully and amplifies their noise.

    Args:
      learning_rate: η, a number or an optax schedule. It is tied to the normalization
        of the loss: 1 goes with the batch mean of a sum of squares without ½.
      rcond: singular values ≤ rcond · σ_max are discarded.
      relative: η in units of the rate that solves the direction of largest singular
        value, which is of order one at any batch size and normalization.
      method, route: see `scale_by_spectral`.

    Returns:
      An optax transformation; `update` needs the extras of `scale_by_spectral`.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxphys import losses, training
      >>> outputs = lambda params, x: x @ params
      >>> tx = hig(learning_rate=1.0)
      >>> step = training.make_train_step(outputs, losses.squared_error, tx)
      >>> state = training.init_state(jnp.ones((2, 3)), tx)
      >>> state, info = step(state, (jnp.eye(2), jnp.zeros((2, 3))))
      >>> float(info.loss)
      3.0

    The powers are those of J alone: a curvature of the objective that differs from
    output to output, or couples them, is no part of the definition. State the
    objective as a sum of squares, or weigh the outputs, to have it.

    Where outputs and parameters are thousands, `scale_by_kronecker(power=-0.5)` has an
    approximation of it in a fraction of the time.

    Reference: Schnell, Holl & Thuerey, ICLR 2022, https://arxiv.org/abs/2203.10131.
    """
    check_rate("learning_rate", learning_rate)
    return optax.chain(
        scale_by_spectral(
            power=-0.5, rcond=rcond, relative=relative, method=method, **route
        ),
        optax.scale_by_learning_rate(learning_rate),
    )


@checked(rcond=check_share)
def gauss_newton(
    learning_rate: optax.ScalarOrSchedule = 1.0,
    *,
    rcond: float = 1e-6,
    relative: bool = False,
    weighted: bool = True,
    method: str = "auto",
    **route: Any,
) -> optax.GradientTransformationExtraArgs:
    """Gauss–Newton by the pseudo-inverse: θ ← θ − η c (S J)⁺ S⁻¹ g, S² = ∂²ℓ/∂y².

    Of each sample S is a matrix, and c the largest curvature of the batch: for sums of
    squares, where S² = c, it is J⁺ g. A curvature that is not positive is cut, as in
    `levenberg_marquardt`.

    Args:
      learning_rate: η. With the batch mean of a sum of squares g = (2/b) r, so the
        full Gauss–Newton step is η = b/2, for others 1/c; the published baseline takes
        η = 1, which is 2/b of it.
      rcond: singular values ≤ rcond · σ_max are discarded.
      relative: η = 1 is the full step, at any batch size.
      weighted: False for the step J⁺ g whatever the objective, as published.
      method, route: see `scale_by_spectral`.

    Returns:
      An optax transformation; `update` needs the extras of `scale_by_spectral`.

    Example:
      >>> tx = gauss_newton(learning_rate=16.0)  # the full step at b = 32

    Reference: Schnell, Holl & Thuerey, ICLR 2022, https://arxiv.org/abs/2203.10131,
    section 2, as the baseline.
    """
    check_rate("learning_rate", learning_rate)
    return optax.chain(
        scale_by_spectral(
            power=-1.0,
            rcond=rcond,
            relative=relative,
            weighted=weighted,
            method=method,
            **route,
        ),
        optax.scale_by_learning_rate(learning_rate),
    )
