"""`jaxphys fit`: learn a motion from trajectories that somebody measured.

Read, look for what is wrong, smooth what is noisy, hold some out, train, and judge the
model by following the motions that were held out. What is left is a report, figures,
and a model file that `jaxphys.checkpoint.load` makes a Hamiltonian of again, or a
Lagrangian.
"""

import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxphys import checkpoint, data, devices, files, learning, trees
from jaxphys.commands.fitting import report as reports
from jaxphys.commands.fitting import resuming
from jaxphys.commands.fitting.judge import Follower
from jaxphys.commands.fitting.options import MODELS, WHOLE_SECONDS, FitOptions
from jaxphys.commands.fitting.pages import baseline_of, fit_page
from jaxphys.commands.fitting.prepare import (
    BEGINNING,
    Prepared,
    arguments_of,
    is_conservative,
    prepare,
    recipe_of,
)
from jaxphys.experiments import record
from jaxphys.learning import Whole, shooting
from jaxphys.motion import make_stepper
from jaxphys.names import check_known
from jaxphys.training import Fit, Storage
from jaxphys.types import Array, Trajectories

__all__ = ["Fitted", "fit", "look"]


class Fitted(NamedTuple):
    """What a fit leaves.

    Attributes:
      report: the contents of report.json.
      model: what was learned, ready to be called.
      out: the directory.
      interrupted: whether Ctrl-C ended the training.
    """

    report: dict[str, Any]
    model: checkpoint.Learned
    out: pathlib.Path
    interrupted: bool


def fit(model: str, options: FitOptions) -> Fitted:
    """Fit a model to a file of trajectories, print the report, and write the results.

    In the directory are report.html for people, report.json, model.npz, and the figures
    losses.png, motion.png and, of one coordinate with an energy, energy.png.

    Args:
      model: one of `commands.fitting.MODELS`, such as "hnn" or "lnn".
      options: the file, and how to learn from it.

    Returns:
      A `Fitted`, whose model is also what `jaxphys.checkpoint.load` reads. Ctrl-C and
      SIGTERM end it with what was trained until then.

    Raises:
      ValueError: for data and options that do not fit, with nothing written.
      FileNotFoundError: where there is no such file.

    Example:
      >>> import contextlib, dataclasses, io, tempfile
      >>> from jaxphys import data, systems
      >>> from jaxphys.motion import simulated
      >>> folder = pathlib.Path(tempfile.mkdtemp())
      >>> ts = np.linspace(0.0, 2.0, 11)
      >>> seen = simulated(systems.pendulum(), jax.random.key(0), 3, ts)
      >>> path = data.save_trajectories(folder / "swings.npz", seen)
      >>> options = FitOptions(path, steps=2, hidden=(4,), dtype=str(seen.t.dtype))
      >>> options = dataclasses.replace(options, out=folder / "fit", progress=False)
      >>> with contextlib.redirect_stdout(io.StringIO()):
      ...     fitted = fit("hnn", options)
      >>> fitted.model(seen.y.q[0, 0], seen.y.p[0, 0]).shape
      ()
    """
    check_known("model", model, MODELS)
    if options.dry_run:
        raise ValueError("dry_run looks at the data alone: call commands.look instead.")
    if options.resume:
        options = resuming.resumed(model, options)
    with devices.across(options.devices):
        return _fitted(model, options)


def _fitted(model: str, options: FitOptions) -> Fitted:
    """A fit by options that are its own, on the devices in force."""
    dtype = trees.real_dtype(options.dtype)
    ready = prepare(model, options)
    recipe = recipe_of(model, options, ready)
    arguments = arguments_of(model, options, ready)
    dynamics = checkpoint.build(model, arguments)
    # What does not fit together is told before anything is compiled or written.
    if recipe.mode == "trajectories":
        make_stepper(dynamics, recipe.integrator)
    for length in recipe.lengths:
        learning.samples(dynamics, recipe.mode, ready.train, length)
    # What is held out may be shorter than a chunk, and is then followed to its end.
    learning.samples(dynamics, recipe.mode, ready.held_out, 1)
    learning.Learner(learning.matching(dynamics, recipe), recipe).check_batches(
        ready.train
    )
    out = pathlib.Path(options.out or record.dated_directory("fit"))
    begun = reports.begun(model, options, ready)
    if options.resume:
        resuming.check_same(out, begun["data"])
    else:
        record.check_empty(out, "Choose another --out, or go on with --resume.")
    out.mkdir(parents=True, exist_ok=True)
    files.clear_leftovers(out)
    print(reports.announced(model, options, ready, out), flush=True)

    for_noise, for_fit = jax.random.split(jax.random.key(options.seed))
    train = data.cast(ready.train, dtype)
    if options.noise:
        train = _noisy(train, options.noise, for_noise)
    with record.said_where_it_ends(out / "report.json", begun):
        trained = learning.learn(
            dynamics,
            recipe,
            train,
            key=for_fit,
            others={"validation_loss": data.cast(ready.held_out, dtype)},
            normalized=True,
            storage=Storage(out / "checkpoints" / "fit", options.resume, of=model),
            progress=f"fit {model}" if options.progress else False,
        )
        whole = None
        if ready.mode == "whole" and trained.status == "finished":
            whole = _whole(dynamics, options, ready, train, trained.state.params)
        arguments["dtype"] = dtype
        report = _left(model, options, ready, arguments, trained, whole, begun, out)
        print(f"model, report and figures in {out}")
    interrupted = "interrupted" in (trained.status, whole and whole.status)
    return Fitted(report, checkpoint.load(out), out, interrupted)


