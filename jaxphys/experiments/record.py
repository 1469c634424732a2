"""What a run leaves on disk: results.json, tables, and where they go.

`results.json` holds `experiment, title, status, config, versions, device` and
`methods`, a row a name: `model, optimizer, seed, compile_seconds, history, final`, and
`repeats` where there are further seeds. The status is `running`, `finished` or
`interrupted`. Files are written whole or not at all.
"""

import contextlib
import datetime
import functools
import importlib.metadata
import json
import math
import os
import pathlib
import platform
import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jaxphys import devices, files, metrics, stopping
from jaxphys.training import Fit

__all__ = [
    "aligned",
    "check_empty",
    "dated_directory",
    "device",
    "entry_of",
    "finals",
    "mark",
    "new_results",
    "open_results",
    "output_directory",
    "read_results",
    "said_where_it_ends",
    "table",
    "table_rows",
    "time_to",
    "versions",
    "write_json",
]

#: Options that may change from a run to its continuation.
_FREE = ("method", "seconds", "steps", "out", "resume", "progress")


def dated_directory(name: str) -> pathlib.Path:
    """Where results go that nobody named a place for: `runs/NAME-DATE-TIME`."""
    now = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    return pathlib.Path("runs") / f"{name}-{now}"


def output_directory(
    name: str, out: pathlib.Path | None, *, resume: bool
) -> pathlib.Path:
    """The directory of a run: the one named, the newest to resume, or a new one.

    Raises:
      ValueError: where there is no run to resume.
    """
    if out is not None:
        out = pathlib.Path(out)
        if resume and not (out / "results.json").exists():
            raise ValueError(
                f"{out} holds no results.json, so that there is no run to go on with; "
                "name the run's directory with out, or leave resume out to begin one."
            )
        return out
    if not resume:
        return dated_directory(name)
    runs = sorted(pathlib.Path("runs").glob(f"{name}-*/results.json"))
    if not runs:
        raise ValueError(
            f"resume found no runs/{name}-*/results.json here; name the run's "
            "directory with out."
        )
    return runs[-1].parent


def check_empty(out: pathlib.Path, cure: str = "Choose another --out.") -> None:
    """A ValueError where writing results would mix them with what is there.

    What a killed process had not written to its end is removed.
    """
    # The first of several processes may be writing there already.
    if (
        devices.is_first()
        and out.exists()
        and not (out.is_dir() and all(map(files.is_leftover, out.iterdir())))
    ):
        raise ValueError(
            f"{out} exists and is not empty; nothing was overwritten. {cure}"
        )
    files.clear_leftovers(out)


def open_results(
    out: pathlib.Path, name: str, title: str, config: dict[str, Any], *, resume: bool
) -> dict[str, Any]:
    """New results for an empty directory, or those of the run that is continued.

    The directory is made; they are not written yet.

    Raises:
      ValueError: where the directory holds something else, or a run of other settings.
    """
    path = out / "results.json"
    config = json.loads(json.dumps(config))
    if path.exists() and (resume or devices.is_first()):
        old = read_results(path)
        if not resume:
            raise ValueError(
                f"{out} holds another run, of {old['experiment']}; nothing was "
                "overwritten. Choose another --out, or go on with --resume."
            )
        changed = [
            f"{k} {old['config'].get(k)!r} → {v!r}"
            for k, v in config.items()
            if k not in _FREE and old["config"].get(k, v) != v
        ]
        if old["experiment"] != name or changed:
            raise ValueError(
                f"cannot resume {out}: {'; '.join(changed) or old['experiment']}. Only "
                "methods and budget may change; choose another --out."
            )
        files.clear_leftovers(out)
        # Rows that are added later belong to the run, which goes on with all of them.
        before = old["config"].get("method", [])
        config["method"] = list(dict.fromkeys([*before, *config["method"]]))
        return old | {"config": config, "status": "running"}
    check_empty(out)
    out.mkdir(parents=True, exist_ok=True)
    return new_results(name, title, config)


