"""The hot steps of this tree beside those of another revision, in turns.

The other one is checked out beside it, as a worktree of git, and each is timed by
`hot.py` in processes of its own, A B B A …: both see the same machine, and what one
process has by luck, as the place of its arrays, the next has not.
"""

import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
from typing import Any

from benchmarks import harness

ROOT = pathlib.Path(__file__).parents[1]


def compare(revision: str, size: str, rounds: int, seconds: float) -> dict[str, Any]:
    """Name → the spread over rounds of their time over ours, and the medians of both.

    Raises:
      ValueError: for a revision that git does not know.
    """
    with tempfile.TemporaryDirectory() as scratch:
        other = pathlib.Path(scratch) / "other"
        _git("worktree", "add", "--detach", str(other), revision)
        try:
            pairs = []
            for number in range(rounds):
                order = (other, ROOT) if number % 2 else (ROOT, other)
                times = {tree: _times(tree, size, seconds) for tree in order}
                pairs.append((times[ROOT], times[other]))
        finally:
            _git("worktree", "remove", "--force", str(other))
    return ratios(pairs)


def ratios(pairs: list[tuple[dict[str, float], dict[str, float]]]) -> dict[str, Any]:
    """Of (ours, theirs) a round: their time over ours, its median, least and most.

    Example:
      >>> ratios([({"a": 1.0}, {"a": 2.0}), ({"a": 1.0}, {"a": 4.0})])["a"]["ratio"]
      3.0
    """
    found = {}
    for name in pairs[0][0]:
        ours, theirs = ([pair[i][name] for pair in pairs] for i in (0, 1))
        each = [b / a for a, b in zip(ours, theirs, strict=True)]
        found[name] = {
            "ours": statistics.median(ours),
            "theirs": statistics.median(theirs),
            "ratio": statistics.median(each),
            "least": min(each),
            "most": max(each),
        }
    return found


def table(revision: str, found: dict[str, Any]) -> str:
    """The comparison as text."""
    lines = [f"{'step':40} {'ours [ms]':>10} {revision[:10]:>10}  ratio (least, most)"]
    for name, row in found.items():
        lines.append(
            f"{name:40} {1e3 * row['ours']:10.3f} {1e3 * row['theirs']:10.3f}  "
            f"{row['ratio']:.2f} ({row['least']:.2f}, {row['most']:.2f})"
        )
    return "\n".join(lines)


def _times(tree: pathlib.Path, size: str, seconds: float) -> dict[str, float]:
    command = [sys.executable, str(pathlib.Path(__file__).with_name("hot.py"))]
    command += ["--size", size, "--seconds", str(seconds)]
    done = subprocess.run(
        command,
        env=os.environ | {"PYTHONPATH": str(tree)},
        cwd=tree,
        text=True,
        capture_output=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"the steps of {tree} do not run:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def _git(*arguments: str) -> None:
    command = ["git", "-C", str(harness.RESULTS.parent), *arguments]
    done = subprocess.run(command, text=True, capture_output=True, check=False)
    if done.returncode:
        raise ValueError(f"git {arguments[0]}: {done.stderr.strip()}")
