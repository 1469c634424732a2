"""Fixed-step integrators as functions, and the two ways to apply one many times.

A maker such as `rk4(f)` or `leapfrog(H)` gives a step `step(t, y, dt, args) -> y`;
`rollout` keeps the trajectory, `repeat` only the end. Both are one `lax.scan`,
differentiable both ways. The symplectic methods keep to a fixed step: a step that
varies with the state would undo what they conserve.

| method | order | from | symplectic | for |
|---|---|---|---|---|
| `euler` | 1 | any vector field | no | comparisons |
| `rk4` | 4 | any vector field | no | most things, over short times |
| `implicit_midpoint` | 2 | any vector field | yes | stiff or non-separable |
| `gauss4` | 4 | any vector field | yes | the same, more precisely |
| `symplectic_euler` | 1 | H = T(p) + V(q) | yes | comparisons |
| `leapfrog` | 2 | H = T(p) + V(q) | yes | long times |
| `yoshida4`, `yoshida6` | 4, 6 | H = T(p) + V(q) | yes | long times, more precisely |
| `splitting` | any | H = T(p) + V(q) | yes | your own coefficients |
| `variational` | 2 | a Lagrangian | yes | where only L is known |
"""

import dataclasses
import functools
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from jaxphys.roots import RootInfo, find_root
from jaxphys.trees import all_finite, time_dtype
from jaxphys.types import (
    Array,
    Hamiltonian,
    Lagrangian,
    PhaseState,
    PyTree,
    Step,
    VectorField,
    check_state,
)


def _shifted(y: PyTree, scale: Array | float, slope: PyTree) -> PyTree:
    """y + scale · slope, leaf by leaf."""
    return jax.tree.map(lambda a, b: a + scale * b, y, slope)


def euler(f: VectorField) -> Step:
    """Explicit Euler, order 1: y + dt f(t, y).

    Example:
      >>> print(round(euler(lambda t, y, args: -y)(0.0, 1.0, 0.1, None), 6))
      0.9
    """

    def step(t: Array, y: PyTree, dt: Array, args: PyTree) -> PyTree:
        return _shifted(y, dt, f(t, y, args))

    return step


def rk4(f: VectorField, *, rolled: bool = False) -> Step:
    """The classical Runge–Kutta method, order 4.

    Args:
      f: f(t, y, args) -> dy/dt.
      rolled: whether the four stages are turns of a loop. The code is a quarter as
        long, which `scalars.scalarize` is better served with, and compiling too.

    Returns:
      `step(t, y, dt, args) -> y`; args are held fixed over the step.

    Example:
      >>> print(round(rk4(lambda t, y, args: -y)(0.0, 1.0, 0.1, None), 6))
      0.904837

    Reference: Hairer, Nørsett & Wanner, Solving Ordinary Differential Equations I,
    table 1.2.
    """

    def step(t: Array, y: PyTree, dt: Array, args: PyTree) -> PyTree:
        k1 = f(t, y, args)
        k2 = f(t + dt / 2, _shifted(y, dt / 2, k1), args)
        k3 = f(t + dt / 2, _shifted(y, dt / 2, k2), args)
        k4 = f(t + dt, _shifted(y, dt, k3), args)
        return jax.tree.map(
            lambda y0, a, b, c, d: y0 + dt / 6 * (a + 2 * b + 2 * c + d),
            y,
            k1,
            k2,
            k3,
            k4,
        )

    def rolled_step(t: Array, y: PyTree, dt: Array, args: PyTree) -> PyTree:
        dtype = time_dtype(y)
        nodes = jnp.array([0, 0.5, 0.5, 1], dtype)
        # The slope of a stage is added in the next, so that it is computed once.
        weights = jnp.array([0, 1, 2, 2], dtype) / 6

        def stage(carry: tuple[PyTree, PyTree], numbers: tuple[Array, Array]):
            slope, total = carry
            node, weight = numbers
            total = _shifted(total, weight, slope)
            return (f(t + node * dt, _shifted(y, node * dt, slope), args), total), None

        zero = jax.tree.map(jnp.zeros_like, y)
        (last, total), _ = jax.lax.scan(stage, (zero, zero), (nodes, weights))
        return _shifted(y, dt, _shifted(total, 1 / 6, last))

    return rolled_step if rolled else step


