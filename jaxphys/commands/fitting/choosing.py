"""`jaxphys fit auto`: which law do these data follow? A table, a figure, a model."""

import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxphys import checkpoint, files, plots
from jaxphys.commands.fitting import report as reports
from jaxphys.commands.fitting.options import FitOptions
from jaxphys.commands.fitting.pages import ranking_page
from jaxphys.commands.fitting.prepare import masses_of, read_measured
from jaxphys.experiments import record
from jaxphys.learning.laws import LAWS, Ranking, which_law
from jaxphys.names import check_known

__all__ = ["AUTO", "Chosen", "fit_laws"]

#: The name of the command that tries what fits the data.
AUTO = "auto"

#: Seconds for each law where none are given.
_SECONDS = 60.0

#: Options that a ranking of laws has no use for, with what they are otherwise.
_UNUSED = ("mode", "inputs", "dissipation", "window", "chunk", "growth", "steps")


class Chosen(NamedTuple):
    """What a choice of laws leaves.

    Attributes:
      ranking: the laws, and which is recommended.
      model: that one, ready to be called.
      out: the directory.
    """

    ranking: Ranking
    model: checkpoint.Learned
    out: pathlib.Path


def fit_laws(laws: Sequence[str], options: FitOptions) -> Chosen:
    """Fit several laws to a file, rank them, and write what is recommended.

    In the directory are report.html for people, ranking.json, ranking.png, record.png,
    and model.npz, which `jaxphys predict` and `jaxphys.checkpoint.load` take. The
    ranking and the model of the best law until then are written after each law.

    Args:
      laws: names of `jaxphys.learning.LAWS`, or "auto" alone for those that fit the
        data.
      options: the file, and of how to learn from it what concerns all of them.

    Returns:
      A `Chosen`. In a notebook without files, `jaxphys.learning.which_law` does it.

    Raises:
      ValueError: for data, names and options that do not fit, with nothing written.
      FileNotFoundError: where there is no such file.
    """
    named = () if list(laws) == [AUTO] else tuple(laws)
    for name in named:
        check_known("law", name, LAWS)
    _check_unused(options)
    out = pathlib.Path(options.out or record.dated_directory("fit"))
    record.check_empty(out)
    measured = read_measured(options, masses_of(options))
    told = print if options.progress else None
    report = {"options": reports.plain(options), "versions": record.versions()}

    def keep(found: Ranking, status: dict[str, str]) -> None:
        """What is known after a law: a kill costs no more than the next one."""
        out.mkdir(parents=True, exist_ok=True)
        files.clear_leftovers(out)
        _save(found, options, out)
        record.write_json(out / "ranking.json", report | found.report() | status)

    found = which_law(
        measured,
        laws=named,
        hold_out=options.hold_out,
        by=options.hold_out_by,
        periodic=options.periodic,
        intersample=options.intersample,
        hidden=options.hidden,
        seconds=options.seconds or _SECONDS,
        key=jax.random.key(options.seed),
        told=told,
        kept=lambda ranked: keep(ranked, {"status": "running"}),
    )
    print(f"{found.look.text}\n\n{found}")
    keep(found, {})
    _draw(found, out)
    command = f"fit {' '.join(laws)}"
    ranking_page(found, options, command, out, report["versions"])
    print(
        f"table, figures and the model of {found.recommended} in {out}; to go on: "
        f"jaxphys predict {out} --state …"
    )
    return Chosen(found, checkpoint.load(out), out)


def _check_unused(options: FitOptions) -> None:
    usual = FitOptions(options.data)
    for name in (*_UNUSED, "resume", "dry_run", "refit", "devices"):
        if getattr(options, name) != getattr(usual, name):
            raise ValueError(
                f"{name} is for one law; leave it out, or fit one by its name."
            )


def _save(found: Ranking, options: FitOptions, out: pathlib.Path) -> None:
    row = found.row(found.recommended)
    notes: dict[str, Any] = {
        "file": pathlib.Path(options.data).name,
        "law": row.name,
        "look": found.look.facts,
    }
    if options.intersample != "auto":
        notes["intersample"] = options.intersample
    kind = LAWS[row.name].kind
    checkpoint.save_model(out / "model.npz", kind, row.arguments, row.params, notes)


def _draw(found: Ranking, out: pathlib.Path) -> None:
    best = found.row(found.recommended)
    i = int(np.argmax([len(each.t) for each in best.judged.records]))
    measured, held_out = best.judged.records[i], best.judged.held_out[i]
    figure = plots.ranking(
        {x.name: (x.judged.misfit, x.judged.misfit_held_out) for x in found.rows},
        measured,
        {x.name: x.judged.rollouts[i] for x in found.rows},
        held_out,
    )
    plots.save(figure, out / "ranking.png")
    reports.draw_whole(best.name, best.whole, best.judged, best.bands, out)
