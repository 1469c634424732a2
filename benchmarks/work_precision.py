"""Error against time: our integrators, diffrax, SciPy, and heyoka where it is there.

One trajectory in float64, each method at a range of steps or tolerances. The error is
the distance of the last state from a reference at the tightest tolerance. Calls are
timed after compiling, and the median of several is taken.
"""

import importlib.util
import math
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.integrate import solve_ivp

from jaxphys import integrators, mechanics, ode, systems
from jaxphys.types import PhaseState, System

TOLERANCES = [10.0**-k for k in range(3, 14)]
STEPS = [round(2 ** (k / 2)) for k in range(12, 34)]


class Case(NamedTuple):
    """A system, where its motion starts, and for how long it is followed."""

    system: System
    start: PhaseState
    duration: float


def cases() -> dict[str, Case]:
    """Kepler at e = 0.5 for ten orbits, a double pendulum, Hénon–Heiles at H = 1/8."""
    swing = systems.double_pendulum()
    assert swing.lagrangian is not None
    momentum = mechanics.momentum(swing.lagrangian)
    angles, rates = jnp.array([1.0, 1.5]), jnp.zeros(2)
    return {
        "kepler": Case(
            systems.kepler(),
            PhaseState(jnp.array([0.5, 0.0]), jnp.array([0.0, math.sqrt(3)])),
            20 * math.pi,
        ),
        "double_pendulum": Case(
            swing, PhaseState(angles, momentum(swing.params, angles, rates)), 10.0
        ),
        "henon_heiles": Case(
            systems.henon_heiles(),
            PhaseState(jnp.array([0.0, 0.1]), jnp.array([math.sqrt(0.2407), 0.1])),
            100.0,
        ),
    }


