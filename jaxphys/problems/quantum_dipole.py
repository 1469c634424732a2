"""Steer a particle in a box from its ground state to a superposition, by a field.

    i ∂ψ/∂t = [−∂²/∂x² + u(t) x] ψ,    ψ = 0 at x = 0 and x = 2,

on n interior points, in steps of Crank and Nicolson,

    (1 + i Δt H/2) ψ' = (1 − i Δt H/2) ψ,    H = T + u x,

each one tridiagonal solve, in linear time: ψ' = 2φ − ψ with the state φ half way, for
which (1 + i Δt H/2) φ = ψ. H is real and symmetric, so a step is unitary for any u, and
of second order in Δt. A network reads the target state and chooses the fields u of all
steps at once. Complex states are passed as stacked (Re, Im).

Setting: Schnell, Holl & Thuerey, Half-Inverse Gradients for Physical Deep Learning,
ICLR 2022, https://arxiv.org/abs/2203.10131, section 3.3.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from jaxphys import losses
from jaxphys.checks import check_count, check_positive, checked
from jaxphys.precision import exact
from jaxphys.trees import check_dtype
from jaxphys.types import Array, Problem

__all__ = [
    "NORM_TOLERANCE",
    "WIDTH",
    "check_normalized",
    "crank_nicolson",
    "eigenstates",
    "end",
    "motion",
    "populations",
    "positions",
    "quantum_dipole",
    "steps_held",
    "superposition",
]

#: The width of the box.
WIDTH = 2.0


def positions(num_points: int) -> np.ndarray:
    """The interior points x of the box, (n,)."""
    return WIDTH * np.arange(1, num_points + 1) / (num_points + 1)


def eigenstates(num_points: int) -> tuple[np.ndarray, np.ndarray]:
    """Energies (n,) and states (n, n), a row each, of the box without a field.

    E_k = (2 − 2 cos(kπ/(n+1)))/dx², φ_k(x_j) ∝ sin(kπj/(n+1)), normalized as vectors.

    Example:
      >>> energies, states = eigenstates(14)
      >>> bool(abs(energies[0] / (np.pi / 2) ** 2 - 1) < 4e-3), states.shape
      (True, (14, 14))
    """
    k = np.arange(1, num_points + 1)
    spacing = WIDTH / (num_points + 1)
    energies = (2 - 2 * np.cos(np.pi * k / (num_points + 1))) / spacing**2
    scale = np.sqrt(2 / (num_points + 1))
    return energies, scale * np.sin(np.pi * np.outer(k, k) / (num_points + 1))


def superposition(coefficients, num_points: int = 14) -> np.ndarray:
    """Σ c_k φ_k over the lowest states, as stacked (Re, Im), shape (2n,).

    Args:
      coefficients: c, one for each of the lowest states, real or complex, Σ |c|² = 1.
      num_points: n.

    Raises:
      ValueError: for more coefficients than states, or ones that are not normalized.

    Example:
      >>> superposition([0.0, 0.6, 0.8]).shape
      (28,)
    """
    c = np.asarray(coefficients)
    if c.ndim != 1 or not 1 <= c.size <= num_points:
        raise ValueError(
            f"superposition got coefficients of shape {c.shape}; expected one vector "
            f"of at most {num_points} numbers, one for each of the lowest states."
        )
    size = float(np.sum(np.abs(c) ** 2))
    if not abs(size - 1) < 1e-6:
        raise ValueError(
            f"superposition got coefficients with Σ |c|² = {size:.6g}; expected 1. "
            f"Divide them by {size**0.5:.6g}."
        )
    state = c @ eigenstates(num_points)[1][: c.size]
    return np.concatenate([state.real, np.imag(state)])


#: By how much the norm of a target may differ from one.
NORM_TOLERANCE = 1e-3


def check_normalized(states: Array) -> None:
    """Raise a ValueError unless all stacked states (N, 2n) have norm one.

    The least infidelity of other states is not zero, and training would not show why.

    Example:
      >>> check_normalized(jnp.ones((1, 4)))
      Traceback (most recent call last):
      ...
      ValueError: target 0 has the norm 2; expected states of norm 1. Divide each by \
