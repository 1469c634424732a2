"""The logistic equation solved by a network, from its residual alone.

x′ = x (1 − x), x(0) = x₀ = 0.01, t ≤ 10, by a network 1-32-1 with tanh; the solution is
1/(1 + (1/x₀ − 1) e^(−t)). The start holds for any weights, x = x₀ + t·net, and the
network reads 0.6 t − 3.

x = 0 solves the equation, too. A network may fall from x₀ to it between t = 0 and the
first point, and there most trainings end whose rows all count the same. What is missed
at s is missed e^(t − s)-fold at t, as long as x is small, so early rows have to count
more: each is multiplied by e^(−t/2). Weight, points and batches are ours.
"""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

from jaxphys import optim, plots, problems
from jaxphys.experiments.control.rows import Steering, row, steering
from jaxphys.experiments.experiment import Run, RunOptions, Trained
from jaxphys.types import Array, Problem

__all__ = ["EXPERIMENT", "ROWS", "Settings", "build", "equation", "true_solution"]


@dataclasses.dataclass(frozen=True)
class Settings:
    """Solve the logistic equation by a network.

    Attributes:
      start: x₀, between 0 and 1.
      duration: how far the solution goes, from t = 0.
      causality: c of the rows' weight e^(−c t).
      samples: points of the training set, and of the test set.
      hidden: units of each hidden layer.
    """

    start: float = 0.01
    duration: float = 10.0
    causality: float = 0.5
    samples: int = 512
    hidden: tuple[int, ...] = (32,)


def equation(settings: Settings, dtype: jnp.dtype) -> Problem:
    """The logistic equation as a problem."""

    def missed(x: Callable[[Array], Array], t: Array) -> Array:
        value, rate = problems.derivatives(x, t, order=1)
        return jnp.exp(-settings.causality * t) * (rate - value * (1 - value))

    def point(key: Array) -> Array:
        # Drawn in float32 for every dtype, so that a key gives the same data set.
        unit = jax.random.uniform(key, (), jnp.float32)
        return (settings.duration * unit).astype(dtype)

    def started(net: Callable[[Array], Array], t: Array) -> Array:
        return settings.start + t * net(6 * t / settings.duration - 3)

    return problems.residual(missed, point, ansatz=started, name="logistic equation")


def build(settings: Settings, dtype: jnp.dtype) -> Steering:
    """The equation, and the network that solves it."""
    problem = equation(settings, dtype)
    return Steering.perceptron(problem, settings, dtype, activation="tanh")


def true_solution(settings: Settings, t: Array) -> Array:
    """1/(1 + (1/x₀ − 1) e^(−t))."""
    return 1 / (1 + (1 / settings.start - 1) * jnp.exp(-t))


def _times(settings: Settings) -> Array:
    return jnp.linspace(0.0, settings.duration, 1001)


def _measures(trained: Trained) -> dict[str, float]:
    """The largest error over the whole time."""
    t = _times(trained.settings)
    found = jax.jit(jax.vmap(problems.solution(*trained.subject.built), (None, 0)))
    missed = found(trained.params, t) - true_solution(trained.settings, t)
    return {"max_error": float(jnp.max(jnp.abs(missed)))}


ROWS = {
    "adam": row(build, "adam", 64, lambda b: optax.adam(3e-3)),
    "levenberg_marquardt": row(
        build,
        "levenberg_marquardt",
        512,
        lambda b: optim.levenberg_marquardt(min_damping=1e-17),
    ),
}


def _figures(run: Run) -> dict[str, plots.Figure]:
    """What each method makes of the solution, and its error."""
    t = _times(run.settings)
    found = jax.jit(jax.vmap(problems.solution(*run.built), (None, 0)))
    curves = {name: found(params, t) for name, params in run.params.items()}
    true = true_solution(run.settings, t)
    return {"solution": plots.solutions(t, true, curves, looks=run.looks)}


EXPERIMENT = steering(
    "logistic",
    "solve the logistic equation by a network, from its residual",
    Settings,
    build,
    ROWS,
    seconds=5.0,
    milestones=(1e-6, 1e-10),
    measures=_measures,
    measured=("max_error",),
    figures=_figures,
    options=RunOptions(dtype="float64"),
)
