"""`jaxphys plot`: the comparison of stored runs, from their results.json alone."""

import pathlib
from collections.abc import Sequence
from typing import Any

from jaxphys import plots
from jaxphys.experiments import record

__all__ = ["plot"]


def plot(
    runs: Sequence[pathlib.Path | str], out: pathlib.Path | str | None = None
) -> pathlib.Path:
    """Draw the comparison of stored runs: their losses over time and over updates.

    Args:
      runs: directories that hold a results.json.
      out: the PNG to write; by default comparison.png, in the directory of the one
        run, or here where there are several.

    Returns:
      The PNG that was written.

    Raises:
      ValueError: without runs, and for a directory without the results of a run.
    """
    if not runs:
        raise ValueError("plot needs at least one directory with a results.json.")
    places = [pathlib.Path(run) for run in runs]
    names = [place.resolve().name for place in places]
    stored = {
        name if names.count(name) == 1 else str(place): _results(place)
        for place, name in zip(places, names, strict=True)
    }
    if out is None:
        folder = places[0] if len(places) == 1 else pathlib.Path()
        out = folder / "comparison.png"
    return plots.save(plots.comparison(stored), pathlib.Path(out))


def _results(run: pathlib.Path) -> dict[str, Any]:
    """The results of a run, at least one method of which was trained."""
    path = run / "results.json"
    if not path.exists():
        raise ValueError(f"{run} holds no results.json; name a run's directory.")
    results = record.read_results(path)
    if not results["methods"]:
        raise ValueError(f"{path} holds no method that was trained yet.")
    return results