its norm.
    """
    norms = np.linalg.norm(np.asarray(states, np.float64), axis=-1)
    wrong = np.flatnonzero(~(np.abs(norms - 1) < NORM_TOLERANCE))
    if len(wrong):
        raise ValueError(
            f"target {wrong[0]} has the norm {norms[wrong[0]]:.4g}; expected states of "
            "norm 1. Divide each by its norm."
        )


@exact
def crank_nicolson(psi: Array, field: Array, dt: float) -> Array:
    """One step of ψ, complex (n,), in a constant field u.

    Example:
      >>> ground = jnp.asarray(eigenstates(14)[1][0], complex)
      >>> print(jnp.round(jnp.linalg.norm(crank_nicolson(ground, 3.0, 0.05)), 5))
      1.0
    """
    n = psi.shape[0]
    spacing = WIDTH / (n + 1)
    at = jnp.asarray(positions(n), psi.dtype)
    energy = 2 / spacing**2 + jnp.asarray(field, psi.dtype) * at
    half = jnp.asarray(0.5j * dt, psi.dtype)
    diagonal, off = 1 + half * energy, -half / spacing**2

    def matrix(phi: Array) -> Array:
        around = jnp.pad(phi, 1)
        return diagonal * phi + off * (around[:-2] + around[2:])

    def solve(matrix: Callable, rhs: Array) -> Array:
        del matrix
        beside = jnp.full(n, off)
        return jax.lax.linalg.tridiagonal_solve(
            beside.at[0].set(0), diagonal, beside.at[-1].set(0), rhs[:, None]
        )[:, 0]

    # The matrix is symmetric, so the derivative is one more such solve with the same
    # matrix; JAX would otherwise differentiate the elimination itself.
    middle = jax.lax.custom_linear_solve(matrix, psi, solve, symmetric=True)
    return 2 * middle - psi


@exact
def motion(control: Array, state: Array, *, dt: float, held: int = 1) -> Array:
    """All states of the motion, complex, (N_t + 1, n).

    Args:
      control: fields u, shape (N_t / held,).
      state: ψ at the start as stacked (Re, Im), shape (2n,).
      dt: the time step.
      held: steps for which each field is held.
    """
    first, fields = _start(control, state, held)

    def step(psi: Array, field: Array) -> tuple[Array, Array]:
        new = crank_nicolson(psi, field, dt)
        return new, new

    _, path = jax.lax.scan(step, first, fields)
    return jnp.concatenate([first[None], path])


@exact
def end(control: Array, state: Array, *, dt: float, held: int = 1) -> Array:
    """The last state of `motion`, complex, (n,); the states before are not kept."""
    first, fields = _start(control, state, held)

    def step(psi: Array, field: Array) -> tuple[Array, None]:
        return crank_nicolson(psi, field, dt), None

    return jax.lax.scan(step, first, fields)[0]


def _start(control: Array, state: Array, held: int) -> tuple[Array, Array]:
    """The first state, complex, and the fields of all steps, in one precision."""
    n = state.shape[0] // 2
    dtype = jnp.result_type(control, state)
    control, state = (jnp.asarray(x, dtype) for x in (control, state))
    return jax.lax.complex(state[:n], state[n:]), jnp.repeat(control, held)


@exact
def populations(path: Array, levels: int = 5) -> Array:
    """|⟨φ_k|ψ⟩|² of the lowest states, shape (…, levels), of complex states (…, n).

    Example:
      >>> print(populations(jnp.asarray(eigenstates(14)[1][1], complex), 3).round(6))
      [0. 1. 0.]
    """
    states = jnp.asarray(eigenstates(path.shape[-1])[1][:levels], path.real.dtype)
    return jnp.abs(path @ states.T) ** 2


@checked(
    num_points=check_count, num_steps=check_count, dt=check_positive, dtype=check_dtype
)
def quantum_dipole(
    num_points: int = 14,
    *,
    num_steps: int = 384,
    dt: float = 0.05,
    num_controls: int | None = None,
    dtype: DTypeLike = jnp.float32,
) -> Problem:
    """The problem of reaching a random real superposition of the states 2 and 3.

    Args:
      num_points: n ≥ 3, interior points of the box.
      num_steps: N_t, the number of time steps.
      dt: Δt > 0. Any is stable; phases of states of energy E are accurate if E Δt ≪ 1.
      num_controls: the number of fields, each held for N_t / num_controls steps; by
        default one per step.
      dtype: of the sampled states.

    Returns:
      A `Problem`; inputs and targets are both the target state, the start is the ground
      state. Its `residual`, (1 − |ψ*⟩⟨ψ*|) ψ, has the infidelity as sum of squares.

    Raises:
      ValueError: for n < 3, Δt ≤ 0, N_t < 1, or controls that do not divide the steps.

    Example:
      >>> problem = quantum_dipole(num_steps=40)
      >>> inputs, targets = problem.sample(jax.random.key(0), 5)
      >>> inputs.shape, problem.simulate(jnp.zeros(40), inputs[0]).shape
      ((5, 28), (28,))
    """
    if num_points < 3:
        raise ValueError(f"num_points is {num_points}; expected 3 or more.")
    held = steps_held(num_steps, num_controls)
    ground = superposition([1.0], num_points)
    second, third = eigenstates(num_points)[1][1:3]

    @exact
    def sample(key: Array, num_samples: int) -> tuple[Array, Array]:
        # Drawn in float32 for every dtype, so that a key gives the same data set.
        c = jax.random.normal(key, (num_samples, 2), jnp.float32).astype(dtype)
        c = c / jnp.linalg.norm(c, axis=1, keepdims=True)
        states = c @ jnp.asarray(np.stack([second, third]), dtype)
        both = jnp.concatenate([states, jnp.zeros_like(states)], axis=1)
        return both, both

    @exact
    def simulate(control: Array, inputs: Array) -> Array:
        expected = num_steps // held
        if control.shape != (expected,):
            raise ValueError(
                f"control has shape {control.shape}; expected ({expected},), a field "
                f"for {held} of {num_steps} time steps each. For a batch use jax.vmap."
            )
        first = jnp.asarray(ground, inputs.dtype)
        last = end(control, first, dt=dt, held=held)
        return jnp.concatenate([last.real, last.imag])

    return Problem(
        name="quantum dipole",
        num_inputs=2 * num_points,
        num_controls=num_steps // held,
        num_outputs=2 * num_points,
        sample=sample,
        simulate=simulate,
        objective=losses.infidelity,
        residual=losses.infidelity_residual,
        check=check_normalized,
    )


def steps_held(num_steps: int, num_controls: int | None) -> int:
    """The number of time steps for which each control is held.

    Raises:
      ValueError: if num_controls does not divide num_steps.

    Example:
      >>> steps_held(384, 96)
      4
    """
    if num_controls is None:
        return 1
    if num_controls < 1 or num_steps % num_controls:
        fits = [n for n in range(1, num_steps + 1) if num_steps % n == 0]
        near = sorted(fits, key=lambda n: abs(n - num_controls))[:3]
        raise ValueError(
            f"num_controls is {num_controls}, which does not divide the {num_steps} "
            f"time steps; take {', '.join(map(str, sorted(near)))}, or other num_steps."
        )
    return num_steps // num_controls
