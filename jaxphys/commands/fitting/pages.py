"""report.html of a fit, and of several laws that were ranked."""

import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxphys import data
from jaxphys.commands.fitting.judge import Follower
from jaxphys.commands.fitting.options import MODELS, FitOptions
from jaxphys.commands.fitting.prepare import Prepared
from jaxphys.commands.fitting.report import text_of
from jaxphys.commands.pages import (
    bullets,
    command_line,
    figures,
    number,
    paragraph,
    section,
    table,
    warned,
    write_page,
)
from jaxphys.experiments.measures import finite
from jaxphys.learning.laws import LAWS, Ranking
from jaxphys.types import PyTree, Trajectories

__all__ = ["baseline_of", "columns_in", "data_section", "fit_page", "ranking_page"]

_FIGURES = {
    "record.png": "The longest record, and one rollout of the model along all of it; "
    "what was held out is shaded.",
    "motion.png": "A motion that was held out, and the model's from its first state.",
    "energy.png": "Levels of the learned energy, and the measurements.",
    "losses.png": "The losses during training.",
}

#: Why each mode is taken where none is asked for.
_WHY = {
    "derivatives": "the file has derivatives, or its states are smooth enough for them",
    "whole": "the states are noisy: weights and starts are fitted to the whole record",
    "trajectories": "the states are noisy, and too many for whole records",
    "torques": "the file has the generalized forces",
}


def baseline_of(
    ready: Prepared, follower: Follower, params: PyTree
) -> dict[str, list[Any]]:
    """How far rollouts over held-out motions are off, beside a constant.

    Args:
      ready: the data.
      follower: of the model.
      params: its weights.

    Returns:
      Of each column: its name; the root mean square of rollout less measurement; the
      same of the mean of the training data in the rollout's place; its noise.
    """
    train = np.concatenate([np.concatenate(x.y, axis=2)[0] for x in ready.raw_train])
    mean, off, still = train.mean(axis=0), [], []
    for raw, each in zip(ready.raw, ready.followed, strict=True):
        found = follower.follow(params, each)
        seen = np.concatenate(raw.y, axis=2)[0]
        off.append(np.concatenate(found.y, axis=2)[0] - seen)
        still.append(mean - seen)
    return {
        "columns": columns_in(ready.measured[0]),
        "rms": [finite(x) for x in _rms(off)],
        "constant": [finite(x) for x in _rms(still)],
        "noise": _noise(ready.measured),
    }


def columns_in(motion: Trajectories) -> list[str]:
    """The names of the columns of a motion's states: q and v, or q1 … qn, v1 … vn."""
    n = motion.y.q.shape[2]
    return [
        name if n == 1 else f"{name}{i + 1}"
        for name in motion.y._fields
        for i in range(n)
    ]


def _rms(parts: Sequence[np.ndarray]) -> list[float]:
    return np.sqrt(np.mean(np.concatenate(parts) ** 2, axis=0)).tolist()


def _noise(measured: Sequence[Trajectories]) -> list[float | None]:
    longest = max(measured, key=lambda each: len(each.t))
    if len(longest.t) < 11:
        return [None] * (2 * longest.y.q.shape[2])
    return data.noise_levels(longest.t, np.concatenate(longest.y, axis=2)).tolist()


def data_section(look: data.Look, file: str, sha256: str | None = None) -> str:
    """What the data are like, and what may be wrong with them."""
    known = f", SHA-256 {sha256}" if sha256 else ""
    return section(
        "The data",
        paragraph(f"{file}{known}."),
        bullets(look.lines),
        warned([f"{what}; {cure}" for what, cure in look.warnings]),
    )


