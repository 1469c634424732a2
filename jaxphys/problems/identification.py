"""Recover a system's constants from noisy measurements of its motion.

A system is released several times from one state that is not known exactly, and driven
along its first coordinate by a known force u(t). Its coordinates are measured, with
noise. The constants and the release state are found by nonlinear least squares through
a simulator: their motion, by RK4, is to be nearest to the measurements.

The force is necessary. Without it, L and any multiple of L have the same motion, so the
data determine only ratios of the masses: the derivative of the trajectory by a common
factor of all masses is zero. A known force gives the scale.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxphys import integrators, mechanics
from jaxphys.checks import (
    check_count,
    check_not_negative,
    check_number,
    check_positive,
    checked,
    has,
)
from jaxphys.names import check_known
from jaxphys.optim import linearise
from jaxphys.trees import check_dtype
from jaxphys.types import (
    Array,
    Model,
    PhaseState,
    Problem,
    PyTree,
    System,
    TangentState,
    VectorField,
    required,
)

__all__ = ["guess", "identification", "known_force", "standard_errors", "truth"]


def known_force(
    key: Array, num_steps: int, dt: float, amplitude: float, dtype: DTypeLike
) -> Array:
    """A sine of random phase, 0.3 to 1 oscillations a unit of time, shape (num_steps,).

    It is held over each step at its value in the step's middle.
    """
    # Drawn in float32 for every dtype, so that a key always gives the same force.
    pace, phase = jax.random.uniform(key, (2,), jnp.float32).astype(dtype)
    middles = dt * (jnp.arange(num_steps, dtype=dtype) + 0.5)
    return amplitude * jnp.sin(2 * jnp.pi * ((0.3 + 0.7 * pace) * middles + phase))


def _check(system: System, unknown: Sequence[str], release: TangentState) -> None:
    required(system, "hamiltonian")
    required(system, "lagrangian")
    if not unknown:
        raise ValueError(
            "unknown is empty: nothing to identify; name at least one constant."
        )
    for name in unknown:
        value = getattr(
            system.params, check_known("constant", name, system.params._fields)
        )
        if jnp.ndim(value) or not value > 0:
            raise ValueError(
                f"{name} is {value}; expected one number > 0, because its logarithm is "
                "fitted."
            )
    shape = (len(system.periodic),)
    if jnp.shape(release.q) != shape or jnp.shape(release.v) != shape:
        raise ValueError(
            f"release has q of shape {jnp.shape(release.q)} and v of shape "
            f"{jnp.shape(release.v)}; {system.name} needs both of shape {shape}."
        )


def truth(
    system: System,
    unknown: Sequence[str],
    release: TangentState,
    dtype: DTypeLike = float,
) -> Array:
    """The true values of all unknowns: (log constants, positions, velocities).

    Logarithms keep constants positive, and an error in one is a relative error of the
    constant.

    Example:
      >>> from jaxphys import systems
      >>> release = TangentState(jnp.array([0.5]), jnp.zeros(1))
      >>> pendulum = systems.pendulum(length=1.0)
      >>> print(truth(pendulum, ["length"], release, jnp.float32))
      [0.  0.5 0. ]
    """
    _check(system, unknown, release)
    constants = [getattr(system.params, name) for name in unknown]
    logs = jnp.log(jnp.asarray(constants, dtype))
    return jnp.concatenate([logs, *(jnp.asarray(x, dtype) for x in release)])


def _driven_field(system: System) -> VectorField:
    """Hamilton's equations with args (params, force), the force on the first q."""
    energy, friction = required(system, "hamiltonian"), system.dissipation

    def push(force: Array) -> Array:
        return jnp.zeros(len(system.periodic), force.dtype).at[0].set(force)

    return mechanics.hamiltonian_vector_field(
        mechanics.controlled(energy, push),
        dissipation=friction and (lambda args, q, v: friction(args[0], q, v)),
    )


