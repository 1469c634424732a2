"""Tables and figures from the newest record of each benchmark.

`REPORT.md` gets every section; the README gets the method table between its markers.
"""

import math
import pathlib
import statistics
from typing import Any

from benchmarks import harness
from jaxphys.experiments.runner import MILESTONES
from jaxphys.plots import label

README = pathlib.Path(__file__).parents[1] / "README.md"
MARKERS = ("<!-- methods: begin -->", "<!-- methods: end -->")


def write(results_dir: pathlib.Path, readme: pathlib.Path | None = README) -> None:
    """Write REPORT.md beside the records, and the README's table."""
    parts = ["## Measurements", "", "Made by `python -m benchmarks report`.", ""]
    for name in SECTIONS:
        if harness.latest(name, results_dir) is not None:
            parts += [*section(name, results_dir), ""]
    (results_dir / "REPORT.md").write_text("\n".join(parts).rstrip() + "\n")
    found = harness.latest("oscillators", results_dir)
    if readme is not None and found is not None:
        text = readme.read_text()
        begin, end = (text.index(marker) for marker in MARKERS)
        table = "\n".join(["", *_method_table(found["results"]["methods"]), "", ""])
        readme.write_text(text[: begin + len(MARKERS[0])] + table + text[end:])


def section(name: str, results_dir: pathlib.Path) -> list[str]:
    """One benchmark's newest record as Markdown lines."""
    found = harness.latest(name, results_dir)
    assert found is not None
    title, lines_of = SECTIONS[name]
    return [f"### {title}", "", _where(found), "", *lines_of(found["results"])]


def _where(found: dict[str, Any]) -> str:
    device, versions = found["device"], found["versions"]
    return (
        f"{found['time'][:10]}, revision {found['revision']}, {device['kind']} "
        f"({device['processor']}, {device['cores']} cores), jax {versions['jax']}, "
        f"Python {versions['python']}, {found['dtype']}. Settings: "
        f"{found['config']}."
    )


def _table(header: list[str], rows: list[list[str]]) -> list[str]:
    rule = ["---", *["---:"] * (len(header) - 1)]
    return ["| " + " | ".join(row) + " |" for row in (header, rule, *rows)]


def _seconds(value: float | None) -> str:
    return "–" if value is None or math.isinf(value) else f"{value:.2f}"


def _method_table(methods: dict[str, Any]) -> list[str]:
    header = ["method", "updates", "compile [s]", "train loss", "test loss"]
    header += [f"s to {x:g}" for x in MILESTONES]
    rows = []
    for name, entry in methods.items():
        finals = [e["final"] for e in (entry, *entry.get("repeats", []))]

        def middle(key: str, finals=finals) -> float:
            return statistics.median(f[key] for f in finals)

        times = [
            statistics.median(
                math.inf if f["time_to"][f"{x:g}"] is None else f["time_to"][f"{x:g}"]
                for f in finals
            )
            for x in MILESTONES
        ]
        rows.append(
            [
                f"{label(name)} (`{name}`)",
                f"{middle('step'):.0f}",
                f"{entry['compile_seconds']:.1f}",
                f"{middle('train_loss'):.1e}",
                f"{middle('test_loss'):.1e}",
                *map(_seconds, times),
            ]
        )
    return _table(header, rows)


def _oscillators(results: dict[str, Any]) -> list[str]:
    lines = _method_table(results["methods"])
    lines += ["", "![loss of every method](oscillators.png)", ""]
    lines += [
        "HIG by epochs, published settings and order (train loss / test loss):",
        "",
    ]
    rows = [
        [str(row["seed"])]
        + [
            f"{row[n]['train_loss']:.2e} / {row[n]['test_loss']:.2e}"
            for n in ("0", "1", "2", "4")
        ]
        for row in results["hig_epochs"]
    ]
    lines += _table(["seed", "start", "1 epoch", "2 epochs", "4 epochs"], rows)
    lines += ["", "Damped methods, how far they get (train loss / test loss):", ""]
    rows = []
    for row in results["precision"]:
        cells = [
            f"{row[k]['train_loss']:.1e} / {row[k]['test_loss']:.1e} "
            f"({row[k]['seconds']:.0f} s)"
            for k in ("short", "long")
        ]
        damping = "–" if row["damping"] is None else f"{row['damping']:.0e}"
        best = f"{row['best_test_loss']:.1e}"
        reached = _seconds(row["seconds_to_1e-9"])
        rows.append([row["method"], row["dtype"], *cells, best, reached, damping])
    header = ["method", "dtype", "after 20 s", "at the end", "best test loss"]
    header += ["s to 1e-9", "last λ"]
    return lines + _table(header, rows)


def _hig_epoch(results: dict[str, Any]) -> list[str]:
    ours, theirs = results["jaxphys_seconds"], results["tensorflow_seconds"]
    pairs = results["ratio_pairwise"]
    rows = [
        ["jaxphys", *(f"{ours[k]:.3f}" for k in ("median", "p10", "p90"))],
        ["TensorFlow peer", *(f"{theirs[k]:.3f}" for k in ("median", "p10", "p90"))],
    ]
    lines = _table(["one HIG epoch [s]", "median", "p10", "p90"], rows)
    lines += [
        "",
        f"Ratio of medians **{results['ratio_of_medians']:.1f}**, pair by pair "
        f"{pairs['p10']:.1f} to {pairs['p90']:.1f}.",
        "",
        "Where a step's time goes; each row is compiled alone, so rows overlap:",
        "",
    ]
    parts = [[name, f"{ms:.3f}"] for name, ms in results["parts_ms"].items()]
    return lines + _table(["part", "median [ms]"], parts)


def _million(results: dict[str, Any]) -> list[str]:
    rows = []
    for name, row in results.items():
        step = row["step_seconds"]
        rows.append(
            [
                name,
                *(f"{1e3 * step[k]:.1f}" for k in ("median", "p10", "p90", "max")),
                f"{row['ratio_to_adam']:.1f}",
                f"{row['peak_memory_mb']:.0f}",
                f"{row['compile_seconds']:.1f}",
            ]
        )
    header = ["method", "step [ms]", "p10", "p90", "max", "× Adam", "peak [MB]"]
    lines = _table([*header, "compile [s]"], rows)
    any_row = next(iter(results.values()))
    return [
        *lines,
        "",
        f"{any_row['num_params']} parameters; the dense Jacobian alone would take "
        f"{any_row['dense_jacobian_mb']:.0f} MB.",
    ]


def _startup(results: dict[str, Any]) -> list[str]:
    rows = [[k, f"{v:.1f}"] for k, v in results["seconds_to_first_update"].items()]
    return _table(["method", "seconds to the first update shown"], rows)


SECTIONS = {
    "oscillators": ("Coupled oscillators, every method", _oscillators),
    "hig_epoch": ("One epoch of HIG, beside TensorFlow", _hig_epoch),
    "million": ("A controller of a million parameters", _million),
    "startup": ("From the command to the first update", _startup),
}