def fit_page(
    model: str,
    options: FitOptions,
    ready: Prepared,
    arguments: dict[str, Any],
    report: dict[str, Any],
    out: pathlib.Path,
) -> pathlib.Path:
    """report.html of one fit.

    Args:
      model: what was fitted.
      options: of the fit.
      ready: the data.
      arguments: of the model.
      report: the contents of report.json.
      out: the directory, with its figures.
    """
    rows = [["column", "this model", "a constant", "noise of the column"]]
    found = report["baseline"]
    for name, *numbers in zip(*found.values(), strict=True):
        rows.append([name, *map(number, numbers)])
    status = report["status"]
    about = report["data"]
    parts = [
        paragraph(MODELS[model] + ", with a friction" * options.dissipation + "."),
        warned([] if status == "finished" else [f"The training was {status}."]),
        section(
            "How good it is",
            paragraph(
                "Rollouts over what was held out, less the measurements, root mean "
                "square; beside it the mean of the training data in their place, and "
                "the noise, below which nothing can come."
            ),
            table(rows),
            bullets(text_of(report).partition("\nrollouts from")[0].splitlines()),
            figures(out, _FIGURES),
        ),
        data_section(ready.look, about["file"], about["sha256"]),
        section("What was chosen, and why", table(_choices(options, ready, arguments))),
    ]
    return write_page(
        out / "report.html",
        f"{model}, fitted to {about['file']}",
        parts,
        command=command_line(f"fit {model}", options),
        versions=report["versions"],
    )


def _choices(
    options: FitOptions, ready: Prepared, arguments: dict[str, Any]
) -> list[list[str]]:
    """What the data decided, or somebody asked for."""

    def why(name: str, usual: Any, reason: str) -> str:
        return "asked for" if getattr(options, name) != usual else reason

    several = len(ready.measured) > 1
    by = "there are several motions" if several else "there is one motion"
    wide = (
        "ten numbers of the data for each weight" if ready.mode == "whole" else "usual"
    )
    smoothed = f"{ready.window} points" if ready.window else "none"
    angles = ", ".join("angle" if x else "length" for x in ready.periodic)
    return [
        ["what", "value", "why"],
        ["matched", ready.mode, why("mode", "auto", _WHY[ready.mode])],
        [
            "smoothing before derivatives",
            smoothed,
            why("window", None, "by the noise of the data"),
        ],
        [
            "held out",
            f"{options.hold_out:g} by {ready.held_out_by}",
            why("hold_out_by", "auto", by),
        ],
        [
            "coordinates",
            angles,
            why("periodic", (), "names, units and jumps of columns"),
        ],
        [
            "hidden layers",
            ", ".join(map(str, arguments["hidden"])),
            why("hidden", (), wide),
        ],
    ]


def ranking_page(
    found: Ranking, options: FitOptions, command: str, out: pathlib.Path, versions: dict
) -> pathlib.Path:
    """report.html of several laws.

    Args:
      found: the laws.
      options: of the fit.
      command: such as "fit auto".
      out: the directory, with its figures.
      versions: of the packages.
    """
    rows = [["law", "", "whole record", "held out", "weights determined"]]
    rows += [
        [
            row.name,
            LAWS[row.name].what,
            number(finite(row.judged.misfit), 3),
            number(finite(row.judged.misfit_held_out), 3),
            f"{row.whole.determined:.0f} of {row.whole.weights}",
        ]
        for row in found.rows
    ]
    file = pathlib.Path(options.data).name
    captions = {
        "ranking.png": "Laws by how far their rollouts are off, and the last of them.",
        "record.png": f"The longest record, and the rollout of {found.recommended}.",
    }
    parts = [
        paragraph(f"Recommended: {found.recommended}, {found.reason}."),
        section(
            "The laws",
            paragraph(
                "One rollout along every record less what was measured, in units of "
                "the noise: one is as good as it can be. A mere vector field, "
                "neural_ode, is the baseline that knows no mechanics."
            ),
            table(rows),
            bullets([f"{name} was not tried: {why}" for name, why in found.left_out]),
            figures(out, captions),
        ),
        data_section(found.look, file),
    ]
    return write_page(
        out / "report.html",
        f"Which law does {file} follow?",
        parts,
        command=command_line(command, options),
        versions=versions,
    )