@dataclasses.dataclass(frozen=True)
class ImplicitStep:
    """A step that solves an equation: call it as any step.

    Attributes:
      with_info: `with_info(t, y, dt, args) -> (y, RootInfo)`; `rollout` and `repeat`
        collect the flags where they are asked for `with_info`.
    """

    with_info: Callable[..., tuple[PyTree, RootInfo]]

    def __call__(self, t: Array, y: PyTree, dt: Array, args: PyTree) -> PyTree:
        """The state after the step."""
        return self.with_info(t, y, dt, args)[0]


def _implicit_runge_kutta(
    f: VectorField, a: Sequence[Sequence[float]], b: Sequence[float], **options
) -> ImplicitStep:
    """The slopes k_i = f(t + c_i dt, y + dt Σ_j a_ij k_j), solved for all at once."""
    matrix, weights = np.array(a), np.array(b)
    nodes = matrix.sum(axis=1)

    def step(t: Array, y: PyTree, dt: Array, args: PyTree) -> tuple[PyTree, RootInfo]:
        start, unravel = ravel_pytree(y)
        a, b, c = (jnp.asarray(x, start.dtype) for x in (matrix, weights, nodes))

        def slope(t: Array, y: Array) -> Array:
            return ravel_pytree(f(t, unravel(y), args))[0]

        # z = dt k has the units of the state, so that the tolerance has them too.
        def residual(z: Array) -> Array:
            stages = start + a @ z.reshape(len(b), -1)
            return z - dt * jax.vmap(slope)(t + c * dt, stages).ravel()

        guess = jnp.tile(dt * slope(t, start), len(b))
        z, info = find_root(residual, guess, **options)
        return unravel(start + b @ z.reshape(len(b), -1)), info

    return ImplicitStep(step)


def implicit_midpoint(
    f: VectorField,
    *,
    method: str = "newton",
    tolerance: float | None = None,
    max_iterations: int = 50,
) -> ImplicitStep:
    """The implicit midpoint rule, order 2: y′ = y + dt f(t + dt/2, (y + y′)/2).

    Symplectic for every Hamiltonian, symmetric in time, and conserves every quadratic
    invariant; it damps nothing where the problem is stiff.

    Args:
      f: f(t, y, args) -> dy/dt, y any pytree.
      method: "newton", or "fixed_point", which needs no Jacobian and converges for
        time steps below 2/‖∂f/∂y‖.
      tolerance, max_iterations: those of `jaxphys.roots.find_root`.

    Returns:
      An `ImplicitStep`, whose `with_info` says whether the equation was solved.

    Example:
      >>> step = implicit_midpoint(lambda t, y, args: -y)
      >>> print(round(float(step(0.0, 1.0, 0.1, None)), 6))
      0.904762

    Reference: Hairer, Lubich & Wanner, Geometric Numerical Integration, § VI.4.
    """
    options = {"tolerance": tolerance, "max_iterations": max_iterations}
    return _implicit_runge_kutta(f, [[0.5]], [1.0], method=method, **options)


def gauss4(
    f: VectorField,
    *,
    method: str = "newton",
    tolerance: float | None = None,
    max_iterations: int = 50,
) -> ImplicitStep:
    """The Gauss–Legendre method of two stages, order 4, symplectic for every H.

    Args: those of `implicit_midpoint`.

    Returns:
      An `ImplicitStep`, whose `with_info` says whether the equation was solved.

    Example:
      >>> step = gauss4(lambda t, y, args: -y)
      >>> print(round(float(step(0.0, 1.0, 0.1, None)), 6))
      0.904837

    Reference: Hairer, Lubich & Wanner, Geometric Numerical Integration, § II.1.3.
    """
    r = math.sqrt(3) / 6
    a = [[0.25, 0.25 - r], [0.25 + r, 0.25]]
    options = {"tolerance": tolerance, "max_iterations": max_iterations}
    return _implicit_runge_kutta(f, a, [0.5, 0.5], method=method, **options)