@checked(
    num_steps=check_count,
    dt=check_positive,
    substeps=check_count,
    amplitude=check_number,
    dtype=check_dtype,
    system=has("a System", "params", "sample"),
    noise=check_not_negative,
    release=has("a TangentState", "q", "v"),
)
def identification(
    system: System,
    unknown: Sequence[str],
    release: TangentState,
    *,
    num_steps: int = 100,
    dt: float = 0.02,
    substeps: int = 1,
    noise: float = 0.01,
    amplitude: float = 3.0,
    dtype: DTypeLike = float,
) -> Problem:
    """The problem of finding a system's constants from its driven motion.

    Args:
      system: the system with its true constants; it needs a Hamiltonian and a
        Lagrangian, and its unknown constants are scalars > 0. Its dissipation is
        included.
      unknown: names of the constants to be found; the others are known.
      release: the initial state of each motion, n positions and velocities.
      num_steps: N_t; the coordinates are measured at N_t + 1 times, the release
        included.
      dt: time between two measurements, over which the force is held.
      substeps: steps of RK4 between two measurements.
      noise: σ, standard deviation of each measured coordinate, in its unit.
      amplitude: of the generalized force on the first coordinate. At zero the scale of
        the masses is undetermined.
      dtype: of the samples.

    Returns:
      A `Problem` of one motion per sample: inputs are its force, (N_t,), targets its
      measured coordinates, ((N_t + 1) n,), and the control is the vector of unknowns,
      (k + 2n,), in the order of `truth`. The objective is the mean squared residual.

    Raises:
      ValueError: for unknown names, constants that are not scalars > 0, a noise below
        zero, or a release or time grid of the wrong size.

    Example:
      >>> from jaxphys import systems
      >>> release = TangentState(jnp.array([0.5, 0.5]), jnp.zeros(2))
      >>> names = ("mass1", "mass2")
      >>> problem = identification(systems.get("double_pendulum"), names, release)
      >>> problem.num_inputs, problem.num_controls, problem.num_outputs
      (100, 6, 202)

    Reference: Ljung, System Identification: Theory for the User, 2nd ed. 1999, § 7.
    """
    if not isinstance(unknown, Sequence):
        raise TypeError(f"unknown is {unknown!r}; expected names of constants.")
    actual = truth(system, unknown, release, dtype)
    n, k = len(system.periodic), len(unknown)
    step = integrators.rk4(_driven_field(system))
    momentum = mechanics.momentum(required(system, "lagrangian"))

    def simulate(control: Array, inputs: Array) -> Array:
        if control.shape != (k + 2 * n,):
            raise ValueError(
                f"control has shape {control.shape}; expected {k} log-constants, {n} "
                f"positions and {n} velocities, ({k + 2 * n},). For a batch use "
                "jax.vmap."
            )
        logs, q, v = jnp.split(control, (k, k + n))
        found = dict(zip(unknown, jnp.exp(logs), strict=True))
        params = system.params._replace(**found)
        path = integrators.rollout(
            step,
            PhaseState(q, momentum(params, q, v)),
            dt=dt,
            num_steps=num_steps,
            substeps=substeps,
            args=params,
            controls=inputs,
        )
        return path.q.reshape(-1)

    @jax.jit
    @jax.vmap
    def measured(key: Array) -> tuple[Array, Array]:
        first, second = jax.random.split(key)
        force = known_force(first, num_steps, dt, amplitude, dtype)
        exact = simulate(actual, force)
        # Drawn in float32 for every dtype, so that a key gives the same data set.
        errors = jax.random.normal(second, exact.shape, jnp.float32)
        return force, exact + noise * errors.astype(dtype)

    def sample(key: Array, num_samples: int) -> tuple[Array, Array]:
        draw = jax.vmap(jax.random.fold_in, (None, 0))
        return measured(draw(key, jnp.arange(num_samples)))

    return Problem(
        name=f"{system.name.replace('_', ' ')}, {k} constants from noisy motion",
        num_inputs=num_steps,
        num_controls=k + 2 * n,
        num_outputs=(num_steps + 1) * n,
        sample=sample,
        simulate=simulate,
        objective=lambda outputs, targets: jnp.mean((outputs - targets) ** 2),
    )


def guess(
    actual: Array,
    num_constants: int,
    *,
    relative_error: float = 0.3,
    release_error: float = 0.1,
) -> Model:
    """The unknowns as a `Model` without a network: it returns its params.

    Args:
      actual: the true unknowns, from `truth`.
      num_constants: how many of them are constants; the others are the release.
      relative_error: in [0, 1); `init` starts every constant too large or too small by
        this much, at random.
      release_error: bound of the uniform errors in each number of the release state.

    Raises:
      ValueError: for errors out of range.

    Example:
      >>> start = guess(jnp.zeros(4), 2, relative_error=0.2).init(jax.random.key(1))
      >>> print(jnp.abs(jnp.exp(start[:2]) - 1).round(3))
      [0.2 0.2]
    """
    if not 0 <= relative_error < 1:
        raise ValueError(
            f"relative_error is {relative_error}; expected a number in [0, 1)."
        )
    if not 0 <= release_error < jnp.inf:
        raise ValueError(f"release_error is {release_error}; expected a number ≥ 0.")

    def init(key: Array) -> Array:
        # Drawn in float32 for every dtype, so that a key gives the same guess.
        draws = jax.random.uniform(key, actual.shape, jnp.float32, -1, 1)
        draws = draws.astype(actual.dtype)
        off = jnp.log1p(relative_error * jnp.sign(draws[:num_constants]))
        away = release_error * draws[num_constants:]
        return actual + jnp.concatenate([off, away])

    return Model(init, lambda params, x: params)


def standard_errors(outputs, params: PyTree, inputs: Array, *, noise: float) -> Array:
    """Standard errors by noise: √diag σ² (JᵀJ)⁻¹, in the order of the raveled params.

    J is the Jacobian of all outputs by all parameters. To first order in σ this is the
    standard deviation of the least-squares estimate, and by Cramér and Rao no unbiased
    estimate has a smaller one. If J does not have full rank, the standard errors of
    undetermined parameters are infinite or very large.

    Args:
      outputs: `outputs(params, inputs) -> (d,)` for one sample.
      params: where to take J, the estimate or the truth.
      inputs: a batch of them, leading axis b.
      noise: σ of each of the b·d outputs.

    Example:
      >>> line = lambda params, x: params[0] + params[1] * x
      >>> x = jnp.array([[-1.0], [0.0], [1.0]])
      >>> print(standard_errors(line, jnp.zeros(2), x, noise=0.1).round(4))
      [0.0577 0.0707]

    Reference: Seber & Wild, Nonlinear Regression, 1989, § 2.1.
    """
    root = jnp.linalg.qr(linearise(outputs, params, inputs).jacobian(), mode="r")
    identity = jnp.eye(root.shape[1], dtype=root.dtype)
    inverse = jax.scipy.linalg.solve_triangular(root, identity)
    return noise * jnp.linalg.norm(inverse, axis=1)