def _left(
    model: str,
    options: FitOptions,
    ready: Prepared,
    arguments: dict[str, Any],
    trained: Fit,
    whole: Whole | None,
    begun: dict[str, Any],
    out: pathlib.Path,
) -> dict[str, Any]:
    """Judge what was trained; model, report and figures as it goes on."""
    dynamics = checkpoint.build(model, arguments)
    params = trained.state.params if whole is None else whole.params
    path, notes = out / "model.npz", begun["data"]
    checkpoint.save_model(path, model, arguments, params, notes)
    # Before it is judged, which may take longer than there is time.
    report = reports.report_of(begun, trained, whole)
    record.write_json(out / "report.json", report)
    if whole is not None:
        # Rollouts along whole records, the part that was held out included.
        judged = shooting.judge(
            whole,
            ready.raw_train,
            ready.raw,
            whole.own_noise,
            by=ready.held_out_by,
            periodic=ready.periodic,
        )
        bands = shooting.coverage(whole, judged, whole.noise)
        report |= {"whole": report["whole"] | reports.numbers_of(judged, bands)}
        reports.draw_whole(model, whole, judged, bands, out)
        if options.refit:
            whole = learning.learn_whole(
                dynamics,
                ready.measured,
                params,
                rows=options.rows,
                rates=_known_rates(ready.measured),
            )
            params = whole.params
            report["whole"]["refit"] = reports.refitted(ready, whole)
        checkpoint.save_model(path, model, arguments, params, notes)
    follower = Follower(dynamics)
    conservative = ready.inputs is None and is_conservative(model, options)
    held_out = follower.judge(params, ready.followed, conservative=conservative)
    report |= {"held_out": held_out, "baseline": baseline_of(ready, follower, params)}
    record.write_json(out / "report.json", report)
    print(reports.text_of(report))
    reports.draw(model, ready, follower, trained, params, out)
    fit_page(model, options, ready, arguments, report, out)
    return report


def _whole(dynamics, options: FitOptions, ready: Prepared, train, params) -> Whole:
    """The second part of a fit to whole records, which the derivatives began."""
    seconds = options.seconds
    if seconds is None and options.steps is None:
        seconds = WHOLE_SECONDS
    if seconds is not None:
        seconds *= 1 - BEGINNING
    # Noise that was added to what is matched is added here as well.
    raw = ready.raw_train
    if options.noise:
        raw = [
            each._replace(
                y=jax.tree.map(lambda a, b, c: a + b - c, each.y, noisy.y, y.y)
            )
            for each, noisy, y in zip(raw, train, ready.train, strict=True)
        ]
    return learning.learn_whole(
        dynamics,
        raw,
        params,
        rows=options.rows,
        substeps=options.substeps,
        rates=_known_rates(raw),
        seconds=seconds,
        told=print if options.progress else None,
    )


def _known_rates(raw: list[Trajectories]) -> bool:
    """Whether a file has rates that `learn_whole` can match as well."""
    return all(each.rate is not None and each.u is None for each in raw)


def look(model: str, options: FitOptions) -> data.Look:
    """Read the file as `fit` does, print what the data are like, and leave it at that.

    Args:
      model: one of `commands.fitting.MODELS`.
      options: the file, and how it would be learned from.

    Returns:
      A `jaxphys.data.Look`: facts, and warnings with what to do.

    Raises:
      ValueError: for data and options that do not fit.
      FileNotFoundError: where there is no such file.
    """
    check_known("model", model, MODELS)
    ready = prepare(model, options)
    smooth = f"smoothed over {ready.window} points" if ready.window else "not smoothed"
    print(f"{ready.look.text}\n{model} would match {ready.mode}, {smooth}")
    return ready.look


def _noisy(
    train: Sequence[Trajectories], part: float, key: Array
) -> list[Trajectories]:
    """Noise on the states, in units of each one's spread."""
    found = []
    for number, motion in enumerate(train):
        own = jax.random.fold_in(key, number)
        noisy = motion
        for name, x in motion.y._asdict().items():
            size = part * np.std(x, axis=(0, 1))
            noisy = data.add_noise(noisy, size, own, (name,))
        found.append(noisy)
    return found