def run(*, smoke: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """Measure; returns (config, results)."""
    results: dict[str, Any] = {}
    chosen = cases()
    if smoke:
        chosen = {"kepler": chosen["kepler"]._replace(duration=1.0)}
    for name, case in chosen.items():
        reference = _reference(case)
        results[name] = [
            row
            for method, solve in _methods(case, smoke).items()
            for row in _curve(method, solve, reference, smoke)
        ]
    return {"dtype": "float64", "limit_seconds": 2.0}, {"cases": results}


def _flat(y: PhaseState) -> np.ndarray:
    return np.concatenate([np.asarray(y.q), np.asarray(y.p)])


def _reference(case: Case) -> np.ndarray:
    """The end by Taylor series to 1e-18 where heyoka is, else by Dopri8 at 1e-14."""
    if importlib.util.find_spec("heyoka") is not None:
        end, _ = _heyoka(case)(1e-18)()
        return end
    field = mechanics.vector_field(case.system)
    ts = jnp.array([0.0, case.duration])
    solution = ode.solve(
        field,
        case.start,
        ts,
        case.system.params,
        solver="dopri8",
        rtol=1e-14,
        atol=1e-14,
        max_steps=10_000_000,
    )
    return _flat(solution.y_end)


Solve = Callable[[float], Callable[[], tuple[np.ndarray, bool]]]


def _methods(case: Case, smoke: bool) -> dict[str, tuple[Solve, list]]:
    """Method → how to make a timed call from a number of steps, or a tolerance."""
    energy = case.system.hamiltonian
    assert energy is not None
    field = mechanics.vector_field(case.system)
    fixed = {"rk4": integrators.rk4(field), "gauss4": integrators.gauss4(field)}
    if case.system.separable:
        fixed["leapfrog"] = integrators.leapfrog(energy)
        fixed["yoshida4"] = integrators.yoshida4(energy)
        fixed["yoshida6"] = integrators.yoshida6(energy)
    methods: dict[str, tuple[Solve, list]] = {
        f"jaxphys {name}": (_rollout(case, step), STEPS) for name, step in fixed.items()
    }
    for solver in ("tsit5", "dopri8"):
        methods[f"jaxphys ode, {solver}"] = (_adaptive(case, solver), TOLERANCES)
    for solver in ("DOP853", "LSODA"):
        methods[f"SciPy {solver}"] = (_scipy(case, solver), TOLERANCES)
    if importlib.util.find_spec("heyoka") is not None:
        methods["heyoka Taylor"] = (_heyoka(case), TOLERANCES)
    if smoke:
        return {k: (solve, grid[:2]) for k, (solve, grid) in methods.items()}
    return methods


def _rollout(case: Case, step) -> Solve:
    @jax.jit
    def end(y, dt, count):
        def body(i, y):
            return step(i * dt, y, dt, case.system.params)

        return jax.lax.fori_loop(0, count, body, y)

    def prepare(count: float):
        dt = jnp.asarray(case.duration / count)
        return lambda: (_flat(end(case.start, dt, int(count))), True)

    return prepare


def _adaptive(case: Case, solver: str) -> Solve:
    field = mechanics.vector_field(case.system)
    ts = jnp.array([0.0, case.duration])

    @jax.jit
    def end(y, tolerance):
        solution = ode.solve(
            field,
            y,
            ts,
            case.system.params,
            solver=solver,
            rtol=tolerance,
            atol=tolerance,
            max_steps=1_000_000,
        )
        return solution.y_end, solution.ok

    def call(tolerance: float):
        y, ok = end(case.start, tolerance)
        return _flat(y), bool(ok)

    return lambda tolerance: lambda: call(tolerance)


def _scipy(case: Case, solver: str) -> Solve:
    right = _numpy_field(case)

    def call(tolerance: float):
        solution = solve_ivp(
            right,
            (0.0, case.duration),
            _flat(case.start),
            method=solver,
            rtol=max(tolerance, 3e-14),
            atol=tolerance,
        )
        return solution.y[:, -1], solution.success

    return lambda tolerance: lambda: call(tolerance)


def _numpy_field(case: Case) -> Callable:
    """The equations of motion written out in Python, as a user of SciPy would."""
    name, params = case.system.name, case.system.params

    def kepler(t, y):
        x, z, px, pz = y
        pull = params.mu / (x * x + z * z) ** 1.5
        return [px, pz, -pull * x, -pull * z]

    def henon_heiles(t, y):
        x, z, px, pz = y
        c = params.coupling
        return [px, pz, -x - 2 * c * x * z, -z - c * (x * x - z * z)]

    def double_pendulum(t, y):
        m1, m2, l1, l2, g = params
        t1, t2, p1, p2 = y
        c, s = math.cos(t1 - t2), math.sin(t1 - t2)
        a, b, d = (m1 + m2) * l1 * l1, m2 * l1 * l2, m2 * l2 * l2
        det = a * d - b * b * c * c
        w1, w2 = (d * p1 - b * c * p2) / det, (a * p2 - b * c * p1) / det
        swing = b * s * w1 * w2
        first = -swing - (m1 + m2) * g * l1 * math.sin(t1)
        return [w1, w2, first, swing - m2 * g * l2 * math.sin(t2)]

    fields = {
        "kepler": kepler,
        "henon_heiles": henon_heiles,
        "double_pendulum": double_pendulum,
    }
    return fields[name]


def _heyoka(case: Case) -> Solve:
    import heyoka as hy

    names = ["x", "z", "px", "pz"]
    x, z, px, pz = variables = hy.make_vars(*names)
    params = case.system.params
    if case.system.name == "kepler":
        pull = params.mu * (x**2 + z**2) ** -1.5
        right = [px, pz, -pull * x, -pull * z]
    elif case.system.name == "henon_heiles":
        c = params.coupling
        right = [px, pz, -x - 2 * c * x * z, -z - c * (x**2 - z**2)]
    else:
        m1, m2, l1, l2, g = params
        cos, sin = hy.cos(x - z), hy.sin(x - z)
        a, b, d = (m1 + m2) * l1 * l1, m2 * l1 * l2, m2 * l2 * l2
        det = a * d - (b * cos) ** 2
        w1, w2 = (d * px - b * cos * pz) / det, (a * pz - b * cos * px) / det
        swing = b * sin * w1 * w2
        first = -swing - (m1 + m2) * g * l1 * hy.sin(x)
        right = [w1, w2, first, swing - m2 * g * l2 * hy.sin(z)]

    def prepare(tolerance: float):
        start = _flat(case.start)
        system = list(zip(variables, right, strict=True))
        stepper = hy.taylor_adaptive(system, start, tol=tolerance)

        def call():
            stepper.time = 0.0
            stepper.state[:] = start
            outcome = stepper.propagate_until(case.duration)[0]
            return np.array(stepper.state), outcome == hy.taylor_outcome.time_limit

        return call

    return prepare


def _curve(method: str, how: tuple[Solve, list], reference, smoke: bool) -> Iterator:
    """The (setting, error, seconds) of a method, until one call takes too long."""
    prepare, grid = how
    for setting in grid:
        call = prepare(setting)
        end, ok = call()
        times: list[float] = []
        while len(times) < (1 if smoke else 5):
            started = time.perf_counter()
            call()
            times.append(time.perf_counter() - started)
            if times[-1] > 0.5:
                break
        error = float(np.linalg.norm(end - reference))
        if ok and math.isfinite(error):
            seconds = statistics.median(times)
            row = {"method": method, "setting": setting}
            yield {**row, "error": error, "seconds": seconds}
        if times[-1] > 1.0:
            return