def splitting(
    coefficients: Sequence[tuple[float, float]],
) -> Callable[..., Step]:
    """A composition of the two exact flows of H = T(p) + V(q), from its coefficients.

    Each pair (c, d) drifts, q ← q + c dt ∂H/∂p, and then kicks, p ← p − d dt ∂H/∂q.
    Any such composition is symplectic; its order is in the coefficients.

    Args:
      coefficients: pairs (drift, kick) in fractions of dt; each column sums to one.

    Returns:
      `make(hamiltonian, *, time_dependent=False) -> step`; the step takes PhaseStates,
      and may have T(p, t) and V(q, t), of H(params, q, p, t). It is meant for separable
      energies: for others neither its order nor symplecticity holds, and
      `implicit_midpoint` or `gauss4` serve.

    Raises:
      ValueError: where a column does not sum to one.

    Example:
      >>> verlet = splitting([(0.5, 1.0), (0.5, 0.0)])
      >>> step = verlet(lambda params, q, p: (q @ q + p @ p) / 2)
      >>> print(step(0.0, PhaseState(jnp.ones(1), jnp.zeros(1)), 0.1, None).q)
      [0.995]

    Reference: Hairer, Lubich & Wanner, Geometric Numerical Integration, § II.5.
    """
    pairs = [(float(c), float(d)) for c, d in coefficients]
    for name, column in zip(("drifts", "kicks"), zip(*pairs, strict=True), strict=True):
        if not math.isclose(sum(column), 1, abs_tol=1e-12):
            raise ValueError(
                f"the {name} sum to {sum(column)}; expected 1, or the method is not "
                "consistent. Coefficients are pairs (drift, kick)."
            )

    def make(hamiltonian: Hamiltonian, *, time_dependent: bool = False) -> Step:
        def step(t: Array, y: PhaseState, dt: Array, args: PyTree) -> PhaseState:
            check_state("a symplectic step", y, PhaseState)
            q, p = y
            # T keeps the time of the kicks and V that of the drifts: each is constant
            # while it acts, and the composition keeps its order.
            drifted = kicked = t
            for drift, kick in pairs:
                if drift:
                    time = (kicked,) if time_dependent else ()
                    v = jax.grad(hamiltonian, 2)(args, q, p, *time)
                    q = q + drift * dt * v
                    drifted = drifted + drift * dt
                if kick:
                    time = (drifted,) if time_dependent else ()
                    slope = jax.grad(hamiltonian, 1)(args, q, p, *time)
                    p = p - kick * dt * slope
                    kicked = kicked + kick * dt
            return PhaseState(q, p)

        return step

    return make


def _leapfrogs(weights: Sequence[float]) -> list[tuple[float, float]]:
    """Leapfrogs of these lengths, one after the other, as pairs (drift, kick)."""
    ends = [0.0, *weights, 0.0]
    drifts = [(x + y) / 2 for x, y in itertools.pairwise(ends)]
    return list(zip(drifts, [*weights, 0.0], strict=True))


# Order 4: 2 w₁ + w₀ = 1 and 2 w₁³ + w₀³ = 0.
_W4 = 1 / (2 - 2 ** (1 / 3))
_YOSHIDA4 = (_W4, 1 - 2 * _W4, _W4)

# Order 6: Σ w = 1, Σ w³ = 0, Σ w⁵ = 0 and Σ_j w_j³ (Σ_{i<j} w_i + w_j/2)² = 0, solved
# from the digits of Yoshida's solution A.
_W6 = (-1.1776799841788710069, 0.2355732133593581337, 0.7845136104775572638)
_YOSHIDA6 = (*_W6[::-1], 1 - 2 * sum(_W6), *_W6)


def symplectic_euler(hamiltonian: Hamiltonian, *, time_dependent: bool = False) -> Step:
    """The symplectic Euler method, order 1, for H = T(p) + V(q): a drift, then a kick.

    q′ = q + dt ∂H/∂p(p), p′ = p − dt ∂H/∂q(q′).

    Args:
      hamiltonian: a separable H(params, q, p), or H(params, q, p, t).
      time_dependent: whether H takes t.

    Example:
      >>> step = symplectic_euler(lambda params, q, p: (q @ q + p @ p) / 2)
      >>> print(step(0.0, PhaseState(jnp.ones(1), jnp.zeros(1)), 0.1, None).p)
      [-0.1]
    """
    return splitting([(1.0, 1.0)])(hamiltonian, time_dependent=time_dependent)


