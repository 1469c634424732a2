"""Whether a change left the numbers of all experiments alone.

Each revision trains every experiment for a few updates from seed 0; two such records
are compared loss by loss. Not a measurement of speed: it is run by hand,

    $ python -m benchmarks.unchanged record OUT_OLD    # at the old revision
    $ python -m benchmarks.unchanged record OUT_NEW    # at the new one
    $ python -m benchmarks.unchanged compare OUT_OLD OUT_NEW
"""

import json
import math
import pathlib
import subprocess
import sys
from typing import Any

from jaxphys import experiments

#: Updates of each row, and what keeps one experiment short.
STEPS = 6
SHORT: dict[str, list[str]] = {
    "heat": ["--size", "16", "--samples", "32"],
    "ablations": ["--samples", "256", "--rates", "1.0", "--near-rates", "1.0"],
}


def record(out: pathlib.Path, names: list[str]) -> None:
    """Run the experiments of the checkout at hand, by its command line."""
    for name in names or list(experiments.names()):
        settings = experiments.get(name).settings
        fast = ["--fast"] if hasattr(settings, "fast") else []
        command = [sys.executable, "-m", "jaxphys.cli", "run", name, "--no-progress"]
        command += ["--steps", str(STEPS), "--out", str(out / name)]
        subprocess.run([*command, *fast, *SHORT.get(name, [])], check=True)


def compare(old: pathlib.Path, new: pathlib.Path) -> str:
    """A line a row: the largest relative difference of its losses and final numbers."""
    lines = []
    for path in sorted(old.glob("*/results.json")):
        other = new / path.parent.name / "results.json"
        if not other.exists():
            lines.append(f"{path.parent.name}: not in {new}")
            continue
        before, after = (json.loads(x.read_text())["methods"] for x in (path, other))
        for row in before:
            if row not in after:
                lines.append(f"{path.parent.name:22} {row:40} not in {new}")
                continue
            losses, finals = _apart(before[row], after[row])
            lines.append(f"{path.parent.name:22} {row:40} {losses:.1e} {finals:.1e}")
    return "\n".join(["experiment, row, largest difference: losses, finals", *lines])


def _apart(before: dict[str, Any], after: dict[str, Any]) -> tuple[float, float]:
    looks = {look["step"]: look for look in after["history"]}
    pairs = [(x, looks[x["step"]]) for x in before["history"] if x["step"] in looks]
    losses = [
        _relative(x[name], y.get(name, math.nan))
        for x, y in pairs
        for name in x
        if name not in ("step", "epoch", "seconds", "skipped")
    ]
    finals = [
        _relative(value, after["final"].get(name, math.nan))
        for name, value in before["final"].items()
        if isinstance(value, int | float) and name != "seconds"
    ]
    return max(losses, default=0.0), max(finals, default=0.0)


def _relative(x: float, y: float) -> float:
    apart = abs(x - y) / max(abs(x), 1e-300)
    return math.inf if math.isnan(apart) else apart


if __name__ == "__main__":
    what, first, *rest = sys.argv[1:]
    if what == "record":
        record(pathlib.Path(first), rest)
    else:
        print(compare(pathlib.Path(first), pathlib.Path(rest[0])))
