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
from jaxphys.checks import check_count, check_number, check_rate, checked
from jaxphys.optim import routes
from jaxphys.optim.factors import pull_back
from jaxphys.optim.info import StepInfo
from jaxphys.optim.linearise import Linearisation
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


@checked(power=check_number, iterations=check_count)
def scale_by_spectral(
    *,
    power: float,
    rcond: float = 0.0,
    relative: bool = False,
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
      curvature_fn: `curvature_fn() -> (b, d)`, the diagonal of ∂²ℓ/∂y², where relative;
        1/b stands for c where no entry is positive.
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
        return SpectralState(
            jnp.zeros((), dtype), StepInfo(rank=jnp.zeros((), jnp.int32))
        )

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
        if relative:
            needed["curvature_fn"] = curvature_fn
        routes.require(f"the spectral step of power {power}", **needed)
        dtype = trees.check_one_dtype(params)
        g = cotangent.reshape(-1)
        count = routes.num_params(params)
        route = plan.choose(g.size, count, linalg.double(dtype), memory_limit)
        batch = _Batch(linearisation, g, params, updates)
        new, spectrum = _powered(batch, route, power, rcond, iterations)
        if relative:
            unit = _unit(curvature_fn(), spectrum.largest, power)
            new = jax.tree.map(lambda x: (unit * x).astype(x.dtype), new)
        rank = spectrum.rank.astype(jnp.int32)
        return new, SpectralState(spectrum.largest.astype(dtype), StepInfo(rank=rank))

    return optax.GradientTransformationExtraArgs(init, update)


class _Batch(NamedTuple):
    """What the step is made of: the batch, g of shape (m,), θ and Jᵀ g."""

    linearisation: Linearisation
    g: Array
    params: PyTree
    gradient: PyTree


def _powered(
    batch: _Batch, route: str, power, rcond, iterations: int
) -> tuple[PyTree, linalg.Spectrum]:
    """J^κ g, shaped like the parameters, and its `Spectrum`, by one route."""
    linearisation, g, params, gradient = batch
    dtype = trees.check_one_dtype(params)
    wide = linalg.double(dtype)
    if route == "lanczos":
        product = linearisation.product(wide)
        count = min(iterations, g.size)
        spectrum = linalg.lanczos_power(product, g.astype(wide), power, rcond, count)
        return linearisation.vjp(spectrum.direction), spectrum
    if route in ("svd", "qr"):
        flat, unravel = trees.ravel(params)
        spectrum = linalg.spectral(
            linearisation.jacobian(), g, power=power, rcond=rcond, method=route
        )
        return unravel(spectrum.direction.astype(flat.dtype)), spectrum
    power_of = _POWERS[route]
    if g.size <= routes.num_params(params):
        spectrum = power_of(linearisation.gram(wide), g, power, rcond)
        return pull_back(linearisation.factors(), spectrum.direction), spectrum
    # With fewer parameters than outputs N = Jᵀ J is the smaller matrix, and the power
    # (κ − 1)/2 of it is applied to the gradient Jᵀ g itself.
    _, unravel = trees.ravel(params)
    pulled, _ = trees.ravel(gradient)
    spectrum = power_of(linearisation.normal(wide), pulled, power, rcond)
    return unravel(spectrum.direction.astype(dtype)), spectrum


_POWERS = {"gram": linalg.gram_power, "newton": linalg.newton_power}


def _unit(curvature: Array, largest: Array, power) -> Array:
    """1/(c σ_max^(κ+1)); zero of a Jacobian that is zero."""
    steepest = jnp.max(curvature)
    steepest = jnp.where(steepest > 0, steepest, 1 / curvature.shape[0])
    stiffness = steepest * largest ** (power + 1)
    return jnp.where(stiffness > 0, 1 / jnp.where(stiffness > 0, stiffness, 1), 0)


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


def gauss_newton(
    learning_rate: optax.ScalarOrSchedule = 1.0,
    *,
    rcond: float = 1e-6,
    relative: bool = False,
    method: str = "auto",
    **route: Any,
) -> optax.GradientTransformationExtraArgs:
    """Gauss–Newton by the pseudo-inverse: θ ← θ − η J⁺ g.

    Args:
      learning_rate: η. With the batch mean of a sum of squares g = (2/b) r, so the
        full Gauss–Newton step is η = b/2; the published baseline takes η = 1, which is
        2/b of it.
      rcond: singular values ≤ rcond · σ_max are discarded.
      relative: η = 1 is the full step, at any batch size.
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
            power=-1.0, rcond=rcond, relative=relative, method=method, **route
        ),
        optax.scale_by_learning_rate(learning_rate),
    )
