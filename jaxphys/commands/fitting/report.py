"""What a fit leaves for people: report.json, a text, and figures."""

import dataclasses
import pathlib
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxphys import plots
from jaxphys.commands.fitting.judge import THRESHOLD, Follower
from jaxphys.commands.fitting.options import MODELS, FitOptions
from jaxphys.commands.fitting.prepare import Prepared
from jaxphys.commands.fitting.resuming import digest
from jaxphys.commands.pages import number
from jaxphys.experiments import record
from jaxphys.experiments.measures import dtype_of, finite
from jaxphys.learning import Whole
from jaxphys.learning.shooting import NINETY, Judged, spreads
from jaxphys.training import Fit
from jaxphys.types import PyTree

__all__ = [
    "announced",
    "begun",
    "draw",
    "draw_whole",
    "numbers_of",
    "plain",
    "refitted",
    "report_of",
    "text_of",
]

#: Energies, in kinetic energies, beyond which a rollout has run away.
_LARGEST_CHANGE = 1e6


def announced(
    model: str, options: FitOptions, ready: Prepared, out: pathlib.Path
) -> str:
    """Before the training: what is fitted to what, and what the data are like."""
    points = sum(each.y.q.shape[0] * len(each.t) for each in ready.measured)
    smooth = f"smoothed over {ready.window} points" if ready.window else "not smoothed"
    what = MODELS[model] + ", with a friction" * options.dissipation
    pushed = ""
    if ready.inputs is not None:
        pushed = f"{ready.inputs} inputs, {ready.intersample} between times, "
    return (
        f"{model}, {what}: {len(ready.measured)} trajectories, {points} points, "
        f"{ready.measured[0].y.q.shape[2]} coordinates, {pushed}{smooth}; matching "
        f"{ready.mode}, holding out {options.hold_out:g} by {ready.held_out_by}; "
        f"results in {out}\n{ready.look.text}"
    )


def begun(model: str, options: FitOptions, ready: Prepared) -> dict[str, Any]:
    """The contents of report.json before the training: what it goes on by."""
    file = pathlib.Path(options.data)
    return {
        "model": model,
        "status": "running",
        "options": plain(options),
        "versions": record.versions(),
        "device": record.device(),
        "data": {
            "file": file.name,
            "sha256": digest(file),
            "trajectories": len(ready.measured),
            "points": sum(len(each.t) for each in ready.measured),
            "coordinates": ready.measured[0].y.q.shape[2],
            "periodic": list(ready.periodic),
            "window": ready.window,
            "mode": ready.mode,
            "inputs": ready.inputs,
            "intersample": ready.intersample,
            "held_out_by": ready.held_out_by,
            "look": ready.look.facts
            | {"warnings": [list(pair) for pair in ready.look.warnings]},
        },
    }


def plain(options: FitOptions) -> dict[str, Any]:
    """Options as JSON has them."""
    # Whoever goes on with it may do so from another directory.
    file = pathlib.Path(options.data).absolute()
    return {
        name: str(file) if name == "data" else value
        for name, value in dataclasses.asdict(options).items()
        if name not in ("out", "resume", "progress", "devices")
    }


def report_of(
    begun: dict[str, Any], fit: Fit, whole: Whole | None = None
) -> dict[str, Any]:
    """The contents of report.json after the training, not judged yet."""
    # At the state that was kept: the look with the lowest held-out loss.
    best = min(fit.history, key=lambda look: look["validation_loss"])
    report = begun | {
        "status": fit.status,
        "training": {
            "status": fit.status,
            "message": fit.message,
            "verdict": fit.verdict,
            "updates": fit.history[-1]["step"],
            "seconds": fit.seconds,
            "compile_seconds": fit.compile_seconds,
            "history": fit.history,
        },
        "losses": {name: best[name] for name in ("train_loss", "validation_loss")},
    }
    if whole is not None:
        report |= {"status": whole.status, "whole": _facts(whole)}
    return report


def _facts(whole: Whole) -> dict[str, Any]:
    """What report.json says of a fit to whole records."""
    return {
        "rms": whole.rms,
        "noise": whole.noise.tolist(),
        "own_noise": whole.own_noise.tolist(),
        "joined": bool(whole.joined),
        "weights": whole.weights,
        "determined": whole.determined,
        "rows": whole.rows,
        "substeps": whole.substeps,
        "starts": whole.starts.tolist(),
        "stages": whole.stages,
        "seconds": whole.seconds,
    }


def numbers_of(
    judged: Judged, bands: tuple[float, float] | None
) -> dict[str, float | None]:
    """What report.json says of these rollouts, and of the bands around them."""
    names = ("rms", "rms_held_out", "misfit", "misfit_held_out")
    found: dict[str, float | None]
    found = {f"rollout_{name}": finite(getattr(judged, name)) for name in names}
    found |= {
        "energy_change": finite(judged.change),
        "measured_energy_change": finite(judged.measured_change),
    }
    if bands is not None:
        found |= {"band_stretch": bands[0], "band_coverage": bands[1]}
    return found


