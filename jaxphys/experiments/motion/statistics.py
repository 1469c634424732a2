"""Statistics of each coordinate's errors over many motions, and their table.

Where some learned motions run away, a mean says little.
"""

from typing import Any

from jaxphys import metrics
from jaxphys.experiments import record
from jaxphys.experiments.measures import finite
from jaxphys.types import Array, System

__all__ = ["statistics", "table"]

_NAMES = metrics.Summary._fields


def statistics(errors: Array) -> dict[str, float]:
    """All statistics of errors (N, n): `mean_1` is that of the first coordinate."""
    named = {}
    for i in range(errors.shape[1]):
        for name, value in zip(_NAMES, metrics.summary(errors[:, i]), strict=True):
            named[f"{name}_{i + 1}"] = finite(value)
    return named


def table(system: System, methods: dict[str, Any]) -> str:
    """All statistics of the first seed's models, a row a coordinate of each.

    Args:
      system: whose coordinates they are.
      methods: those of results.json, with `statistics` of mean squared errors and
        `valid_time` in their final records.
    """
    header = ["model", "coordinate", *(name.replace("_", " ") for name in _NAMES)]
    rows = [[*header, "valid time"]]
    for model, entry in methods.items():
        end = record.finals(entry)[0]
        for i, coordinate in enumerate(system.coordinates):
            cells = [f"{end[f'{name}_{i + 1}']:.2e}" for name in _NAMES]
            shown = coordinate.replace("\\", "").replace("_{", "").replace("}", "")
            rows.append([model, shown, *cells, f"{end['valid_time']:.2f}"])
    note = "mean squared error of each coordinate over a motion, of all starts"
    return f"\n{note}\n{record.aligned(rows)}"
