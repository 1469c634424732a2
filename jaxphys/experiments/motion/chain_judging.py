"""How learned motions of a chain of pendula are judged: by where its masses are.

Errors are of Cartesian positions and velocities, relative, from the first states of
test motions. Figures show the first pendulum's angle.
"""

import jax
import jax.numpy as jnp
import numpy as np

from jaxphys import metrics
from jaxphys.experiments import figures, measures
from jaxphys.experiments.experiment import Run, Samples, Trained
from jaxphys.experiments.motion.chain_pieces import DT, chain
from jaxphys.motion import Motion, of_system
from jaxphys.types import Array, PyTree, State, TangentState, required

__all__ = ["draw", "errors"]


def errors(trained: Trained) -> dict[str, float]:
    """Geometric means over T = 3, and their geometric mean over trajectories."""
    (true,) = trained.samples.test
    found = measures.predicted(trained.subject.built, trained.params, true, DT / 3)
    system = chain(trained.settings.links)
    place = required(system, "points")

    def masses(q: Array) -> Array:
        """The places of all masses, (2 links,)."""
        return place(system.params, q)[1:].ravel()

    @jax.vmap
    def cartesian(y: State) -> Array:
        """Positions and velocities of all masses, (4 links,)."""
        return jnp.concatenate(jax.jvp(masses, (y[0],), (y[1],)))

    @jax.jit
    def error(found: State, true: State) -> Array:
        return metrics.relative_error(cartesian(found), cartesian(true))

    wanted = jax.tree.map(lambda x: jnp.asarray(x, found.q.dtype), true.y)
    in_time = jax.vmap(error)(found, wanted)
    in_time = jnp.where(jnp.isfinite(in_time), in_time, 1e3)
    geometric, valid = measures.over_time(in_time, true.t)
    return {
        "rollout_error": float(jnp.exp(jnp.mean(jnp.log(geometric)))),
        "valid_time": float(jnp.median(valid)),
    }


def draw(run: Run) -> figures.Figures:
    """Paths and energies of motions, and fields in a section.

    In the section the first pendulum has any angle and velocity, the rest hang still.
    """
    links = run.settings.links
    system = chain(links)
    true = Motion(of_system(system, TangentState))
    constants = jax.tree.map(jnp.asarray, system.params)
    axes = (np.linspace(-np.pi, np.pi, 61), np.linspace(-4.0, 4.0, 61))
    still = np.zeros((2, links))

    def shown(motion: Motion, params: PyTree, samples: Samples) -> figures.Shown:
        (long,) = samples.test
        y = long.y
        if motion is not true:
            y = measures.predicted(motion, params, long, DT / 3)
        y = jax.tree.map(lambda x: jnp.asarray(x[:20], float), y)
        moved = measures.with_energy(long.t, y, true.energy(constants, y))
        return moved, measures.field_grid(motion.dynamics, params, axes, still)

    return figures.motion_figures(
        run,
        axes,
        shown,
        (true, constants),
        names=(r"$\theta_1$ [rad]", r"$\dot{\theta}_1$ [1]"),
        system=system,
        parts=(r"d\theta_1/dt", r"d\dot{\theta}_1/dt"),
    )