def leapfrog(hamiltonian: Hamiltonian, *, time_dependent: bool = False) -> Step:
    """Leapfrog (Störmer–Verlet), order 2, for H = T(p) + V(q): drift ½, kick, drift ½.

    One force a step, symplectic and reversible: turn p around, and the same steps lead
    back.

    Args: those of `symplectic_euler`.

    Example:
      >>> step = leapfrog(lambda params, q, p: (q @ q + p @ p) / 2)
      >>> print(step(0.0, PhaseState(jnp.ones(1), jnp.zeros(1)), 0.1, None).q)
      [0.995]

    Reference: Hairer, Lubich & Wanner, Geometric Numerical Integration, § I.1.4.
    """
    make = splitting(_leapfrogs([1.0]))
    return make(hamiltonian, time_dependent=time_dependent)


def yoshida4(hamiltonian: Hamiltonian, *, time_dependent: bool = False) -> Step:
    """Three leapfrogs w₁, w₀, w₁ of order 4, for H = T(p) + V(q).

    w₁ = 1/(2 − 2^(1/3)), w₀ = 1 − 2 w₁.

    Args: those of `symplectic_euler`.

    Example:
      >>> step = yoshida4(lambda params, q, p: (q @ q + p @ p) / 2)
      >>> end = step(0.0, PhaseState(jnp.ones(1), jnp.zeros(1)), 0.1, None)
      >>> print(round(float(end.q[0]), 4))
      0.995

    Reference: Yoshida, Construction of higher order symplectic integrators, Physics
    Letters A 150, 1990.
    """
    make = splitting(_leapfrogs(_YOSHIDA4))
    return make(hamiltonian, time_dependent=time_dependent)


def yoshida6(hamiltonian: Hamiltonian, *, time_dependent: bool = False) -> Step:
    """Seven leapfrogs of order 6, Yoshida's solution A, for H = T(p) + V(q).

    Args: those of `symplectic_euler`.

    Example:
      >>> step = yoshida6(lambda params, q, p: (q @ q + p @ p) / 2)
      >>> end = step(0.0, PhaseState(jnp.ones(1), jnp.zeros(1)), 0.1, None)
      >>> print(round(float(end.q[0]), 4))
      0.995

    Reference: Yoshida, Construction of higher order symplectic integrators, Physics
    Letters A 150, 1990, table 1.
    """
    make = splitting(_leapfrogs(_YOSHIDA6))
    return make(hamiltonian, time_dependent=time_dependent)


def variational(
    lagrangian: Lagrangian,
    *,
    time_dependent: bool = False,
    tolerance: float | None = None,
    max_iterations: int = 50,
) -> ImplicitStep:
    """The variational integrator of the midpoint rule, order 2, from a Lagrangian.

    The action of a step is dt L((q + q′)/2, (q′ − q)/dt); that its sum be stationary
    is p = −∂₁ of it, solved for q′ by Newton's method, and p′ = ∂₂ of it. Symplectic,
    and it keeps every momentum that a symmetry of L conserves.

    Args:
      lagrangian: L(params, q, v), or L(params, q, v, t) taken at t + dt/2.
      time_dependent: whether L takes t.
      tolerance, max_iterations: those of `jaxphys.roots.find_root`.

    Returns:
      An `ImplicitStep` that takes PhaseStates; start it from `mechanics.momentum`.

    Example:
      >>> step = variational(lambda params, q, v: (v @ v - q @ q) / 2)
      >>> end = step(0.0, PhaseState(jnp.ones(1), jnp.zeros(1)), 0.1, None)
      >>> print(round(float(end.q[0]), 4))
      0.995

    Reference: Marsden & West, Discrete mechanics and variational integrators, Acta
    Numerica 10, 2001.
    """

    def step(t: Array, y: PhaseState, dt: Array, args: PyTree):
        check_state("a variational step", y, PhaseState)
        q, p = y
        time = (t + dt / 2,) if time_dependent else ()

        def action(q0: Array, q1: Array) -> Array:
            return dt * lagrangian(args, (q0 + q1) / 2, (q1 - q0) / dt, *time)

        move, info = find_root(
            lambda move: dt * (p + jax.grad(action)(q, q + move)),
            jnp.zeros_like(q),
            tolerance=tolerance,
            max_iterations=max_iterations,
        )
        return PhaseState(q + move, jax.grad(action, 1)(q, q + move)), info

    return ImplicitStep(step)


