"""Driven motions from a file of positions, velocities and torques: one command each.

A robot arm, 64 motions of 2 s at steps of .041 s, `jaxphys fit delan`: under torques
that are smooth, and under torques that are held from one time to the next. Beside it
the same with accelerations in the file, and with the differences of three neighboring
velocities. What is judged are torques at states and accelerations that were not seen.

A pendulum with friction, a minute of one record, `jaxphys fit auto`: uneven steps,
angles from upright, wrapped at half a turn wherever it hangs, noise of .01 rad and .02
rad/s, a column of torques. What is judged are rollouts in units of the noise, over the
record and over its end, which no fit saw; and `jaxphys predict` from another state
under another torque, that never takes it further than the record went.
"""

import functools
import pathlib
import tempfile
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxphys import checkpoint, commands, data, integrators, mechanics
from jaxphys.experiments.motion import torques, two_link_arm
from jaxphys.experiments.motion.reference_motions import ARM
from jaxphys.names import check_known
from jaxphys.types import Array, TangentState, Trajectories, required

#: Mass [kg], length [m] and viscous friction [N m s] of the pendulum; gravity [m/s²].
PENDULUM = {"mass": 0.8, "length": 0.6, "friction": 0.06, "gravity": 9.81}

#: Noise of the angle [rad] and of its rate [rad/s], and decimals of the file.
NOISE = (0.01, 0.02)

#: Simulated steps [s], and how many of them from one row to the next.
_STEP, _FEWEST, _MOST = 1e-3, 20, 60


