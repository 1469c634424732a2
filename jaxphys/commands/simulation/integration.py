"""Integrating a system, from one initial state or many, to trajectories in (q, p)."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxphys import data, integrators, mechanics, ode
from jaxphys.commands.simulation.options import Plan, SimulateOptions, is_adaptive, plan
from jaxphys.experiments import record
from jaxphys.motion import INTEGRATORS, of_system
from jaxphys.types import (
    Array,
    Dynamics,
    PhaseState,
    State,
    Step,
    System,
    TangentState,
    Trajectories,
    required,
)

__all__ = ["MAX_STEPS", "WILD", "SimulationInfo", "carry_out", "integrate"]

#: The relative energy error from which on a failing trajectory means nothing.
WILD = 100.0

#: Steps after which an adaptive integration gives up.
MAX_STEPS = 200_000


class SimulationInfo(NamedTuple):
    """How a simulation went.

    Attributes:
      failed_at: index of the first saved time at which a trajectory is not finite, or
        that an unsolved step has led to, shape (N,); −1 where there is none.
      message: what went wrong first, when, and what to do; empty where all went well.
      num_steps: steps taken, of all trajectories together.
      dt: the time step; None where it is adaptive.
      compile_seconds, seconds: of compilation, and of integration.
    """

    failed_at: np.ndarray
    message: str
    num_steps: int
    dt: float | None
    compile_seconds: float
    seconds: float


def integrate(
    system: System, options: SimulateOptions | None = None
) -> tuple[Trajectories, SimulationInfo]:
    """Integrate a system from one initial state or many, compiled once.

    Args:
      system: what moves; its external force and dissipation are included.
      options: how, by default as the system's own time step and duration say; `out`
        and `animate` are not read.

    Returns:
      `Trajectories` of (q, p) with rates and energies, and a `SimulationInfo`; the
      velocity is `rate.q`. Trajectories that go wrong do not raise: they are NaN from
      there on, and end where the last of them does.

    Raises:
      ValueError: for invalid options, before anything is compiled.

    Example:
      >>> from jaxphys import systems
      >>> options = SimulateOptions("leapfrog", duration=1.0, dt=0.1, dtype="float32")
      >>> motion, info = integrate(systems.get("mass_spring"), options)
      >>> motion.y.q.shape, info.message
      ((1, 11, 1), '')
    """
    return carry_out(plan(system, options or SimulateOptions()))


def carry_out(plan: Plan) -> tuple[Trajectories, SimulationInfo]:
    """Integrate what was planned; see `integrate`."""
    system, options, grid, y0 = plan
    ts = grid.dt * grid.substeps * np.arange(grid.intervals + 1)
    view = _view(system)
    solve = _adaptive if is_adaptive(options.integrator) else _fixed
    one = solve(plan, view)

    def whole(y0: PhaseState, ts: Array):
        path, failed_at, status, steps = jax.vmap(one, (0, None))(y0, ts)
        seen = jax.vmap(jax.vmap(view.observe), (None, 0))(ts, path)
        return path, *seen, failed_at, status, steps

    begin = time.perf_counter()
    times = jnp.asarray(ts, y0.q.dtype)
    compiled = jax.jit(whole).lower(y0, times).compile()
    middle = time.perf_counter()
    results = jax.tree.map(np.asarray, jax.block_until_ready(compiled(y0, times)))
    end = time.perf_counter()
    y, rate, energy, failed_at, status, steps = results
    found = Trajectories(
        np.asarray(ts, y0.q.dtype), y, rate, energy=energy, meta=_meta(plan)
    )
    found, failed_at = _valid(found, failed_at)
    info = SimulationInfo(
        failed_at,
        _what_failed(plan, ts, failed_at, status),
        int(np.sum(steps)),
        plan.step,
        middle - begin,
        end - middle,
    )
    return found, info


class _View(NamedTuple):
    """A system's own kind of state, and what is told of it in (q, p).

    Attributes:
      dynamics: the motion, in the kind of state that its energy is given in.
      enter: from a PhaseState to what the vector field takes.
      leave: and back.
      observe: `observe(t, y) -> (rate, energy)` of a PhaseState.
    """

    dynamics: Dynamics
    enter: Callable[[PhaseState], State]
    leave: Callable[[Any], PhaseState]
    observe: Callable[[Array, PhaseState], tuple[PhaseState, Array]]


def _view(system: System) -> _View:
    return _by_lagrangian(system) if system.hamiltonian is None else _by_energy(system)


def _unchanged(y: PhaseState) -> PhaseState:
    return y


def _by_energy(system: System) -> _View:
    """Of a system with a Hamiltonian, which moves in (q, p)."""
    motion, params = of_system(system), system.params

    def observe(t: Array, y: PhaseState) -> tuple[PhaseState, Array]:
        energy = required(motion, "energy")(params, *y)
        return motion.vector_field(t, y, params), energy

    return _View(motion, _unchanged, _unchanged, observe)


def _by_lagrangian(system: System) -> _View:
    """Of a system with a Lagrangian alone, which moves in (q, v)."""
    motion, params = of_system(system, TangentState), system.params
    lagrangian = required(system, "lagrangian")
    solve, momentum = mechanics.conjugate(lagrangian), mechanics.momentum(lagrangian)

    def enter(y: PhaseState) -> TangentState:
        return TangentState(y.q, solve(params, *y)[0])

    def leave(z: TangentState) -> PhaseState:
        return PhaseState(z.q, momentum(params, *z))

    def observe(t: Array, y: PhaseState) -> tuple[PhaseState, Array]:
        z = enter(y)
        rate = motion.vector_field(t, z, params)
        # dp/dt is the change of p(q, v) along the rates of q and of v.
        _, change = jax.jvp(leave, (z,), (rate,))
        return change, required(motion, "energy")(params, *z)

    return _View(motion, enter, leave, observe)


def _fixed(plan: Plan, view: _View) -> Callable:
    """(y0, ts) → path, index of failure, status, number of steps."""
    system, options, grid, _ = plan
    make, of = INTEGRATORS[options.integrator]
    enter, leave = view.enter, view.leave
    if of == "field":
        step: Step = make(view.dynamics.vector_field)
    else:
        # These make their steps of an energy, in (q, p) whatever that energy is.
        step, enter, leave = make(required(system, of)), _unchanged, _unchanged

    def one(y0: PhaseState, ts: Array):
        del ts
        path, info = integrators.rollout(
            step,
            enter(y0),
            dt=grid.dt * grid.substeps,
            num_steps=grid.intervals,
            substeps=grid.substeps,
            args=system.params,
            with_info=True,
        )
        status = jnp.where(info.converged, 3, 4)
        steps = jnp.asarray(grid.intervals * grid.substeps)
        return jax.vmap(leave)(path), info.failed_at, status, steps

    return one


def _adaptive(plan: Plan, view: _View) -> Callable:
    """The same of an integrator that chooses its steps."""
    system, options, _, _ = plan
    solve = INTEGRATORS[options.integrator].make

    def one(y0: PhaseState, ts: Array):
        found: ode.Solution = solve(
            view.dynamics.vector_field,
            view.enter(y0),
            ts,
            system.params,
            rtol=options.rtol,
            atol=options.atol,
            max_steps=MAX_STEPS,
            derivative="forward",
        )
        leaves = jax.tree.leaves(found.ys)
        good = jnp.all(jnp.array([jnp.all(jnp.isfinite(x), 1) for x in leaves]), 0)
        failed_at = jnp.where(jnp.all(good), -1, jnp.argmin(good))
        # Times that were not reached are infinite, and have no energy.
        path = jax.tree.map(lambda x: jnp.where(good[:, None], x, jnp.nan), found.ys)
        return jax.vmap(view.leave)(path), failed_at, found.status, found.num_steps

    return one


def _valid(
    found: Trajectories, failed_at: np.ndarray
) -> tuple[Trajectories, np.ndarray]:
    """NaN from where each trajectory went wrong, ending with the last that did not.

    Before values stop being finite they are large: a trajectory that fails, of a system
    that conserves energy, went wrong where the energy error came to `WILD`.
    """
    total = len(found.t)
    before = np.full_like(failed_at, -2)
    # What is cut off may lower the scale of the errors that are left.
    while found.meta["conservative"] and not np.array_equal(failed_at, before):
        before = failed_at
        with np.errstate(invalid="ignore", over="ignore"):
            wild = ~(data.energy_error(_masked(found, failed_at)) < WILD)
        wild[:, 0] = False
        first = np.where(np.any(wild, axis=1), np.argmax(wild, axis=1), total)
        failed_at = np.where(failed_at > 0, np.minimum(failed_at, first), failed_at)
    ends = np.where(failed_at < 0, total, np.maximum(failed_at, 1))
    kept = _masked(found, failed_at)
    y, rate, energy = jax.tree.map(
        lambda x: x[:, : ends.max()], (kept.y, kept.rate, kept.energy)
    )
    cut = kept._replace(t=kept.t[: ends.max()], y=y, rate=rate, energy=energy)
    return cut, failed_at


def _masked(found: Trajectories, failed_at: np.ndarray) -> Trajectories:
    """NaN from where each trajectory failed, its start excepted."""
    ends = np.where(failed_at < 0, len(found.t), np.maximum(failed_at, 1))
    late = np.arange(len(found.t)) >= ends[:, None]

    def mask(x: np.ndarray) -> np.ndarray:
        where = late if x.ndim == 2 else late[..., None]
        return np.where(where, x.dtype.type(np.nan), x)

    y, rate, energy = jax.tree.map(mask, (found.y, found.rate, found.energy))
    return found._replace(y=y, rate=rate, energy=energy)


def _meta(plan: Plan) -> dict[str, Any]:
    """What the file says beside the arrays; see `data.save_trajectories`."""
    system, options, _, _ = plan
    params = system.params
    named = params._asdict() if hasattr(params, "_asdict") else {"params": params}
    return {
        "system": system.name,
        "options": {},
        "params": jax.tree.map(lambda x: np.asarray(x).tolist(), named),
        "coordinates": list(system.coordinates),
        "units": list(system.units),
        "periodic": list(system.periodic),
        "conservative": not (system.force or system.dissipation),
        "integrator": options.integrator,
        "dt": plan.step,
        "rtol": options.rtol,
        "atol": options.atol,
        "seed": None if options.state is not None else options.seed,
        "dtype": options.dtype,
        "versions": record.versions(),
    }


def _what_failed(
    plan: Plan, ts: np.ndarray, failed_at: np.ndarray, status: np.ndarray
) -> str:
    """What went wrong first, at what time, for what reason, and what to do."""
    failed = np.flatnonzero(failed_at >= 0)
    if not len(failed):
        return ""
    first = failed[np.argmin(failed_at[failed])]
    index = int(failed_at[first])
    which = "" if len(failed_at) == 1 else f"{len(failed)} of {len(failed_at)} failed: "
    before, after = ts[max(index - 1, 0)], ts[index]
    return (
        f"{which}trajectory {first} went wrong between t = {before:.6g} and "
        f"{after:.6g}: {_reason(plan, int(status[first]))}"
    )


def _reason(plan: Plan, status: int) -> str:
    system, options, grid, _ = plan
    adaptive = is_adaptive(options.integrator)
    smaller = f"a smaller time step (--dt {grid.dt / 10:.2g})"
    cures = ["a shorter --duration" if adaptive else smaller]
    if hasattr(system.params, "softening"):
        soft = 2 * float(system.params.softening) or 0.05
        cures.append(f"softening, if bodies met (--softening {soft:g})")
    if status == 4:
        what = "a step's equations were not solved; the step may be too long for them"
        cures.append("rk4 or an adaptive integrator")
    elif status == 2:
        what = (
            f"it took {MAX_STEPS:,} steps without arriving, as where bodies meet or "
            "the problem is stiff"
        )
        cures.append("looser tolerances (--rtol, --atol) or kvaerno5")
    else:
        what = (
            "values grow until they are not finite, as where the time step is too long "
            "or the motion meets a singularity"
        )
        if not adaptive:
            cures.append("an adaptive integrator (--integrator dopri8)")
    return f"{what}. Try {', or '.join(cures)}."