def projected(step: Step, project: Callable[[PyTree, PyTree], PyTree]) -> Step:
    """A step, and then `project(y, args)`: back onto the constraints it drifts from.

    Example:
      >>> grow = euler(lambda t, y, args: y)
      >>> step = projected(grow, lambda y, args: jnp.minimum(y, 1.0))
      >>> print(step(0.0, 0.9, 0.5, None))
      1.0
    """
    if isinstance(step, ImplicitStep):

        def both(t: Array, y: PyTree, dt: Array, args: PyTree):
            y, info = step.with_info(t, y, dt, args)
            return project(y, args), info

        return ImplicitStep(both)
    return lambda t, y, dt, args: project(step(t, y, dt, args), args)


class RolloutInfo(NamedTuple):
    """What went wrong on the way, if anything.

    Attributes:
      finite: whether every saved state is finite.
      converged: whether every implicit step was solved; True for explicit ones.
      failed_at: index of the first saved state that is not finite or that a step which
        was not solved has led to; −1 where there is none.
    """

    finite: Array
    converged: Array
    failed_at: Array


def check_time_step(dt, num_steps: int, substeps: int = 1) -> None:
    """Raise a ValueError on a time grid that cannot be meant."""
    if not isinstance(dt, jax.core.Tracer) and not (np.isfinite(dt) and dt != 0):
        raise ValueError(f"dt is {dt}; expected a finite time step other than zero.")
    for name, count in (("num_steps", num_steps), ("substeps", substeps)):
        if int(count) != count or count < 1:
            raise ValueError(f"{name} is {count}; expected a whole number ≥ 1.")


def _check_controls(controls: PyTree, num_steps: int) -> None:
    lengths = {jnp.shape(leaf)[:1] for leaf in jax.tree.leaves(controls)}
    if lengths != {(num_steps,)}:
        raise ValueError(
            f"controls have leading axes {sorted(lengths)}; expected one value a "
            f"step, ({num_steps},). For a batch of controls use jax.vmap."
        )


def _scan(
    step,
    y0,
    *,
    t0,
    dt,
    num_steps,
    args,
    substeps,
    controls,
    checkpoint,
    with_info,
    keep,
):
    check_time_step(dt, num_steps, substeps)
    if controls is not None:
        _check_controls(controls, num_steps)
    y0 = jax.tree.map(jnp.asarray, y0)
    dtype = time_dtype(y0)
    small = jnp.asarray(dt, dtype) / substeps
    start = jnp.asarray(t0, dtype)

    def flagged(t: Array, y: PyTree, args: PyTree) -> tuple[PyTree, Array]:
        if with_info and isinstance(step, ImplicitStep):
            y, info = step.with_info(t, y, small, args)
            return y, info.converged
        return step(t, y, small, args), jnp.array(True)

    def advance(carry: tuple[PyTree, RolloutInfo], numbered):
        y, info = carry
        number, control = numbered
        held = args if controls is None else (args, control)

        def one(carry, sub):
            y, solved = carry
            y, now = flagged(start + (number * substeps + sub) * small, y, held)
            return (y, solved & now), None

        if substeps == 1:
            (y, solved), _ = one((y, jnp.array(True)), 0)
        else:
            (y, solved), _ = jax.lax.scan(
                one, (y, jnp.array(True)), jnp.arange(substeps)
            )
        if with_info:
            finite = all_finite(y)
            first = ~(finite & solved) & (info.failed_at < 0)
            info = RolloutInfo(
                info.finite & finite,
                info.converged & solved,
                jnp.where(first, number + 1, info.failed_at),
            )
        return (y, info), (y if keep else None)

    finite = all_finite(y0) if with_info else jnp.array(True)
    info = RolloutInfo(finite, jnp.array(True), jnp.where(finite, -1, 0))
    numbered = (jnp.arange(num_steps), controls)
    run = _scan_with_checkpoints if checkpoint else jax.lax.scan
    (last, info), ys = run(advance, (y0, info), numbered)
    return y0, last, ys, info