def run(
    *, smoke: bool, only: tuple[str, ...] = ()
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Measure all, or some of `PARTS`; returns (config, results)."""
    jax.config.update("jax_enable_x64", True)
    for name in only:
        check_known("part", name, tuple(PARTS))
    config = {"dtype": "float64", "noise": NOISE, "pendulum": PENDULUM}
    found = {}
    with tempfile.TemporaryDirectory() as scratch:
        for name in only or tuple(PARTS):
            found[name] = PARTS[name](smoke, pathlib.Path(scratch))
    return config, found


def _arm(smoke: bool, scratch: pathlib.Path) -> dict[str, Any]:
    """`fit delan` to files of the arm, by what is in them."""
    experiment = two_link_arm.EXPERIMENT
    settings = two_link_arm.Settings(fast=smoke)
    drawn = experiment.sample(settings, experiment.keys(0), jnp.float64)
    (smooth,) = drawn.train
    held = _held(smooth)
    files = {
        "smooth": {
            "positions and velocities": smooth._replace(rate=None),
            "and exact accelerations": smooth,
            "and differences of velocities": _by_differences(smooth),
        },
        "held": {
            "positions and velocities": held,
            "and differences of velocities": _by_differences(held),
        },
    }
    if smoke:
        files = {"held": {"positions and velocities": held}}
    rows: list[dict[str, Any]] = []
    for drive, kinds in files.items():
        for kind, found in kinds.items():
            begun = time.perf_counter()
            path = scratch / f"{drive}-{len(rows)}.npz"
            data.save_trajectories(path, found._replace(meta={"periodic": [True] * 2}))
            options = commands.FitOptions(
                path,
                out=scratch / path.stem,
                progress=False,
                seconds=1.0 if smoke else None,
            )
            fitted = commands.fit("delan", options)
            error, relative = _torque_error(fitted.model, drawn.test)
            rows.append(
                {
                    "drive": drive,
                    "file": kind,
                    "torque_mse": error,
                    "relative": relative,
                    "seconds": time.perf_counter() - begun,
                }
            )
    return {"rows": rows}


def _by_differences(found: Trajectories) -> Trajectories:
    """With rates by three points, and the inputs averaged as these average them."""
    return data.averaged_inputs(data.with_derivatives(found._replace(rate=None)), None)


def _held(reference: Trajectories) -> Trajectories:
    """Motions near the reference ones, under torques held from time to time.

    Each is the reference's torque and a spring and a damper towards the reference.
    """
    lagrangian = required(ARM, "lagrangian")
    field = mechanics.lagrangian_vector_field(
        lambda given, q, v: lagrangian(given[0], q, v),
        force=lambda t, y, given: given[1],
    )
    step = integrators.rk4(field)
    dt = float(reference.t[1] - reference.t[0])

    def one(q: Array, v: Array, u: Array) -> tuple[Array, Array, Array]:
        def next_of(y: TangentState, wanted: tuple) -> tuple[TangentState, tuple]:
            q, v, u = wanted
            torque = u + 3.0 * (q - y.q) + 0.5 * (v - y.v)
            args = (ARM.params, torque)
            new = integrators.repeat(step, y, dt=dt / 10, num_steps=10, args=args)
            return new, (y.q, y.v, torque)

        return jax.lax.scan(next_of, TangentState(q[0], v[0]), (q, v, u))[1]

    every = jax.jit(jax.vmap(one))(*reference.y, reference.u)
    q, v, u = (np.asarray(x) for x in every)
    return Trajectories(reference.t, TangentState(q, v), u=u)


def _torque_error(
    learned: checkpoint.Learned, test: list[Trajectories]
) -> tuple[float, float]:
    """The mean squared error of torques [N² m²], and relative to their mean square."""
    q, v, a, u = torques.points(test)
    inverse = functools.partial(required(learned.dynamics, "inverse"), learned.params)
    off = jax.jit(jax.vmap(inverse))(q, v, a) - u
    error = float(jnp.mean(off**2))
    return error, error / float(jnp.mean(u**2))


def _pendulum(smoke: bool, scratch: pathlib.Path) -> dict[str, Any]:
    """`fit auto` to a record of a pendulum, and `predict` of another motion."""
    rows = []
    for drive in ("smooth",) if smoke else ("smooth", "held"):
        begun = time.perf_counter()
        duration = 8.0 if smoke else 60.0
        record = _record(drive, duration, np.random.default_rng(0), NOISE)
        path, out = scratch / f"{drive}.csv", scratch / f"pendulum-{drive}"
        _write(path, record)
        options = commands.FitOptions(path, out=out, progress=False)
        laws: tuple[str, ...] = ("auto",)
        if smoke:
            laws = ("delan+friction",)
            options = commands.FitOptions(path, out=out, progress=False, seconds=1.0)
        chosen = commands.fit_laws(laws, options)
        best = chosen.ranking.row(chosen.ranking.recommended)
        rows.append(
            {
                "drive": drive,
                "law": best.name,
                "misfit": best.judged.misfit,
                "misfit_held_out": best.judged.misfit_held_out,
                "intersample": chosen.ranking.look.facts["intersample"],
                **_predicted(out, drive, scratch),
                "seconds": time.perf_counter() - begun,
            }
        )
    return {"rows": rows}


def _predicted(out: pathlib.Path, drive: str, scratch: pathlib.Path) -> dict[str, Any]:
    """How far off a motion is that was never seen, no larger than what was."""
    t, q, v, u = _record(drive, 20.0, np.random.default_rng(1), (0.0, 0.0), 0.6)
    path = scratch / f"{drive}-input.csv"
    np.savetxt(path, np.stack([t, u], axis=1), header="t,u", comments="", delimiter=",")
    options = commands.PredictOptions(
        (float(q[0]), float(v[0])), input=path, dt=0.01, out=scratch / "predicted.csv"
    )
    found = commands.predict(out, options).trajectories
    off = np.interp(t, found.t, found.y.q[0, :, 0]) - q
    return {
        "rms": float(np.sqrt(np.mean(off**2))),
        "spread": float(np.std(q)),
        "duration": float(t[-1]),
    }


def _record(
    drive: str,
    duration: float,
    random: np.random.Generator,
    noise: tuple[float, float],
    scale: float = 1.0,
) -> tuple[np.ndarray, ...]:
    """Rows (t, q, v, u) at uneven times."""
    count = int(duration / _STEP)
    every = random.integers(_FEWEST, _MOST + 1, count)
    rows = np.concatenate([[0], np.cumsum(every)])
    rows = rows[rows <= count]
    rate, phase = random.uniform(0.5, 5.0, 6), random.uniform(0.0, 2 * np.pi, 6)
    size = scale * random.uniform(0.1, 0.4, 6)

    def torque(t: np.ndarray) -> np.ndarray:
        return np.sum(size * np.sin(rate * t[:, None] + phase), axis=1)

    fine = _STEP * (np.arange(count) + 0.5)
    u = torque(_STEP * rows)
    pushed = torque(fine)
    if drive == "held":
        pushed = u[np.searchsorted(rows, np.arange(count), side="right") - 1]
    first = jnp.array([np.pi + scale * random.uniform(-1.0, 1.0), 0.0])
    step = integrators.rk4(_swing)
    path = integrators.rollout(
        step, first, dt=_STEP, num_steps=count, args=PENDULUM, controls=pushed
    )
    q, v = np.asarray(path)[rows].T
    q_seen, v_seen = (
        x + s * random.normal(size=len(x)) for x, s in zip((q, v), noise, strict=True)
    )
    return _STEP * rows, q_seen, v_seen, u


def _swing(t: Array, y: Array, args: tuple[dict[str, float], Array]) -> Array:
    """m l² θ̈ = m g l sin θ − b θ̇ + u, the angle from upright."""
    c, u = args
    inertia = c["mass"] * c["length"] ** 2
    pull = c["mass"] * c["gravity"] * c["length"] * jnp.sin(y[0])
    return jnp.stack([y[1], (u + pull - c["friction"] * y[1]) / inertia])


def _write(path: pathlib.Path, record: tuple[np.ndarray, ...]) -> None:
    """The file as a lab leaves it: angles within half a turn, six digits."""
    t, q, v, u = record
    wrapped = (q + np.pi) % (2 * np.pi) - np.pi
    rows = np.stack([t, wrapped, v, u], axis=1)
    head = "t,theta,omega,torque"
    np.savetxt(path, rows, "%.6g", ",", header=head, comments="")


#: What can be measured.
PARTS = {"arm": _arm, "pendulum": _pendulum}