def text_of(report: dict[str, Any]) -> str:
    """The report for people."""
    losses, train = report["losses"], report["training"]
    lines = [
        f"{train['updates']} updates in {train['seconds']:.1f} s "
        f"({train['compile_seconds']:.1f} s to compile); {train['status']}"
        + (f", {train['message']}" if train["message"] else ""),
        *([f"loss: {train['verdict']}"] if train["verdict"] else []),
        f"loss, each component in units of its own size: train "
        f"{losses['train_loss']:.3g}, held out {losses['validation_loss']:.3g}",
    ]
    if "whole" in report:
        lines += _whole_lines(report["whole"])
    lines.append("rollouts from held-out starts:")
    names = {
        "valid_time": f"valid time (relative error ≤ {THRESHOLD:g})",
        "duration": "of a duration of",
        "rollout_error": "relative error, geometric mean",
        "energy_drift": "drift of the learned energy, of its range",
        "measured_energy_spread": "learned energy along the data, spread of its range",
    }
    found = report["held_out"]
    rows = [
        [name, f"{x['median']:.3g}", f"{x['low']:.2g} to {x['high']:.2g}"]
        for key, name in names.items()
        if (x := found.get(key))
    ]
    return "\n".join([*lines, record.aligned([["", "median", "quartiles"], *rows])])


def refitted(ready: Prepared, whole: Whole) -> dict[str, Any]:
    """What report.json says of a fit to all of the data in the end."""
    found = whole.rollouts(ready.measured)
    off = [
        np.concatenate(a.y, axis=2) - np.concatenate(b.y, axis=2)
        for a, b in zip(found, ready.measured, strict=True)
    ]
    every = np.concatenate([x.reshape(-1) for x in off])
    rms = finite(float(np.sqrt(np.mean(every**2))))
    return {"rollout_rms": rms, "joined": bool(whole.joined)}


def _whole_lines(found: dict[str, Any]) -> list[str]:
    """What was found of whole records, for people."""
    joined = "one rollout a record" if found["joined"] else "NOT joined to one rollout"
    lines = [
        f"whole records in {found['seconds']:.0f} s: {joined}, rms {found['rms']:.4g}; "
        f"the data determine {found['determined']:.0f} of {found['weights']} weights; "
        f"segments of {found['rows']} rows, {found['substeps']} steps between two"
    ]
    if not found["joined"]:
        lines.append(
            "the motion of this model is not that of the data for longer than its "
            "segments, or they are chaotic: try jaxphys fit auto"
        )
    if "rollout_rms" in found:
        lines.append(
            f"one rollout along all of it: rms {number(found['rollout_rms'])}, "
            f"{number(found['rollout_misfit'])} times the noise; where it was held "
            f"out {number(found['rollout_rms_held_out'])}, "
            f"{number(found['rollout_misfit_held_out'])} times"
        )
    if "refit" in found:
        lines.append(
            "fitted to all of the data in the end, one rollout along them: rms "
            f"{number(found['refit']['rollout_rms'])}"
        )
    change = found.get("measured_energy_change")
    if change is not None and abs(change) < _LARGEST_CHANGE:
        lines.append(
            "energy of the best conservative fit, in kinetic energies: measured "
            f"{change:+.2g}, of the model "
            f"{number(found['energy_change'])}"
        )
    if "band_coverage" in found:
        lines.append(
            f"bands of 90 %, stretched {found['band_stretch']:.2g} times by one half "
            f"of what was held out: {100 * found['band_coverage']:.0f} % of the other "
            "half is within"
        )
    return lines


def draw_whole(
    model: str,
    whole: Whole,
    judged: Judged,
    bands: tuple[float, float] | None,
    out: pathlib.Path,
) -> None:
    """record.png: the longest record and the rollout along all of it."""
    i = int(np.argmax([len(each.t) for each in judged.records]))
    rollout = {model: judged.rollouts[i]}
    half = None
    found = spreads(whole, judged)
    if bands is not None and found is not None:
        half = NINETY * bands[0] * np.sqrt(found[i] ** 2 + whole.noise**2)
    figure = plots.record(judged.records[i], rollout, judged.held_out[i], bands=half)
    plots.save(figure, out / "record.png")


def draw(
    model: str,
    ready: Prepared,
    follower: Follower,
    fit: Fit,
    params: PyTree,
    out: pathlib.Path,
) -> None:
    """losses.png, motion.png, and of one coordinate with an energy energy.png."""
    history = [h | {"test_loss": h["validation_loss"]} for h in fit.history]
    run = {"experiment": f"fit {model}", "methods": {model: {"history": history}}}
    plots.save(plots.comparison({out.name: run}), out / "losses.png")
    motion = follower.follow(params, ready.followed[0])
    figure = plots.followed_motion(ready.raw[0], {model: motion})
    plots.save(figure, out / "motion.png")
    if motion.y.q.shape[2] == 1 and follower.dynamics.energy is not None:

        def levels(q: np.ndarray, other: np.ndarray) -> np.ndarray:
            grid = (jnp.asarray(x, dtype_of(params)) for x in np.meshgrid(q, other))
            states = follower.dynamics.state(*(x[..., None] for x in grid))
            return np.asarray(follower.energy(params, states))

        plots.save(plots.energy_levels(levels, ready.measured), out / "energy.png")
