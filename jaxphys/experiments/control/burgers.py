"""Burgers' equation solved by a network, from its residual alone.

u_t + u u_x = ν u_xx on [−1, 1] with ν = 0.01, from u(0, x) = −sin πx, t ≤ 1, by a sine
network of four layers of 40. A steep front of width 2ν comes up at x = 0.

The solution is odd in x and vanishes at ±1, so that x ≥ 0 says it all, and first values
and edges hold for any weights: u = −sin πx + t x (1 − x) net. Points lie five times as
densely at the front as elsewhere, by x = sinh(a s)/sinh(a), and are new in every batch.
Small batches come first: they get to the valley, where larger ones go on. Rows are
multiplied by e^(−t), as what is wrong early is wrong for good.

Published are relative errors in L² of 4.75e-7 after 10 s in float32 and 8e-14 after 346
s in float64, on an H100: https://arxiv.org/abs/2607.02194. Ansatz, points, weight and
batches are ours. The exact solution is the integral of Cole and Hopf.
"""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxphys import optim, plots, problems
from jaxphys.experiments.control.rows import Steering, row, steering
from jaxphys.experiments.experiment import Run, RunOptions, Trained
from jaxphys.types import Array, Problem, PyTree

__all__ = ["EXPERIMENT", "ROWS", "Settings", "build", "equation", "true_solution"]


@dataclasses.dataclass(frozen=True)
class Settings:
    """Solve Burgers' equation by a network.

    Attributes:
      viscosity: ν, which is the steepness of the front.
      causality: c of the rows' weight e^(−c t).
      stretch: a, by which points are dense at the front.
      samples: points of the training set, and of the test set.
      hidden: units of each hidden layer.
    """

    viscosity: float = 0.01
    causality: float = 1.0
    stretch: float = 3.5
    samples: int = 65536
    hidden: tuple[int, ...] = (40, 40, 40, 40)


def equation(settings: Settings, dtype: jnp.dtype) -> Problem:
    """Burgers' equation as a problem, of points (t, x)."""

    def missed(u: Callable[[Array], Array], point: Array) -> Array:
        _, u_t = problems.derivatives(u, point, 0, order=1)
        value, u_x, u_xx = problems.derivatives(u, point, 1)
        rate = u_t + value * u_x - settings.viscosity * u_xx
        return jnp.exp(-settings.causality * point[0]) * rate

    def drawn(key: Array) -> Array:
        # Drawn in float32 for every dtype, so that a key gives the same data set.
        t, s = jax.random.uniform(key, (2,), jnp.float32).astype(dtype)
        return jnp.stack(
            [t, jnp.sinh(settings.stretch * s) / np.sinh(settings.stretch)]
        )

    def held(net: Callable[[Array], Array], point: Array) -> Array:
        t, x = point
        seen = jnp.stack([4 * t - 2, 8 * x - 4])
        return -jnp.sin(jnp.pi * x) + t * x * (1 - x) * net(seen)

    return problems.residual(missed, drawn, ansatz=held, name="Burgers' equation")


def build(settings: Settings, dtype: jnp.dtype) -> Steering:
    """The equation, and the network that solves it."""
    problem = equation(settings, dtype)
    return Steering.perceptron(problem, settings, dtype, activation="sin")


def true_solution(
    viscosity: float, t: np.ndarray, x: np.ndarray, nodes: int = 200
) -> np.ndarray:
    """The exact solution by Cole's and Hopf's integral and Gauss' and Hermite's rule.

    u = −∫ sin(πy) f(y) e^(−η²) dη / ∫ f(y) e^(−η²) dη with y = x − η √(4νt) and
    f(y) = exp(−cos(πy)/(2πν)).

    Args:
      viscosity: ν.
      t, x: times and places, of one shape.
      nodes: of the quadrature.

    Example:
      >>> t, x = np.array([0.0, 1.0]), np.array([0.5, 1.0])
      >>> print(np.round(true_solution(0.01, t, x), 12) + 0.0)
      [-1.  0.]
    """
    places, weights = np.polynomial.hermite.hermgauss(nodes)
    y = x[..., None] - np.sqrt(4 * viscosity * t)[..., None] * places
    exponents = -np.cos(np.pi * y) / (2 * np.pi * viscosity)
    # The common factor cancels; without it the exponential is beyond all numbers.
    shares = weights * np.exp(exponents - exponents.max(axis=-1, keepdims=True))
    return -np.sum(np.sin(np.pi * y) * shares, axis=-1) / np.sum(shares, axis=-1)


def _grid() -> tuple[np.ndarray, np.ndarray]:
    """Times and places (T, n), evenly spaced, of half of the interval."""
    return np.meshgrid(np.linspace(0, 1, 101), np.linspace(0, 1, 401), indexing="ij")


def _solved(built: Steering, params: PyTree) -> np.ndarray:
    """A network's solution on the grid, (T, n)."""
    dtype = jax.tree.leaves(params)[0].dtype
    points = jnp.stack([jnp.asarray(x, dtype) for x in _grid()], axis=-1)
    one = problems.solution(*built)
    return np.asarray(
        jax.jit(jax.vmap(jax.vmap(one, (None, 0)), (None, 0)))(params, points)
    )


def _measures(trained: Trained) -> dict[str, float]:
    """The error in L² relative to the solution, and the largest one."""
    true = true_solution(trained.settings.viscosity, *_grid())
    missed = _solved(trained.subject.built, trained.params) - true
    relative = np.linalg.norm(missed) / np.linalg.norm(true)
    return {
        "relative_error": float(relative),
        "max_error": float(np.abs(missed).max()),
    }


ROWS = {
    "adam": row(build, "adam", 256, lambda b: optax.adam(1e-3)),
    "levenberg_marquardt": row(
        build,
        "levenberg_marquardt",
        2048,
        lambda b: optim.levenberg_marquardt(min_damping=1e-15, method="gram"),
        batch_growth=(256, 512, 1024),
    ),
}


def _figures(run: Run) -> dict[str, plots.Figure]:
    """The solution over space and time, and each method's with its error."""
    t, x = _grid()
    true = true_solution(run.settings.viscosity, t, x)
    found = {name: _solved(run.built, params) for name, params in run.params.items()}
    figure = plots.waves(t[:, 0], x[0], true, found, looks=run.looks)
    return {"solution": figure}


EXPERIMENT = steering(
    "burgers",
    "solve Burgers' equation by a network, from its residual",
    Settings,
    build,
    ROWS,
    seconds=600.0,
    measures=_measures,
    measured=("relative_error", "max_error"),
    published={"levenberg_marquardt": {"relative_error": 8e-14}},
    figures=_figures,
    options=RunOptions(dtype="float64"),
)