def new_results(name: str, title: str, config: dict[str, Any]) -> dict[str, Any]:
    """What results.json holds before the first row is trained."""
    return {
        "experiment": name,
        "title": title,
        "status": "running",
        "config": json.loads(json.dumps(config)),
        "versions": versions(),
        "device": device(),
        "methods": {},
    }


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that numbers depend on."""
    packages = ("jaxphys", "jax", "jaxlib", "flax", "optax", "numpy")
    found = {"python": platform.python_version()}
    for name in packages:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def device() -> dict[str, Any]:
    """What computes: platform, kind, how many in use, and the number of processors."""
    first = jax.devices()[0]
    return {
        "platform": first.platform,
        "kind": first.device_kind,
        "count": devices.count(),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
    }


def _processor() -> str:
    info = pathlib.Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def write_json(path: pathlib.Path, value: Any) -> None:
    """Write JSON whole or not at all."""
    with files.replacing(path) as file:
        file.write(json.dumps(value, indent=1).encode())


def mark(path: pathlib.Path, status: str) -> None:
    """Have a results.json, or a report.json, tell another status."""
    write_json(path, json.loads(path.read_text()) | {"status": status})


@contextlib.contextmanager
def said_where_it_ends(path: pathlib.Path, begun: dict[str, Any]) -> Iterator[None]:
    """Have a results.json say that a run was interrupted, however that comes about.

    Args:
      path: the file.
      begun: its contents at the start.
    """

    interrupted = functools.partial(mark, path, "interrupted")
    with stopping.last_words(interrupted):
        try:
            write_json(path, begun)
            yield
        except BaseException:
            # Such as a full disk, which may not take this either.
            with contextlib.suppress(OSError):
                interrupted()
            raise


def read_results(path: pathlib.Path) -> dict[str, Any]:
    """The contents of a results.json.

    Raises:
      ValueError: where it is not what a run writes.
    """
    if path.is_dir():
        raise ValueError(f"{path} is a directory; expected the results of a run.")
    try:
        results = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"{path} is not JSON, and so not the results of a run.") from (
            error
        )
    kinds = {"experiment": str, "title": str, "config": dict, "methods": dict}
    for name, kind in kinds.items():
        found = results.get(name) if isinstance(results, dict) else None
        if not isinstance(found, kind):
            raise ValueError(
                f"{path} is not the results of a run: it has no {name!r} as runs do."
            )
    for name, entry in results["methods"].items():
        _check_entry(path, name, entry)
    return results


def _check_entry(path: pathlib.Path, name: str, entry: Any) -> None:
    """A ValueError where an entry of `methods` is not what a run writes."""
    for part, kind in (("history", list), ("final", dict)):
        found = entry.get(part) if isinstance(entry, dict) else None
        if not isinstance(found, kind) or not found:
            raise ValueError(
                f"{path} is not the results of a run: {name} has no {part!r} as they "
                "do."
            )
    for look in entry["history"]:
        numbers = isinstance(look, dict) and all(
            isinstance(look.get(clock), int | float) for clock in ("step", "seconds")
        )
        if not numbers:
            raise ValueError(
                f"{path} is not the results of a run: the history of {name} has no "
                "step and seconds throughout."
            )


def time_to(history: list[dict], loss: float, name: str = "test_loss") -> float | None:
    """Training seconds at which a loss was first seen at or below a value."""
    reached = (h["seconds"] for h in history if h.get(name, math.inf) <= loss)
    return next(reached, None)


def entry_of(
    fit: Fit, seed: int, measured: Mapping[str, Any], milestones: Sequence[float]
) -> dict[str, Any]:
    """What results.json says of one training."""
    final: dict[str, Any] = {**fit.history[-1]}
    final |= {"status": fit.status, "message": fit.message, "verdict": fit.verdict}
    final["time_to"] = {f"{x:g}": time_to(fit.history, x) for x in milestones}
    return {
        "seed": seed,
        "compile_seconds": fit.compile_seconds,
        "history": fit.history,
        "final": final | dict(measured),
    }


def finals(entry: dict[str, Any]) -> list[dict[str, Any]]:
    """The final records of a row in a results.json, one a seed."""
    return [each["final"] for each in (entry, *entry.get("repeats", []))]


def table(
    methods: Mapping[str, dict[str, Any]],
    columns: Mapping[str, str],
    published: Mapping[str, Mapping[str, float]],
    milestones: Sequence[float] = (),
) -> str:
    """The closing table of a run, as text in columns; see `table_rows`."""
    rows = table_rows(methods, columns, published, milestones)
    seeds = max((len(finals(entry)) for entry in methods.values()), default=1)
    note = f"\nmedians over {seeds} seeds, quartiles in brackets" if seeds > 1 else ""
    return aligned(rows) + note


def table_rows(
    methods: Mapping[str, dict[str, Any]],
    columns: Mapping[str, str],
    published: Mapping[str, Mapping[str, float]],
    milestones: Sequence[float] = (),
) -> list[list[str]]:
    """The cells of it: medians over seeds, quartiles, published figures.

    Args:
      methods: the `methods` of a results.json.
      columns: name in the final records → heading.
      published: row → name → the published figure.
      milestones: the test losses to which the training time is given.
    """
    known = {name for of_row in published.values() for name in of_row}
    header = ["method", "updates", "compile s", "train s"]
    for name, heading in columns.items():
        header += [heading, "published"] if name in known else [heading]
    header += [f"s to {x:g}" for x in milestones]
    rows = [[*header, ""]]
    for row, entry in methods.items():
        ends = finals(entry)
        cells = [row, f"{_median(ends, 'step'):.0f}"]
        cells += [f"{entry['compile_seconds']:.1f}", f"{_median(ends, 'seconds'):.1f}"]
        for name in columns:
            values = [end[name] for end in ends if name in end]
            cells.append(_spread(values) if values else "–")
            if name in known:
                figure = published.get(row, {}).get(name)
                cells.append("" if figure is None else f"{figure:.3g}")
        cells += [_reached(ends, f"{x:g}") for x in milestones]
        rows.append([*cells, ", ".join(sorted({_ended(end) for end in ends} - {""}))])
    return rows


def _ended(end: Mapping[str, Any]) -> str:
    """How a training ended: its status, or the first words of its verdict."""
    if end["status"] != "finished":
        return end["status"]
    return end.get("verdict", "").partition(":")[0]


def _median(ends: list[dict[str, Any]], name: str) -> float:
    return statistics.median(end[name] for end in ends)


def _reached(ends: list[dict[str, Any]], milestone: str) -> str:
    times = [end["time_to"].get(milestone) for end in ends]
    middle = statistics.median(math.inf if t is None else t for t in times)
    return "–" if math.isinf(middle) else f"{middle:.2f}"


def _spread(values: list[float]) -> str:
    low, middle, high = (float(x) for x in metrics.quartiles(jnp.asarray(values)))
    if len(values) == 1:
        return f"{middle:.2e}"
    return f"{middle:.2e} [{low:.1e}, {high:.1e}]"


def aligned(rows: list[list[str]]) -> str:
    """Rows of cells as text in columns, the first row a header above a line.

    Example:
      >>> print(aligned([["name", "loss"], ["adam", "0.5"]]))
      name  loss
      ----------
      adam   0.5
    """
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])
