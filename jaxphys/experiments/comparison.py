"""What `jaxphys.compare` leaves: a table that prints itself, and a figure of it."""

import functools
import html
import io
import pathlib
import statistics
from collections.abc import Mapping
from typing import Any, NamedTuple

from jaxphys import plots
from jaxphys.experiments import record
from jaxphys.types import PyTree

__all__ = ["Comparison"]


class Comparison(NamedTuple):
    """What `compare` leaves. It prints as a table, in a notebook as well.

    `jaxphys.plots.comparison` and `loss_curves` take it as it is.

    Attributes:
      results: what results.json holds; `results["methods"][name]` has the history.
      params: method → the trained weights, of the first seed.
    """

    results: dict[str, Any]
    params: dict[str, PyTree]

    @property
    def best(self) -> str:
        """The method of the lowest loss, of tests where there are some."""
        return min(self.params, key=self.loss)

    def loss(self, method: str) -> float:
        """A method's last test loss, or train loss without tests; median over seeds."""
        ends = record.finals(self.results["methods"][method])
        return statistics.median(
            end.get("test_loss", end["train_loss"]) for end in ends
        )

    def plot(self, path: str | pathlib.Path | None = None) -> plots.Figure:
        """Losses against training time and against updates; to a PNG file with a path.

        Raises:
          ValueError: where nothing was trained, as of an interrupted run.
        """
        if not self.params:
            raise ValueError("no method was trained; there is nothing to plot.")
        figure = plots.comparison(self)
        # A notebook shows figures of pyplot alone, if it is not told how to.
        setattr(figure, "_repr_png_", functools.partial(_as_png, figure))  # noqa: B010
        if path is not None:
            plots.save(figure, path)
        return figure

    def __str__(self) -> str:
        rows = self._rows()
        return "\n".join([self.results["title"], record.aligned(rows), self._verdict()])

    def __repr__(self) -> str:
        return str(self)

    def _repr_markdown_(self) -> str:
        head, *rows = self._rows()
        lines = [head, ["---", *("---:" for _ in head[1:])], *rows]
        table = "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
        return f"**{self.results['title']}**\n\n{table}\n\n{self._verdict()}"

    def _repr_html_(self) -> str:
        def line(kind: str, cells: list[str]) -> str:
            inner = "".join(f"<{kind}>{html.escape(x)}</{kind}>" for x in cells)
            return f"<tr>{inner}</tr>"

        head, *rows = self._rows()
        table = line("th", head) + "".join(line("td", row) for row in rows)
        title, verdict = (
            html.escape(self.results["title"]),
            html.escape(self._verdict()),
        )
        return f"<b>{title}</b><table>{table}</table><p>{verdict}</p>"

    def _rows(self) -> list[list[str]]:
        methods = {
            name: _begun(entry)
            | {"repeats": list(map(_begun, entry.get("repeats", [])))}
            for name, entry in self.results["methods"].items()
        }
        columns = {"start": "at the start", "train_loss": "train loss"}
        if any("test_loss" in entry["final"] for entry in methods.values()):
            columns["test_loss"] = "test loss"
        return record.table_rows(methods, columns, {})

    def _verdict(self) -> str:
        """What happened to a method on its way, and which ends lowest."""
        said = [
            f"{name}: {entry['final']['message']}"
            for name, entry in self.results["methods"].items()
            if entry["final"]["message"]
        ]
        return "\n".join([*said, self._lowest()])

    def _lowest(self) -> str:
        """Which method ends lowest, by how much, and since when."""
        seeds = self.results["config"]["seeds"]
        note = (
            f"Medians over {seeds} seeds, quartiles in brackets. " if seeds > 1 else ""
        )
        if len(self.params) < 2:
            return note.rstrip()
        first, second = sorted(self.params, key=self.loss)[:2]
        low, next_low = self.loss(first), self.loss(second)
        text = f"{first} ends lowest, at {low:.2g}"
        if low > 0 and next_low / low < 1e12:
            text += f", {next_low / low:.2g} times below {second}"
        history = self.results["methods"][first]["history"]
        passed = [h["seconds"] for h in history if _judged(h) <= next_low]
        if passed:
            text += f", which it passed after {passed[0]:.2g} s"
        return note + text + "."


def _as_png(figure: plots.Figure) -> bytes:
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=110, format="png")
    return drawn.getvalue()


def _judged(seen: Mapping[str, float]) -> float:
    return seen.get("test_loss", seen["train_loss"])


def _begun(entry: dict[str, Any]) -> dict[str, Any]:
    """An entry whose final record has the loss at the start, too."""
    return entry | {"final": {**entry["final"], "start": _judged(entry["history"][0])}}
