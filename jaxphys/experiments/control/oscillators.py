"""Coupled oscillators, steered back to their start: every method side by side.

The experiment of the Physics-based Deep Learning book's chapter on half-inverse
gradients, with its published settings, true-step variants of its baselines, and two
damped methods. 2 oscillators, 24 forces, 4096 initial states, network 4-20-20-20-24.
"""

import dataclasses

import jax
import jax.numpy as jnp
import optax

from jaxphys import optim, plots, problems
from jaxphys.experiments.control.rows import Steering, row, steering, stepped
from jaxphys.experiments.experiment import Run
from jaxphys.problems.oscillator_control import chain, motion
from jaxphys.types import Array, PhaseState, PyTree

__all__ = [
    "EXPERIMENT",
    "ROWS",
    "Settings",
    "build",
    "motion_figure",
    "steered_chain",
]


@dataclasses.dataclass(frozen=True)
class Settings:
    """Steer coupled oscillators back to where they started.

    Attributes:
      oscillators: their number N.
      coupling: `linear`, as in the published code, or `quartic`, as in its text.
      control_steps: the number of forces, and of time steps.
      dt: the time each force is held.
      samples: size of the training set, and of the test set.
      hidden: units of each hidden layer.
    """

    oscillators: int = 2
    coupling: str = "linear"
    control_steps: int = 24
    dt: float = 0.5
    samples: int = 4096
    hidden: tuple[int, ...] = (20, 20, 20)


def build(settings: Settings, dtype: jnp.dtype) -> Steering:
    """The chain, and the network that steers it."""
    problem = problems.oscillator_control(
        settings.oscillators,
        settings.coupling,
        num_steps=settings.control_steps,
        dt=settings.dt,
        dtype=dtype,
    )
    return Steering.perceptron(problem, settings, dtype)


def _adam(batch_size: int) -> optax.GradientTransformation:
    return optax.adam(1e-3)


ROWS = {
    "adam": row(build, "adam", 256, _adam),
    "sip": row(build, "sip", 256, _adam, proxy=stepped(lambda b: 2 / b)),
    "sip_true_step": row(
        build, "sip_true_step", 256, _adam, proxy=stepped(lambda b: 1.0)
    ),
    "hig": row(build, "hig", 32, lambda b: optim.hig(1.0, rcond=1e-10)),
    "gauss_newton": row(
        build, "gauss_newton", 32, lambda b: optim.gauss_newton(1.0, rcond=1e-6)
    ),
    "gauss_newton_true_step": row(
        build,
        "gauss_newton_true_step",
        32,
        lambda b: optim.gauss_newton(b / 2, rcond=1e-6),
    ),
    # From a damping of one the first steps are short, and one network in eight ends in
    # a valley forty times above the median; long first steps leave it.
    "levenberg_marquardt": row(
        build,
        "levenberg_marquardt",
        32,
        lambda b: optim.levenberg_marquardt(damping=3e-4),
    ),
    "spring": row(build, "spring", 32, lambda b: optim.spring()),
}


def _figures(run: Run) -> dict[str, plots.Figure]:
    """The motion of one chain, under the best network's control."""
    return {"motion": motion_figure(run, run.params[run.best])}


def motion_figure(run: Run, params: PyTree) -> plots.Figure:
    """One fresh initial state, with the network's control and without any."""
    return steered_chain(run, params, run.settings.coupling, points=16)


def steered_chain(
    run: Run, params: PyTree, coupling: str, *, gain: float = 1.0, points: int
) -> plots.Figure:
    """A chain from a fresh initial state, with the network's control and without any.

    Args:
      run: of an experiment whose settings have `oscillators` and `dt`.
      params: of the network.
      coupling: of the chain.
      gain: force for a control of one.
      points: to draw in each time step.
    """
    settings, (problem, model) = run.settings, run.built
    (state,), _ = problem.sample(run.keys.draw, 1)
    system = chain(settings.oscillators, coupling)
    forces = gain * model.apply(params, state)

    @jax.jit
    def moved(u: Array) -> tuple[Array, PhaseState]:
        return motion(system, u, state, dt=settings.dt, points=points)

    (times, controlled), (_, free) = moved(forces), moved(jnp.zeros_like(forces))
    return plots.controlled_motion(times, controlled, free, forces)


EXPERIMENT = steering(
    "oscillators",
    "steer coupled oscillators back to where they started",
    Settings,
    build,
    ROWS,
    figures=_figures,
)
