"""Coupled oscillators, steered back to their start: every method side by side.

The experiment of the Physics-based Deep Learning book's chapter on half-inverse
gradients, with its published settings, true-step variants of its baselines, and two
damped methods. 2 oscillators, 24 forces, 4096 initial states, network 4-20-20-20-24.
"""

import dataclasses

import jax
import jax.numpy as jnp
import optax

from jaxphys import models, optim, plots, problems
from jaxphys.experiments import control, runner
from jaxphys.experiments.runner import Method, RunOptions, Trained
from jaxphys.problems.oscillator_control import chain, motion
from jaxphys.types import Model, Problem


@dataclasses.dataclass(frozen=True)
class Config:
    """Steer coupled oscillators back to where they started.

    Attributes:
      options: what every run understands.
      oscillators: their number N.
      coupling: `linear`, as in the published code, or `quartic`, as in its text.
      control_steps: the number of forces, and of time steps.
      dt: the time each force is held.
      samples: size of the training set, and of the test set.
      hidden: units of each hidden layer.
    """

    options: RunOptions = RunOptions()
    oscillators: int = 2
    coupling: str = "linear"
    control_steps: int = 24
    dt: float = 0.5
    samples: int = 4096
    hidden: tuple[int, ...] = (20, 20, 20)


METHODS = {
    "adam": Method(256, lambda b: optax.adam(1e-3)),
    "sip": Method(256, lambda b: optax.adam(1e-3), control.proxy(lambda b: 2 / b)),
    "sip_true_step": Method(
        256, lambda b: optax.adam(1e-3), control.proxy(lambda b: 1.0)
    ),
    "hig": Method(32, lambda b: optim.hig(1.0, rcond=1e-10)),
    "gauss_newton": Method(32, lambda b: optim.gauss_newton(1.0, rcond=1e-6)),
    "gauss_newton_true_step": Method(
        32, lambda b: optim.gauss_newton(b / 2, rcond=1e-6)
    ),
    "levenberg_marquardt": Method(32, lambda b: optim.levenberg_marquardt()),
    "spring": Method(32, lambda b: optim.spring()),
}


def build(config: Config = Config()) -> tuple[Problem, Model]:
    """The problem and the network of a config."""
    dtype = runner.model_dtype(config.options)
    problem = problems.oscillator_control(
        config.oscillators,
        config.coupling,
        num_steps=config.control_steps,
        dt=config.dt,
        dtype=dtype,
    )
    sizes = (problem.num_inputs, *config.hidden, problem.num_controls)
    return problem, models.mlp(sizes, dtype=dtype)


def run(config: Config = Config()) -> Trained:
    """Train every chosen method, print the table, write results and figures."""
    return control.run("oscillators", build(config), METHODS, config, draw)


def draw(config: Config, model: Model, params: dict, best: str) -> dict:
    """The motion of one chain."""
    return {"motion": motion_figure(config, model, params[best])}


def motion_figure(config: Config, model: Model, params):
    """One fresh initial state, with the network's control and without any."""
    problem, _ = build(config)
    key = jax.random.fold_in(jax.random.key(config.options.seed), 4)
    (state,), _ = problem.sample(key, 1)
    system = chain(config.oscillators, config.coupling)
    forces = model.apply(params, state)
    (times, controlled), (_, free) = (
        motion(system, u, state, dt=config.dt, points=16)
        for u in (forces, jnp.zeros_like(forces))
    )
    return plots.controlled_motion(times, controlled, free, forces)
