"""Steer a chain of oscillators back to its initial state, by a force on its last mass.

The chain moves from the initial state (q, v) for a time T = N_t Δt. The only control is
a force u(t) on the last mass, constant over each of N_t steps of RK4. A network reads
the target and chooses all N_t forces at once; the loss is |y(T) − y*|².
Setting: Schnell, Holl & Thuerey, ICLR 2022, and Physics-based Deep Learning,
https://physicsbaseddeeplearning.org.
"""

import functools

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxphys import integrators, losses, mechanics, systems
from jaxphys.checks import check_count, check_number, check_positive, checked
from jaxphys.names import check_known
from jaxphys.precision import exact
from jaxphys.trees import check_dtype
from jaxphys.types import Array, PhaseState, Problem, System, required

__all__ = ["chain", "motion", "oscillator_control", "stability_limit"]

_COUPLINGS = {"linear": systems.linear_chain, "quartic": systems.quartic_chain}


def chain(num_oscillators: int = 2, coupling: str = "linear") -> System:
    """The chain with linear or quartic coupling, "linear" or "quartic"."""
    return _COUPLINGS[check_known("coupling", coupling, _COUPLINGS)](num_oscillators)


@exact
def motion(
    system: System, control: Array, state: Array, *, dt: float, points: int = 1
) -> tuple[Array, PhaseState]:
    """The controlled trajectory, as the problem computes it.

    Args:
      system: a system with unit masses, so that momenta are velocities.
      control: forces on the last mass, shape (N_t,).
      state: (q, v) at the start, shape (2N,).
      dt: the time each force is held, one RK4 step.
      points: states per step; those inside a step are shorter RK4 steps from its
        start.

    Returns:
      Times, shape (N_t · points + 1,), and a PhaseState of arrays (…, N) at them.
    """
    arguments = _arguments(system, control, state, dt)
    nodes = integrators.rollout(**arguments)
    ends = jax.tree.map(lambda x: x[:-1], nodes)
    fractions = dt * jnp.arange(points, dtype=state.dtype) / points

    def between(y: PhaseState, u: Array, part: Array) -> PhaseState:
        return arguments["step"](0.0, y, part, (system.params, u))

    inner = jax.vmap(jax.vmap(between, (None, None, 0)), (0, 0, None))
    dense = inner(ends, control, fractions)
    path = jax.tree.map(
        lambda x, last: jnp.concatenate([x.reshape(-1, x.shape[-1]), last[-1:]]),
        dense,
        nodes,
    )
    times = jnp.arange(len(control) * points + 1) * (dt / points)
    return times, path


def _arguments(system: System, control: Array, state: Array, dt: float) -> dict:
    """The arguments of `repeat` and `rollout` for the controlled chain."""
    num = len(system.periodic)
    if state.shape != (2 * num,):
        raise ValueError(
            f"state has shape {state.shape}; expected positions and velocities of "
            f"{num} oscillators, ({2 * num},). For a batch of states use jax.vmap."
        )
    last = jnp.zeros(num, state.dtype).at[-1].set(1)
    energy = mechanics.controlled(required(system, "hamiltonian"), lambda u: u * last)
    return {
        "step": integrators.rk4(mechanics.hamiltonian_vector_field(energy)),
        "y0": PhaseState(state[:num], state[num:]),
        "dt": dt,
        "num_steps": control.shape[0],
        "args": system.params,
        "controls": control,
    }


@checked(
    num_oscillators=check_count,
    num_steps=check_count,
    dt=check_positive,
    gain=check_number,
    dtype=check_dtype,
)
def oscillator_control(
    num_oscillators: int = 2,
    coupling: str = "linear",
    *,
    num_steps: int = 24,
    dt: float = 0.5,
    gain: float = 1.0,
    dtype: DTypeLike = jnp.float32,
) -> Problem:
    """The problem of returning N oscillators to their initial state at T = N_t Δt.

    Args:
      num_oscillators: N ≥ 1.
      coupling: "linear", the chain of the published code, or "quartic", the chain of
        its printed Hamiltonian.
      num_steps: N_t, the number of forces and of RK4 steps.
      dt: Δt > 0; RK4 is stable here up to 2√2/ω, ω the highest frequency of the chain's
        small oscillations. Large oscillations of the quartic chain are faster and need
        a smaller Δt.
      gain: force on the last mass for a control of one.
      dtype: of the sampled states.

    Returns:
      A `Problem`; inputs and targets are both the initial state, uniform in [0, 1).

    Raises:
      ValueError: for N < 1, Δt ≤ 0 or too large, N_t < 1, or an unknown coupling.

    Example:
      >>> import jax
      >>> problem = oscillator_control(num_oscillators=3)
      >>> inputs, targets = problem.sample(jax.random.key(0), 5)
      >>> inputs.shape, problem.simulate(jax.numpy.zeros(24), inputs[0]).shape
      ((5, 6), (6,))
    """
    system = chain(num_oscillators, coupling)
    limit = _limit(num_oscillators, coupling)
    if dt > limit:
        raise ValueError(
            f"dt is {dt}; RK4 is stable for this chain's small oscillations up to "
            f"{limit:.3g}, 2√2 over their highest frequency. Take a smaller dt and "
            "more steps."
        )

    def sample(key: Array, num_samples: int) -> tuple[Array, Array]:
        shape = (num_samples, 2 * num_oscillators)
        # Drawn in float32 for every dtype, so that a key gives the same data set.
        states = jax.random.uniform(key, shape, jnp.float32).astype(dtype)
        return states, states

    @exact
    def simulate(control: Array, inputs: Array) -> Array:
        arguments = _arguments(system, gain * control, inputs, dt)
        return jnp.concatenate(integrators.repeat(**arguments))

    return Problem(
        name=f"{num_oscillators} oscillators, {coupling} coupling",
        num_inputs=2 * num_oscillators,
        num_controls=num_steps,
        num_outputs=2 * num_oscillators,
        sample=sample,
        simulate=simulate,
        objective=losses.squared_error,
    )


@functools.cache
def _limit(num_oscillators: int, coupling: str) -> float:
    """The `stability_limit` of a chain, which rows of a comparison ask for in turn."""
    return stability_limit(chain(num_oscillators, coupling))


def stability_limit(system: System) -> float:
    """The largest Δt at which RK4 keeps the chain's small oscillations bounded.

    RK4's stability region meets the imaginary axis at 2√2, so Δt ω_max ≤ 2√2, with
    ω² the eigenvalues of the potential's Hessian at rest.
    """
    rest = jnp.zeros(len(system.periodic))
    hessian = jax.hessian(required(system, "hamiltonian"), argnums=1)
    stiffness = hessian(system.params, rest, rest)
    return float(jnp.sqrt(8 / jnp.linalg.eigvalsh(stiffness)[-1]))
