"""Going on with a fit: its own options, and what of them and of the data may change."""

import dataclasses
import hashlib
import json
import pathlib
from typing import Any

from jaxphys import checkpoint
from jaxphys.commands.fitting.options import USUAL_SECONDS, FitOptions
from jaxphys.experiments.resuming import check_budget, filled, one_budget

__all__ = ["check_same", "digest", "resumed", "stored"]

#: Options that may change from a fit to its continuation.
_FREE = ("data", "seconds", "steps", "out", "resume", "progress", "devices")


def stored(model: str, out: pathlib.Path | None = None) -> FitOptions:
    """The options of a fit, to go on with it.

    Args:
      model: what is fitted.
      out: its directory; the newest of this model under `runs` where none is given.

    Raises:
      ValueError: where there is no such fit.
    """
    out = _newest(model) if out is None else pathlib.Path(out)
    report = _report(out)
    if report["model"] != model:
        raise ValueError(
            f"{out} holds a fit of {report['model']}, not of {model}; go on with it by "
            "that name, or choose another --out."
        )
    options = filled(FitOptions(pathlib.Path()), report["options"])
    return dataclasses.replace(
        options, data=pathlib.Path(options.data), out=out, resume=True
    )


def resumed(model: str, options: FitOptions) -> FitOptions:
    """The options of a fit that goes on, with a budget and a directory.

    Raises:
      ValueError: where an option is another one than before, or the budget smaller.
    """
    before = stored(model, options.out)
    if before.steps is None and before.seconds is None:
        before = dataclasses.replace(before, seconds=USUAL_SECONDS)
    options = dataclasses.replace(one_budget(options, before), out=before.out)
    changed = [
        f"{name} {was!r} → {now!r}"
        for name, now in dataclasses.asdict(options).items()
        if name not in _FREE and (was := getattr(before, name)) != now
    ]
    if changed:
        raise ValueError(
            f"cannot resume {before.out}: {'; '.join(changed)}. Only the budget may "
            "change; choose another --out."
        )
    where = pathlib.Path(before.out or "")
    made = checkpoint.latest_step(where / "checkpoints" / "fit")
    check_budget(options, before, made or 0, where)
    if not pathlib.Path(options.data).exists():
        raise ValueError(
            f"the data of {where} are no longer in {options.data}; name the file "
            "with --data."
        )
    return options


def check_same(out: pathlib.Path, about: dict[str, Any]) -> None:
    """A ValueError where the data are not those that the fit in `out` began with."""
    before = _report(out).get("data", {})
    for name in ("sha256", "points", "coordinates"):
        was, now = before.get(name), about[name]
        if was is not None and was != now:
            what = (
                "its contents differ" if name == "sha256" else f"{was} → {now} {name}"
            )
            raise ValueError(
                f"cannot resume {out} with {about['file']}: it is not the file that "
                f"the fit began with, {before.get('file')}; {what}. Give that one, or "
                "choose another --out."
            )


def digest(path: str | pathlib.Path) -> str | None:
    """The SHA-256 of a file, by which it is known again; None for what is no file."""
    path = pathlib.Path(path)
    if not path.is_file():
        return None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _newest(model: str) -> pathlib.Path:
    """The newest fit of a model under `runs`."""
    for path in sorted(pathlib.Path("runs").glob("fit-*/report.json"), reverse=True):
        if _report(path.parent)["model"] == model:
            return path.parent
    raise ValueError(
        f"resume found no fit of {model} under runs/fit-*; name its directory with "
        "--out."
    )


def _report(out: pathlib.Path) -> dict[str, Any]:
    path = out / "report.json"
    if not path.is_file():
        raise ValueError(
            f"{out} holds no report.json, so that there is no fit to go on with; name "
            "the fit's directory with --out, or leave --resume out to begin one."
        )
    try:
        report = json.loads(path.read_text())
        model, options = report["model"], report["options"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is not the report of a fit.") from error
    if not (isinstance(model, str) and isinstance(options, dict)):
        raise ValueError(f"{path} is not the report of a fit.")
    return report
