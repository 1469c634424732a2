"""Every `jaxphys run` that README and docs show, run: does each method end well?

Commands are taken from the text. Each is run from one seed for `SECONDS` of training,
and where a method has not come far by then, for as long as it has by itself. Each
method's loss at the end is compared with that of the network it began with.
"""

import json
import math
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time
from typing import Any

ROOT = pathlib.Path(__file__).parents[1]

#: Seconds of training of each method; those of a sweep are for each of many rates, and
#: a method that ends badly there is run again alone for as long as all others.
SECONDS, SWEPT = 5.0, {"ablations": 1.0}

#: Seconds of a whole command with all of its compiling.
LIMIT = 1800.0

#: A method ends well where its loss has fallen by this factor; and a motion also where
#: its rollouts from unseen states are off by less than this, relatively, whatever few
#: states, such as close encounters, do to the loss.
FACTOR, CLOSE = 2.0, 0.1

#: What makes a line a description of a command and not a command.
_PLACEHOLDERS = (
    *("NAME", "FILE", "MODEL", "LAW", "SYSTEM", "RUN", "{", "…", "$", "\\"),
    *("--help", "--resume", "--distributed"),
)

#: Options that say where, or how long, and not what.
_LEFT_OUT = ("--seconds", "--steps", "--seeds", "--out")


def run(
    *, smoke: bool, only: tuple[str, ...] = ()
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Run all, or those of some experiments; returns (config, results)."""
    seconds = 0.2 if smoke else SECONDS
    chosen = [x for x in commands() if not only or x.split()[2] in only]
    if smoke:
        chosen = ["jaxphys run logistic"]
    config = {"seconds": seconds, "factor": FACTOR, "close": CLOSE}
    config["niceness"] = os.nice(0)
    found = {}
    for command in chosen:
        most = min(seconds, SWEPT.get(command.split()[2], seconds))
        ended = _ended(command, most)
        poor = [name for name, x in ended["methods"].items() if not x["good"]]
        if poor and not smoke:
            ended = _again(command, ended, poor)
        found[command] = ended
    return config, {"commands": found}


def commands(kind: str = "run", root: pathlib.Path = ROOT) -> list[str]:
    """The commands that the pages show, each once, without where and how long."""
    found = set()
    for page in [root / "README.md", *sorted((root / "docs").rglob("*.md"))]:
        code = re.sub(r"```.*?\n(.*?)```", r"`\1`", page.read_text(), flags=re.S)
        for span in re.findall(r"`([^`]+)`", code):
            told = re.sub(r"\s+#.*", "", span)
            for line in re.findall(rf"jaxphys {kind} [^\n]*", told):
                if not any(x in line for x in _PLACEHOLDERS):
                    found.add(_without(line.split()))
    return sorted(found)


def _without(words: list[str]) -> str:
    """A command without the options that are left out, with their values."""
    kept, skip = [], False
    for word in words:
        if skip or word in _LEFT_OUT:
            skip = not skip
        else:
            kept.append(word.rstrip(",;."))
    return " ".join(kept)


def _again(command: str, ended: dict[str, Any], poor: list[str]) -> dict[str, Any]:
    """The same for as long as it has by itself; of a sweep, those that were poor."""
    if command.split()[2] not in SWEPT:
        return _ended(command, None)
    alone = [_ended(f"{command} --method {name}", SECONDS) for name in poor]
    methods = {k: x for each in alone for k, x in each["methods"].items()}
    return ended | {"methods": ended["methods"] | methods}


def _ended(command: str, seconds: float | None) -> dict[str, Any]:
    """How long a command took, and method → how far its loss fell, and its verdict.

    `seconds` are those of training; None for as many as the command has by itself.
    """
    words, begin = command.split()[1:], time.perf_counter()
    environment = dict(os.environ)
    if "--devices" in words:
        count = words[words.index("--devices") + 1]
        environment["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={count}"
    with tempfile.TemporaryDirectory() as scratch:
        out = pathlib.Path(scratch) / "run"
        line = [sys.executable, "-m", "jaxphys.cli", *words, "--no-progress"]
        line += ["--out", str(out)]
        line += [] if seconds is None else ["--seconds", str(seconds)]
        line = ["timeout", "--kill-after=60", "--signal=INT", str(LIMIT), *line]
        done = subprocess.run(line, env=environment, capture_output=True, text=True)
        results = out / "results.json"
        found = json.loads(results.read_text()) if results.exists() else {}
    return {
        "status": done.returncode,
        "said": done.stderr[-500:],
        "seconds": time.perf_counter() - begin,
        "training_seconds": seconds,
        "methods": {k: _fall(x) for k, x in found.get("methods", {}).items()},
    }


def _fall(entry: dict[str, Any]) -> dict[str, Any]:
    """By what factor a method's test loss fell, with what is said of its end."""
    first, last = entry["history"][0], entry["history"][-1]
    name = "test_loss" if "test_loss" in first else "train_loss"
    off = entry["final"].get("rollout_error", math.inf)
    found = {
        "first": first[name],
        "last": last[name],
        "rollout_error": off if math.isfinite(off) else None,
        "status": entry["final"].get("status"),
        "verdict": entry["final"].get("verdict"),
    }
    return found | {"factor": factor(found), "good": good(found)}


def factor(end: dict[str, Any]) -> float:
    """By what factor a loss fell; infinite where it ended at nothing or below."""
    return end["first"] / end["last"] if end["last"] > 0 else math.inf


def good(end: dict[str, Any]) -> bool:
    """Whether a method ended well."""
    off = end.get("rollout_error")
    return factor(end) >= FACTOR or (off is not None and off <= CLOSE)