def _scan_with_checkpoints(advance: Callable, carry: PyTree, xs: PyTree):
    """A scan whose derivative keeps √N states, and N^½ more while it goes back.

    The steps are cut into segments of √N; going back, a segment is run again from its
    start. So is a step with its sub-steps.
    """
    length = jax.tree.leaves(xs)[0].shape[0]
    size = math.isqrt(length - 1) + 1
    whole = length // size

    @functools.partial(jax.checkpoint, prevent_cse=False)
    def segment(carry: PyTree, xs: PyTree):
        step = jax.checkpoint(advance, prevent_cse=False)
        return jax.lax.scan(step, carry, xs)

    cut = jax.tree.map(
        lambda x: x[: whole * size].reshape(whole, size, *x.shape[1:]), xs
    )
    carry, ys = jax.lax.scan(segment, carry, cut)
    ys = jax.tree.map(lambda y: y.reshape(whole * size, *y.shape[2:]), ys)
    if whole * size < length:
        carry, rest = segment(carry, jax.tree.map(lambda x: x[whole * size :], xs))
        ys = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), ys, rest)
    return carry, ys


def rollout(
    step: Step,
    y0: PyTree,
    *,
    t0: float = 0.0,
    dt: float,
    num_steps: int,
    args: PyTree = None,
    substeps: int = 1,
    controls: PyTree | None = None,
    checkpoint: bool = False,
    with_info: bool = False,
) -> Any:
    """The trajectory of a step: y at t0, t0 + dt, …, t0 + num_steps · dt.

    Args:
      step: `step(t, y, dt, args) -> y`.
      y0: initial state, any pytree, unbatched.
      t0: initial time.
      dt: time between two saved states; negative goes back in time.
      num_steps: number of saved states after the first.
      args: what the vector field is handed.
      substeps: integrator steps of dt/substeps between two saved states.
      controls: inputs held over each step, leading axis num_steps; the vector field is
        then handed the pair (args, controls[i]).
      checkpoint: whether reverse-mode derivatives keep √num_steps states beside the
        saved ones, and compute the steps between again, instead of keeping every
        intermediate of every step.
      with_info: whether to return a `RolloutInfo` beside the trajectory.

    Returns:
      y0's pytree with a leading time axis of num_steps + 1, the start included; with
      `with_info`, the pair (trajectory, RolloutInfo).

    Raises:
      ValueError: on a time grid, a state or controls that do not fit.

    Example:
      >>> step = rk4(lambda t, y, args: -y)
      >>> [round(float(y), 3) for y in rollout(step, 1.0, dt=0.5, num_steps=2)]
      [1.0, 0.607, 0.368]
    """
    y0, _, ys, info = _scan(
        step,
        y0,
        t0=t0,
        dt=dt,
        num_steps=num_steps,
        args=args,
        substeps=substeps,
        controls=controls,
        checkpoint=checkpoint,
        with_info=with_info,
        keep=True,
    )
    path = jax.tree.map(lambda a, b: jnp.concatenate([a[None], b]), y0, ys)
    return (path, info) if with_info else path


def repeat(
    step: Step,
    y0: PyTree,
    *,
    t0: float = 0.0,
    dt: float,
    num_steps: int,
    args: PyTree = None,
    substeps: int = 1,
    controls: PyTree | None = None,
    checkpoint: bool = False,
    with_info: bool = False,
) -> Any:
    """The last state of `rollout`, without keeping the others; same arguments.

    Example:
      >>> step = rk4(lambda t, y, args: -y)
      >>> round(float(repeat(step, 1.0, dt=0.5, num_steps=2)), 3)
      0.368
    """
    _, last, _, info = _scan(
        step,
        y0,
        t0=t0,
        dt=dt,
        num_steps=num_steps,
        args=args,
        substeps=substeps,
        controls=controls,
        checkpoint=checkpoint,
        with_info=with_info,
        keep=False,
    )
    return (last, info) if with_info else last
