"""Going on with a run: its own settings and options, and what of them may change."""

import dataclasses
import pathlib
from typing import Any, TypeVar

from jaxphys import checkpoint
from jaxphys.experiments import record
from jaxphys.experiments.experiment import Experiment, RunOptions

__all__ = ["check_budget", "filled", "one_budget", "reached", "stored"]

_Record = TypeVar("_Record")


def stored(
    experiment: Experiment, out: pathlib.Path | None = None
) -> tuple[Any, RunOptions]:
    """The settings and options of a run, to go on with it.

    Args:
      experiment: whose run it is.
      out: its directory; the newest under `runs` where none is given.

    Raises:
      ValueError: where there is no such run.
    """
    out = record.output_directory(experiment.name, out, resume=True)
    results = record.read_results(out / "results.json")
    if results["experiment"] != experiment.name:
        raise ValueError(
            f"{out} holds a run of {results['experiment']}; go on with it by that name."
        )
    config = results["config"]
    options = filled(experiment.options, config)
    options = dataclasses.replace(options, out=out, resume=True)
    return filled(experiment.settings(), config), options


def filled(default: _Record, config: dict[str, Any]) -> _Record:
    """A dataclass with the values that JSON has for it, its own where it has none.

    Example:
      >>> filled(RunOptions(), {"method": ["adam"], "seed": 3}).method
      ('adam',)
    """
    made: Any = default
    names = [field.name for field in dataclasses.fields(made)]
    known = {name: _as_tuples(config[name]) for name in names if name in config}
    return dataclasses.replace(made, **known)


def _as_tuples(value: Any) -> Any:
    """JSON has lists where options have tuples."""
    return tuple(map(_as_tuples, value)) if isinstance(value, list) else value


def one_budget(options: Any, before: Any) -> Any:
    """Of steps and seconds the one that was asked for now, or else the one before.

    Args:
      options, before: records with `steps` and `seconds`.

    Example:
      >>> before = RunOptions(seconds=15.0)
      >>> one_budget(RunOptions(seconds=15.0, steps=100), before).seconds is None
      True
      >>> one_budget(RunOptions(), before).seconds
      15.0
    """
    if options.steps is None and options.seconds is None:
        return dataclasses.replace(options, steps=before.steps, seconds=before.seconds)
    if options.steps is None or options.seconds is None:
        return options
    if options.steps != before.steps:
        return dataclasses.replace(options, seconds=None)
    return dataclasses.replace(options, steps=None)


def check_budget(options: Any, before: Any, reached: int, where: pathlib.Path) -> None:
    """A ValueError where less is asked for than before, or than is trained already."""
    for name in ("steps", "seconds"):
        was, now = getattr(before, name), getattr(options, name)
        if was is not None and now is not None and now < was:
            raise ValueError(
                f"cannot resume {where}: {name} was {was:g} and is {now:g}, and what "
                "is trained cannot be undone. Give as many or more, or choose "
                "another --out."
            )
    if options.steps is not None and options.steps < reached:
        raise ValueError(
            f"cannot resume {where}: {reached} updates are made already, and steps is "
            f"{options.steps}. Give as many or more, or choose another --out."
        )


def reached(out: pathlib.Path, names: list[str]) -> int:
    """The most updates that one of these rows has made, as far as it was saved."""
    found = [
        checkpoint.latest_step(path) or 0
        for path in (out / "checkpoints").glob("*")
        if path.name.rpartition("-")[0] in names
    ]
    return max(found, default=0)
