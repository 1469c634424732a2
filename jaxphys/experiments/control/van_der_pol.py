"""Van der Pol's oscillator brought to rest: one policy for all starts.

x′ = y, y′ = (1 − x²) y − x + u for T = 10, and a policy u = π(x, y, t) that acts every
0.1. What is lowered is the left Riemann sum of x² + y² + 0.1 u². From (2, 2) that is
41.50 without control; 30 controls, each held for a third, reach 8.606, and 100 of them
8.393. Network, starts in [−2, 2]², batches and rates are ours. `excess` compares the
policy, from fresh starts, with controls that are optimized for each of them.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxphys import integrators, optim, plots, problems
from jaxphys.experiments.control.policies import costs, followed, optimal_costs
from jaxphys.experiments.control.rows import Steering, row, steering
from jaxphys.experiments.experiment import Keys, Run, Trained
from jaxphys.types import Array, Problem, PyTree

__all__ = ["EXPERIMENT", "ROWS", "Settings", "build", "drawn", "oscillator"]

#: Fresh starts for which controls are optimized.
_JUDGED = 32


@dataclasses.dataclass(frozen=True)
class Settings:
    """Bring van der Pol's oscillator to rest, from everywhere.

    Attributes:
      control_steps: how often the policy acts.
      duration: T, in which it does.
      samples: size of the training set, and of the test set.
      hidden: units of each hidden layer.
      extent: starts are drawn from a square of this half width.
    """

    control_steps: int = 100
    duration: float = 10.0
    samples: int = 512
    hidden: tuple[int, ...] = (16, 16)
    extent: float = 2.0


def _field(t: Array, y: Array, args: tuple[None, Array]) -> Array:
    (u,) = args[1]
    return jnp.stack([y[1], (1 - y[0] ** 2) * y[1] - y[0] + u])


def oscillator(settings: Settings, dtype: jnp.dtype) -> Problem:
    """The oscillator as a problem of feedback; the policy knows the time."""
    dt = settings.duration / settings.control_steps

    def stage(t: Array, y: Array, u: Array) -> Array:
        return jnp.sqrt(jnp.asarray(dt, y.dtype)) * jnp.append(y, 0.1**0.5 * u)

    def start(key: Array) -> Array:
        # Drawn in float32 for every dtype, so that a key gives the same data set.
        unit = jax.random.uniform(key, (2,), jnp.float32, -1.0, 1.0)
        return (settings.extent * unit).astype(dtype)

    return problems.feedback(
        integrators.rk4(_field),
        stage,
        start,
        dt=dt,
        num_steps=settings.control_steps,
        substeps=3,
        observe=lambda t, y: jnp.append(y, t / settings.duration),
        name="van der Pol's oscillator",
    )


def build(settings: Settings, dtype: jnp.dtype) -> Steering:
    """The oscillator, and a network that reads state and time."""
    problem = oscillator(settings, dtype)
    return Steering.perceptron(problem, settings, dtype, activation="tanh")


def _measures(trained: Trained) -> dict[str, float]:
    """How far the policy's costs are above the least ones, relatively."""
    problem, model = trained.subject.built
    steps = trained.settings.control_steps
    starts, _ = problem.sample(trained.keys.draw, _JUDGED)

    @jax.jit
    def judged(params: PyTree, starts: Array) -> Array:
        found = costs(problem, model, params, starts)
        return found / optimal_costs(problem, steps, starts) - 1

    excess = np.asarray(judged(trained.params, starts))
    return {"excess": float(np.median(excess)), "worst_excess": float(excess.max())}


ROWS = {
    "adam": row(build, "adam", 64, lambda b: optax.adam(3e-3)),
    "levenberg_marquardt": row(
        build, "levenberg_marquardt", 32, lambda b: optim.levenberg_marquardt()
    ),
}


def drawn(built: Steering, params: PyTree, keys: Keys) -> plots.Figure:
    """Motions from six fresh starts under a policy."""
    path = followed(built, params, keys, 6)
    states = {"$x$ [1]": path.y[..., 0], "$y$ [1]": path.y[..., 1]}
    return plots.closed_loop(path.t[0], states, path.u[..., 0])


def _figures(run: Run) -> dict[str, plots.Figure]:
    """Those under the policy of the lowest loss."""
    return {"motion": drawn(run.built, run.params[run.best], run.keys)}


EXPERIMENT = steering(
    "van_der_pol",
    "bring van der Pol's oscillator to rest, by a policy that acts at every step",
    Settings,
    build,
    ROWS,
    seconds=60.0,
    milestones=(4.0, 3.0),
    measures=_measures,
    measured=("excess", "worst_excess"),
    figures=_figures,
)
