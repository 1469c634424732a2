"""A pole swung up by its cart: one policy for all starts near the hanging rest.

The cart is pushed by |u| ≤ 20; a network reads position, the cosine and sine of the
angle, and both velocities, and acts every 0.03 for 100 steps. The cost counts a
fiftieth until t = 1.8: the way up is free, from then on the pole is to stand at the
middle of the track. The acceleration is read off the Lagrangian by
`mechanics.lagrangian_vector_field`. Masses and length are those of `systems.cart_pole`;
cost, starts, network, batches and rates are ours.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxphys import integrators, mechanics, models, optim, plots, problems, systems
from jaxphys.experiments.control.policies import followed
from jaxphys.experiments.control.rows import Steering, row, steering
from jaxphys.experiments.experiment import Keys, Run, Trained
from jaxphys.types import Array, Model, Problem, PyTree, TangentState

__all__ = ["EXPERIMENT", "ROWS", "Settings", "build", "drawn", "swinging"]

#: Fresh starts that are judged, and the cosine from which a pole stands.
_JUDGED, _UPRIGHT = 256, 0.95
#: Until then the cost counts little; the largest push.
_FREE, _LARGEST = 1.8, 20.0


@dataclasses.dataclass(frozen=True)
class Settings:
    """Swing a pole up by pushing its cart, from starts that were not seen.

    Attributes:
      control_steps: how often the policy acts.
      dt: for how long it holds a push.
      samples: size of the training set, and of the test set.
      hidden: units of each hidden layer.
      extent: starts are so far from rest in each coordinate and velocity, at most.
    """

    control_steps: int = 100
    dt: float = 0.03
    samples: int = 256
    hidden: tuple[int, ...] = (16, 16)
    extent: float = 0.5


def swinging(settings: Settings, dtype: jnp.dtype, steps: int | None = None) -> Problem:
    """The cart and its pole as a problem of feedback.

    Args:
      settings: of the experiment.
      dtype: of the states.
      steps: another horizon than that of the settings.
    """
    pole = systems.cart_pole
    pushed = mechanics.controlled_lagrangian(
        pole.lagrangian, lambda u: jnp.append(u, 0 * u)
    )

    def observe(t: Array, y: TangentState) -> Array:
        (x, angle), (v, rate) = y
        return jnp.stack([x, jnp.cos(angle), jnp.sin(angle), v / 3, rate / 5])

    def stage(t: Array, y: TangentState, u: Array) -> Array:
        (x, angle), v = y
        missed = jnp.stack([x, jnp.cos(angle) - 1, jnp.sin(angle), *(0.1 * v)])
        weight = settings.dt * jnp.where(t < _FREE, 0.02, 1.0)
        rows = jnp.append(missed, 0.01 * u)
        return jnp.sqrt(weight).astype(rows.dtype) * rows

    def start(key: Array) -> TangentState:
        # Drawn in float32 for every dtype, so that a key gives the same data set.
        unit = jax.random.uniform(key, (2, 2), jnp.float32, -1.0, 1.0)
        q, v = (settings.extent * unit).astype(dtype)
        return TangentState(q.at[1].add(np.pi), v)

    return problems.feedback(
        integrators.rk4(mechanics.lagrangian_vector_field(pushed)),
        stage,
        start,
        dt=settings.dt,
        num_steps=steps or settings.control_steps,
        params=pole.params,
        observe=observe,
        name="swing a pole up",
    )


def build(settings: Settings, dtype: jnp.dtype) -> Steering:
    """The cart and its pole, and a network that pushes."""
    sizes = (5, *settings.hidden, 1)
    network = models.mlp(sizes, activation="tanh", dtype=dtype)

    def push(params: PyTree, seen: Array) -> Array:
        return _LARGEST * jnp.tanh(network.apply(params, seen))

    return Steering(swinging(settings, dtype), Model(network.init, push))


def _measures(trained: Trained) -> dict[str, float]:
    """The share of fresh starts whose pole stands at the end, and from t = 2 on."""
    path = followed(trained.subject.built, trained.params, trained.keys, _JUDGED)
    standing = np.cos(np.asarray(path.y.q[..., 1])) > _UPRIGHT
    late = np.asarray(path.t[0]) >= 2.0
    return {
        "upright": float(np.mean(standing[:, -1])),
        "upright_throughout": float(np.mean(np.all(standing[:, late], axis=1))),
    }


ROWS = {
    "adam": row(build, "adam", 64, lambda b: optax.adam(3e-3)),
    "levenberg_marquardt": row(
        build, "levenberg_marquardt", 64, lambda b: optim.levenberg_marquardt()
    ),
}


def drawn(built: Steering, params: PyTree, keys: Keys) -> plots.Figure:
    """Motions from six fresh starts under a policy."""
    path = followed(built, params, keys, 6)
    states = {
        "position of the cart [1]": path.y.q[..., 0],
        "angle of the pole [rad]": path.y.q[..., 1],
    }
    return plots.closed_loop(path.t[0], states, path.u[..., 0], "push $u$ [1]")


def _figures(run: Run) -> dict[str, plots.Figure]:
    """Those under the policy of the lowest loss."""
    return {"motion": drawn(run.built, run.params[run.best], run.keys)}


EXPERIMENT = steering(
    "swing_up",
    "swing a pole up by pushing its cart, by a policy that acts at every step",
    Settings,
    build,
    ROWS,
    seconds=120.0,
    milestones=(1.0, 0.3),
    measures=_measures,
    measured=("upright", "upright_throughout"),
    figures=_figures,
)
