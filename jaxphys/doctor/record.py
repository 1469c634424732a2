"""What a check leaves: findings, each with what was seen, where, and what to do."""

import functools
import io
import pathlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from jaxphys import plots

__all__ = ["SEVERITIES", "Finding", "Report"]

#: From the worst on: the derivative is wrong, it is of little use, or a fact.
SEVERITIES = ("fault", "warning", "note")


class Finding(NamedTuple):
    """One thing that was found.

    Attributes:
      name: which; one of those in the table of `jaxphys.doctor`.
      severity: "fault", where a value or a derivative is wrong or not there; "warning",
        where it is right and of little use; or "note".
      seen: what was seen, with numbers.
      where: a line of the source, or an input; may be empty.
      cure: what to do.
      numbers: what was measured, by name.
    """

    name: str
    severity: str
    seen: str
    where: str = ""
    cure: str = ""
    numbers: Mapping[str, float] = MappingProxyType({})


class Report(NamedTuple):
    """What `jaxphys.check` leaves. It prints as a page.

    Attributes:
      function: its name.
      inputs: name → shape, of what was differentiated by.
      outputs: how many numbers the function returns.
      device: where it ran.
      findings: what was found, the worst first.
      curves: what `plot` draws: name → numbers, or name → such a mapping.
      cost: what all probes cost, in gradients; that of the timed updates not counted.
    """

    function: str
    inputs: Mapping[str, tuple[int, ...]]
    outputs: int
    device: str
    findings: tuple[Finding, ...]
    curves: Mapping[str, Any]
    cost: float

    @property
    def ok(self) -> bool:
        """Whether there is neither a fault nor a warning."""
        return all(each.severity == "note" for each in self.findings)

    @property
    def faults(self) -> tuple[str, ...]:
        """The names of the faults and the warnings."""
        return tuple(each.name for each in self.findings if each.severity != "note")

    def find(self, name: str) -> Finding | None:
        """The first finding of a name, or None."""
        return next((each for each in self.findings if each.name == name), None)

    def json(self) -> dict[str, Any]:
        """All of it, but for the curves, in types that JSON has."""
        return {
            "function": self.function,
            "ok": self.ok,
            "device": self.device,
            "inputs": {name: list(shape) for name, shape in self.inputs.items()},
            "outputs": self.outputs,
            "cost": self.cost,
            "findings": [
                each._asdict() | {"numbers": _plain(each.numbers)}
                for each in self.findings
            ],
        }

    def plot(self, path: str | pathlib.Path | None = None) -> plots.Figure:
        """Finite differences, the horizon, the spectrum and the times of updates.

        Args:
          path: a PNG to write.
        """
        figure = plots.checkup(self.function, self.curves)
        # A notebook shows figures of pyplot alone, if it is not told how to.
        setattr(figure, "_repr_png_", functools.partial(_as_png, figure))  # noqa: B010
        if path is not None:
            plots.save(figure, path)
        return figure

    def __str__(self) -> str:
        return "\n".join([self._head(), *map(_lines, self.findings), self._verdict()])

    def __repr__(self) -> str:
        return str(self)

    def _head(self) -> str:
        inputs = ", ".join(f"{name} {shape}" for name, shape in self.inputs.items())
        return (
            f"{self.function} on {self.device}\n"
            f"  by {inputs or 'nothing'}\n"
            f"  of {self.outputs} outputs\n"
        )

    def _verdict(self) -> str:
        kinds = [each.severity for each in self.findings]
        counts = [
            f"{kinds.count(kind)} {kind}{'' if kinds.count(kind) == 1 else 's'}"
            for kind in SEVERITIES[:2]
        ]
        return f"{' and '.join(counts)}; this took {self.cost:.0f} gradients."


def _lines(finding: Finding) -> str:
    """A finding as a paragraph."""
    lines = [f"{finding.severity.upper()} {finding.name}: {finding.seen}"]
    lines += [f"  at {finding.where}"] if finding.where else []
    lines += [f"  {finding.cure}"] if finding.cure else []
    return "\n".join(lines) + "\n"


def _plain(numbers: Mapping[str, float]) -> dict[str, float | None]:
    """JSON has no NaN and no infinity: these are null."""
    return {
        name: float(x) if abs(float(x)) < float("inf") else None
        for name, x in numbers.items()
    }


def _as_png(figure: plots.Figure) -> bytes:
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=110, format="png")
    return drawn.getvalue()
