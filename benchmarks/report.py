"""Tables and figures from the newest record of each benchmark.

`REPORT.md` gets every section; the README and the guides get a table each, between
their markers.
"""

import math
import pathlib
import statistics
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from benchmarks import control, harness, kills, large, measured
from benchmarks.shown import factor, good
from jaxphys import experiments, plots
from jaxphys.experiments import Experiment, record
from jaxphys.experiments.control.rows import MILESTONES

ROOT = pathlib.Path(__file__).parents[1]
MARKERS = ("<!-- methods: begin -->", "<!-- methods: end -->")
#: Benchmark → what its table in the guide of that name stands between.
TABLES = {
    name: (f"<!-- {name}: begin -->", f"<!-- {name}: end -->")
    for name in (
        "hamiltonian",
        "lagrangian",
        "control",
        "feedback",
        "kills",
        "measured",
        "driven",
        "large",
    )
}

#: Experiment, its baseline, its model with the published recipe, and the best in as
#: much time: what the guide's table of Hamiltonian networks shows. The published
#: figure is that of the best, or of the model.
SUMMARY = (
    ("mass_spring", "mlp", "hnn", "hnn_levenberg_marquardt"),
    ("pendulum", "mlp", "hnn", "hnn_levenberg_marquardt"),
    ("two_body", "mlp", "hnn", "hnn_levenberg_marquardt"),
    ("three_body", "mlp", "hnn", "pairwise_levenberg_marquardt"),
    ("seed_spring", "mlp", "hnn", "hnn_levenberg_marquardt"),
    ("damped_spring", "hnn", "dissipative", "dissipative_levenberg_marquardt"),
    ("pendulum_torque", "naive", "symoden", "symoden_levenberg_marquardt"),
    (
        "pendulum_torque",
        "naive_embedded",
        "symoden_embedded",
        "symoden_embedded_levenberg_marquardt",
    ),
    ("pendulum_chain", "naive", "structured", ""),
)


#: Experiment, its baseline, its model by Adam, and by Levenberg–Marquardt: what the
#: guide's table of Lagrangian networks shows.
LAGRANGIAN = (
    ("double_pendulum_box", "mlp", "lnn", "lnn_levenberg_marquardt"),
    ("double_pendulum_box", "mlp", "delan", "delan_levenberg_marquardt"),
    ("double_pendulum", "mlp", "lnn", "lnn_levenberg_marquardt"),
    ("double_pendulum", "mlp", "delan", "delan_levenberg_marquardt"),
    ("relativistic", "", "lnn", "lnn_levenberg_marquardt"),
    ("relativistic", "", "lnn", "hnn_levenberg_marquardt"),
    ("relativistic", "", "lnn", "hnn_velocities_levenberg_marquardt"),
    ("two_link_arm", "mlp", "structured", "structured_levenberg_marquardt"),
    ("two_link_arm", "mlp", "delan", "delan_levenberg_marquardt"),
    ("wave", "", "lattice", "lattice_levenberg_marquardt"),
    ("seed_polar", "", "lnn", "lnn_levenberg_marquardt"),
    ("seed_double_pendulum", "", "lnn", "lnn_levenberg_marquardt"),
    ("pendulum_chain_2", "", "", "delan_levenberg_marquardt"),
    ("pendulum_chain_3", "", "", "delan_levenberg_marquardt"),
)

#: What is shown of an experiment where it is not its first column.
SHOWN = {"double_pendulum": "final_energy", "wave": "energy_drift"}

#: Benchmarks whose experiments may be measured one at a time.
IN_PARTS = (
    *("hamiltonian", "lagrangian", "control", "kills", "feedback", "shown"),
    "measured",
    "driven",
    "large",
)


def write(results_dir: pathlib.Path, root: pathlib.Path | None = ROOT) -> None:
    """Write REPORT.md beside the records, its figures, and the tables of the pages."""
    measured = harness.latest("work_precision", results_dir)
    if measured is not None:
        figure = plots.work_precision(measured["results"]["cases"])
        plots.save(figure, results_dir / "work_precision.png")
    measured = harness.merged("control", results_dir)
    for name, methods in measured["results"].items() if measured else ():
        order = [m for m in control.CASES[name].methods if m in methods]
        run = {
            "experiment": name,
            "title": name.replace("_", " "),
            "methods": {m: methods[m] for m in order},
        }
        figure = plots.comparison({name: run})
        plots.save(figure, results_dir / f"{name}.png")
    (results_dir / "REPORT.md").write_text(text(results_dir))
    if root is None:
        return
    for table in tables(results_dir):
        path = root / table.page
        path.write_text(table.filled(path.read_text()))


def text(results_dir: pathlib.Path) -> str:
    """What REPORT.md says: a section for each benchmark, and other devices."""
    parts = ["## Measurements", "", "Made by `python -m benchmarks report`.", ""]
    for name in SECTIONS:
        if harness.latest(name, results_dir) is not None:
            parts += [*section(name, results_dir), ""]
    parts += _other_devices(results_dir)
    return "\n".join(parts).rstrip() + "\n"


class Table(NamedTuple):
    """A table of a page, by records.

    Attributes:
      page: its place in the repository.
      markers: what it stands between.
      lines: what is there.
    """

    page: str
    markers: tuple[str, str]
    lines: list[str]

    def filled(self, text: str) -> str:
        """The page's text with these lines between the markers."""
        begin, end = (text.index(marker) for marker in self.markers)
        between = "\n".join(["", *self.lines, "", ""])
        return text[: begin + len(self.markers[0])] + between + text[end:]


def tables(results_dir: pathlib.Path) -> list[Table]:
    """The tables of README and docs, of those benchmarks that have records."""
    pages: dict[str, tuple[str, tuple[str, str], Callable]] = {
        "oscillators": ("README.md", MARKERS, lambda x: _method_table(x["methods"])),
        "hamiltonian": (
            "docs/guides/hamiltonian.md",
            TABLES["hamiltonian"],
            lambda x: _summary_table(x, SUMMARY),
        ),
        "lagrangian": (
            "docs/guides/lagrangian.md",
            TABLES["lagrangian"],
            lambda x: _summary_table(x, LAGRANGIAN),
        ),
        "feedback": ("docs/guides/feedback.md", TABLES["feedback"], _races),
        "kills": ("docs/limitations.md", TABLES["kills"], _kills),
        "control": ("docs/guides/control.md", TABLES["control"], _control_summary),
        "measured": (
            "docs/guides/measurements.md",
            TABLES["measured"],
            _measured_summary,
        ),
        "driven": ("docs/guides/measurements.md", TABLES["driven"], _driven),
        "large": ("docs/guides/optimizers.md", TABLES["large"], _ways),
    }
    found = []
    for name, (page, markers, lines) in pages.items():
        newest = harness.merged if name in IN_PARTS else harness.latest
        measured = newest(name, results_dir)
        if measured is not None:
            found.append(Table(page, markers, lines(measured["results"])))
    return found


def _other_devices(results_dir: pathlib.Path) -> list[str]:
    """The sections of what is no processor, a folder of records each."""
    parts: list[str] = []
    for folder in sorted(path for path in results_dir.iterdir() if path.is_dir()):
        names = [x for x in SECTIONS if harness.latest(x, folder) is not None]
        if names:
            kind = harness.latest(names[0], folder)["device"]["kind"]  # type: ignore[index]
            parts += [f"## On another device: {kind}", ""]
        for name in names:
            parts += [*section(name, folder), ""]
    return parts


def _experiment(name: str) -> tuple[Experiment, Any]:
    """An experiment and its settings; a number at the end, as in `pendulum_chain_2`, is
    that of links."""
    base, _, size = name.rpartition("_")
    if size.isdigit():
        found = experiments.get(base)
        return found, found.settings(links=int(size))
    found = experiments.get(name)
    return found, found.settings()


def _labels(names: Iterable[str]) -> dict[tuple[str, str], str]:
    """(experiment, row) → its label, by model and optimizer, alike in all tables."""
    pairs: dict[Any, Any] = {}
    for name in names:
        experiment, settings = _experiment(name)
        rows = experiment.of("rows", settings)
        pairs |= {(name, row): each.named for row, each in rows.items()}
    looks: dict[Any, plots.Look] = plots.looks(pairs)
    return {pair: look.label for pair, look in looks.items()}


def _summary_table(results: dict[str, Any], chosen: tuple) -> list[str]:
    """One metric of every experiment, medians over seeds."""
    table = []
    labels = _labels(results["experiments"])
    for name, baseline, model, best in chosen:
        rows = results["experiments"].get(name)
        if rows is None or not {model, best} & set(rows):
            continue
        experiment, settings = _experiment(name)
        published = experiment.of("published", settings)
        metric = SHOWN.get(name, next(iter(experiment.columns)))
        heading = experiment.columns[metric]

        def shown(row: str, name=name, rows=rows, metric=metric) -> str:
            if row not in rows:
                return "–"
            return f"{labels[name, row]} {rows[row][metric]['median']:.1e}"

        known = next(
            (published[row].get(metric) for row in (best, model) if row in published),
            None,
        )
        table.append(
            [
                f"`{name}`",
                heading,
                "–" if known is None else f"{known:.1e}",
                *map(shown, (baseline, model, best)),
            ]
        )
    header = ["experiment", "metric", "published", "baseline, Adam", "model, Adam"]
    return _table([*header, "Levenberg–Marquardt"], table)


def section(name: str, results_dir: pathlib.Path) -> list[str]:
    """One benchmark's newest record as Markdown lines."""
    newest = harness.merged if name in IN_PARTS else harness.latest
    found = newest(name, results_dir)
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
    escaped = [
        [cell.replace("|", r"\|") for cell in row] for row in (header, rule, *rows)
    ]
    return ["| " + " | ".join(row) + " |" for row in escaped]


def _seconds(value: float | None) -> str:
    return "–" if value is None or math.isinf(value) else f"{value:.2f}"


def _method_table(methods: dict[str, Any]) -> list[str]:
    header = ["method", "updates", "compile [s]", "train loss", "test loss"]
    header += [f"s to {x:g}" for x in MILESTONES]
    rows = []
    looks = plots.looks(methods)
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
                f"{looks[name].label} (`{name}`)",
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
        # Records of before had one seed.
        seed = str(row.get("seed", 0))
        named = [row["method"], row["dtype"], seed]
        rows.append([*named, *cells, best, reached, damping])
    header = ["method", "dtype", "seed", "after 20 s", "at the end", "best test loss"]
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
    again = results.get("from_the_cache", {})
    rows = [
        [name, f"{seconds:.1f}", f"{again[name]:.1f}" if name in again else ""]
        for name, seconds in results["seconds_to_first_update"].items()
    ]
    header = [
        "method",
        "seconds to the first update shown",
        "with what it compiled kept",
    ]
    return _table(header, rows)


def _double_pendulum(results: dict[str, Any]) -> list[str]:
    rows = [
        [
            name,
            *(f"{rate[k] / 1e6:.1f}" for k in ("median", "p10", "p90")),
            f"{rate['ratio_to_diffrax']:.1f}",
            f"{rate['first_call_seconds']:.1f}",
        ]
        for name, rate in results["steps_per_second"].items()
    ]
    header = ["million steps a second", "median", "p10", "p90"]
    header += ["× best diffrax", "first call [s]"]
    lines = _table(header, rows)
    if "one_core_steps_per_second" in results:
        rate = results["one_core_steps_per_second"] / 1e6
        lines += ["", f"The first row on one core: {rate:.1f} million steps a second."]
    return lines


def _acceleration(results: dict[str, Any]) -> list[str]:
    rows = []
    for row in results["rows"]:
        for kind in ("forward", "gradient"):
            ours, theirs = (row[kind][k] for k in ("jaxphys", "published"))
            rows.append(
                [
                    f"n = {row['n']}, 2 × {row['hidden']} units, batch {row['batch']}",
                    kind,
                    *(f"{1e3 * t['median']:.2f}" for t in (ours, theirs)),
                    f"**{row[f'{kind}_ratio']:.2f}**",
                    f"{ours['compile_seconds']:.1f}",
                    f"{theirs['compile_seconds']:.1f}",
                ]
            )
    header = ["network", "of the accelerations", "ours [ms]", "published [ms]", "ratio"]
    header += ["ours compiles [s]", "published compiles [s]"]
    worst = max(row["largest_difference"] for row in results["rows"])
    return [
        *_table(header, rows),
        "",
        f"Accelerations of the two differ by {worst:.0e} at most, in float32.",
    ]


def _hnn_step(results: dict[str, Any]) -> list[str]:
    names = {
        "jaxphys": "ours, one step a call",
        "jaxphys_scan": "ours, in a compiled loop",
        "torch": f"PyTorch, eager, {results['torch_threads']} threads",
        "torch_one_thread": "PyTorch, eager, 1 thread",
        "torch_compiled": f"PyTorch, compiled, {results['torch_threads']} threads",
        "torch_compiled_one": "PyTorch, compiled, 1 thread",
    }
    rows = []
    for row in results["rows"]:
        for name, shown in names.items():
            if name not in row["seconds"]:
                continue
            times = row["seconds"][name]
            cells = [f"{1e3 * times[k]:.2f}" for k in ("median", "p10", "p90")]
            if name.startswith("jaxphys"):
                published, fastest = (
                    f"**{row[f'{name}_ratio{end}']:.2f}**"
                    for end in ("_to_published", "")
                )
                share = row[f"{name}_fraction_of_peak"]
                most = row[f"{name}_ratio_to_published"] / share
                cells += [published, fastest, f"{100 * share:.0f} %", f"{most:.2f}"]
            else:
                cells += ["–"] * 4
            rows.append([f"{row['name']}, batch {row['batch']}", shown, *cells])
    header = ["experiment", "step", "median [ms]", "p10", "p90"]
    header += ["eager / ours", "fastest PyTorch / ours", "of the peak"]
    header += ["eager / peak"]
    differences = [d for row in results["rows"] for d in row["difference"].values()]
    loss, gradient = (max(d[k] for d in differences) for k in ("loss", "gradient"))
    peak = max(row["matmul_gflops"] for row in results["rows"])
    return [
        *_table(header, rows),
        "",
        f"The peak is that of one large product in the same turns, {peak:.0f} Gflop/s; "
        "a step is counted by the products that it needs. Eager / peak is the ratio of "
        "a step that did these at the peak, and all else in no time.",
        "",
        f"From the same weights losses differ by {loss:.0e} and gradients by "
        f"{gradient:.0e}, relatively. `torch.compile`: "
        f"{results['rows'][0]['torch_compile']}.",
    ]


def _lnn_step(results: dict[str, Any]) -> list[str]:
    threads = results["torch_threads"]
    names = {
        "jaxphys": "ours, one step a call",
        "jaxphys_loop": "ours, in a compiled loop",
        "published": "published, JAX, one step a call",
        "published_loop": "published, JAX, in a compiled loop",
        "torch": f"PyTorch, eager, {threads} threads",
        "torch_one_thread": "PyTorch, eager, 1 thread",
        "torch_compiled": f"PyTorch, compiled, {threads} threads",
        "torch_compiled_one": "PyTorch, compiled, 1 thread",
    }
    rows = []
    for row in results["rows"]:
        for name, shown in names.items():
            if name not in row["seconds"]:
                continue
            times = row["seconds"][name]
            cells = [f"{1e3 * times[k]:.3f}" for k in ("median", "p10", "p90")]
            if name.startswith("jaxphys"):
                cells += [
                    f"**{found['median']:.2f}** ({found['p10']:.1f}–{found['p90']:.1f})"
                    for found in row[f"{name}_ratios"].values()
                ]
                cells.append(f"{100 * row[f'{name}_fraction_of_peak']:.0f} %")
            else:
                cells += ["–"] * 4
            rows.append([f"{row['name']}, batch {row['batch']}", shown, *cells])
    header = ["network", "step", "median [ms]", "p10", "p90", "published JAX / ours"]
    header += ["eager PyTorch / ours", "fastest PyTorch / ours", "of the peak"]
    differences = [d for row in results["rows"] for d in row["difference"].values()]
    loss, gradient = (max(d[k] for d in differences) for k in ("loss", "gradient"))
    peak = max(row["matmul_gflops"] for row in results["rows"])
    return [
        *_table(header, rows),
        "",
        "Ratios are of medians turn by turn: their median, and the 10 % and 90 % "
        "quantiles over turns. The published step in JAX is compared in the same loop "
        f"as ours. The peak is that of one large product in the same turns, {peak:.0f} "
        "Gflop/s; a step is counted by the products that it needs.",
        "",
        f"From the same weights losses differ by {loss:.0e} and gradients by "
        f"{gradient:.0e}, relatively. `torch.compile`: "
        f"{results['rows'][0]['torch_compile']}.",
    ]


def _work_precision(results: dict[str, Any]) -> list[str]:
    lines = ["![error against time](work_precision.png)", ""]
    levels = (1e-3, 1e-6, 1e-9)
    for name, rows in results["cases"].items():
        methods = dict.fromkeys(row["method"] for row in rows)
        table = []
        for method in methods:
            own = [row for row in rows if row["method"] == method]
            cells = []
            for level in levels:
                times = [row["seconds"] for row in own if row["error"] <= level]
                cells.append(f"{1e3 * min(times):.2f}" if times else "–")
            best = min(row["error"] for row in own)
            table.append([method, *cells, f"{best:.0e}"])
        header = [f"{name}: ms to an error of", *(f"{x:g}" for x in levels)]
        lines += [*_table([*header, "least error"], table), ""]
    return lines[:-1]


def _rollout_memory(results: dict[str, Any]) -> list[str]:
    rows = [
        [
            str(row["num_steps"]),
            "yes" if row["checkpoint"] else "no",
            f"{row['temporary_mb']:.1f}",
            f"{row['seconds']:.2f}",
        ]
        for row in results["rows"]
    ]
    growth = ", ".join(f"{k}: {v:.2f}" for k, v in results["exponent"].items())
    return [
        *_table(["steps", "checkpoints", "temporaries [MB]", "gradient [s]"], rows),
        "",
        f"Memory grows as the number of steps to the power: {growth}.",
    ]


def _dipole_step(results: dict[str, Any]) -> list[str]:
    names = {
        "jaxphys": "ours",
        "dense, sample": "dense SVD, d reverse passes a sample",
        "dense, batch": "dense SVD, m reverse passes of the batch",
    }
    rows = []
    for name, shown in names.items():
        times = results["seconds"][name]
        cells = [f"{1e3 * times[k]:.1f}" for k in ("median", "p10", "p90")]
        found = results["ratios"].get(name)
        cells.append(
            f"**{found['median']:.1f}** ({found['p10']:.1f}–{found['p90']:.1f})"
            if found
            else "–"
        )
        rows.append([shown, *cells])
    header = ["one HIG step [ms]", "median", "p10", "p90", "theirs / ours"]
    parts = [[name, f"{ms:.1f}"] for name, ms in results["parts_ms"].items()]
    apart = max(results["differences"].values())
    return [
        *_table(header, rows),
        "",
        f"From the same weights the steps differ by {apart:.0e}, relatively, in "
        "float32.",
        "",
        "Where our step's time goes; each row is compiled alone, so rows overlap:",
        "",
        *_table(["part", "median [ms]"], parts),
    ]


def _engine(results: dict[str, Any]) -> list[str]:
    rows_of = results["rows"]
    names = dict.fromkeys(name for row in rows_of for name in row["step_seconds"])
    header = ["steps a second"]
    header += [f"m = {row['num_outputs']}, P = {row['num_params']}" for row in rows_of]
    rows = []
    for name in names:
        cells = []
        for row in rows_of:
            found = row["step_seconds"].get(name)
            cells.append(f"{1 / found['median']:.3g}" if found else "–")
        rows.append([name, *cells])
    roots = [
        [
            str(row["side"]),
            *(
                f"{1e3 * row['seconds'][k]['median']:.2f}"
                for k in ("eigenvectors", "newton")
            ),
        ]
        for row in results["roots"]
    ]
    rounds = ", ".join(str(row["rounds"]) for row in rows_of)
    return [
        *_table(header, rows),
        "",
        f"Medians of {rounds} turns. The inverse root alone, of ten decades:",
        "",
        *_table(["side", "eigenvectors [ms]", "newton [ms]"], roots),
    ]


def _kills(results: dict[str, Any]) -> list[str]:
    header = ["run", "SIGKILL", "while writing", "SIGTERM", "longest to end [s]"]
    header += ["compared with undisturbed", "lost or different"]
    rows = []
    for kind, found in results["kinds"].items():
        times = found["terminations"]
        row = [
            found["kills"],
            found["writing"],
            len(times),
            _seconds(max(times, default=None)),
        ]
        row += [found["finished"], len(found["trouble"])]
        rows.append([kind, *map(str, row)])
    return [*_table(header, rows), "", *_overhead(results.get("overhead"))]


def _overhead(found: dict[str, Any] | None) -> list[str]:
    """What keeping states costs, where that was measured."""
    if not found:
        return []
    rates = found["updates_a_second"]
    ratios = [a / b for a, b in zip(rates["with"], rates["without"], strict=True)]
    return [
        f"Writing {found['saves']} states took "
        f"{100 * found['share_of_writing']:.2f} % of the time of {len(ratios)} "
        f"trainings of {kills.OVERHEAD[1]:g} s; with states there were "
        f"{statistics.median(ratios):.3f} times as many updates a second as "
        f"without, from {min(ratios):.3f} to {max(ratios):.3f}."
    ]


def _memory(results: dict[str, Any]) -> list[str]:
    formats = {
        "updates": "{}",
        "peak_mb": "{:.0f}",
        "before_mb": "{:.0f}",
        "growth_mb_per_minute": "{:.2f}",
        "data_mb": "{:.0f}",
    }

    def shown(row: dict[str, Any]) -> list[str]:
        return [x.format(row[k]) if k in row else "–" for k, x in formats.items()]

    rows = [[row["name"], *shown(row)] for row in results["rows"]]
    header = ["what", "updates", "peak [MB]", "of it before", "growth [MB/min]"]
    return _table([*header, "data [MB]"], rows)


def _cases(results: dict[str, Any]) -> list[str]:
    header = ["case", "what", "expected", "found", "as expected", "seconds"]
    rows = [
        [
            row["case"],
            row["what"],
            row["expected"],
            ", ".join(f"{x:.7g}" if abs(x) > 1 else f"{x:.1e}" for x in row["found"]),
            "yes" if row["good"] else "**no**",
            f"{row['seconds']:.0f}",
        ]
        for row in results["rows"]
    ]
    return ["Compilation is part of the seconds.", "", *_table(header, rows)]


def _measured(results: dict[str, Any]) -> list[str]:
    lines: list[str] = []
    for name, part in results.items():
        lines += [*_MEASURED[name](part), f"It took {part['seconds']:.0f} s.", ""]
    return lines[:-1]


def _found(part: dict[str, Any], what: str) -> list[str]:
    """Constants with errors, beside those that are known."""
    rows = []
    for row in part["rows"]:
        known, error = row["known"], row.get("known_error")
        told = "–" if known is None else f"{known:.5g}"
        told += f" ± {error:.1g}" if error else ""
        rows.append([row["constant"], f"{row['found']:.5g} ± {row['error']:.1g}", told])
    table = _table(["constant", "found", "known"], rows)
    return [what, "", *table, "", f"What is left is {part['rms']:.5f} (rms)."]


def _laws_ranked(part: dict[str, Any]) -> list[str]:
    header = ["law", "off over the record", "held out", "weights", "determined"]
    header += ["in bands of 90 %"]
    rows = []
    for row in part["rows"]:
        off = (row["misfit"], row["misfit_held_out"])
        cells = [row["law"], *("–" if x is None else f"{x:.2f}" for x in off)]
        cells += [str(row["weights"]), f"{row['determined']:.0f}"]
        share = row["band_coverage"]
        rows.append([*cells, "–" if share is None else f"{100 * share:.0f} %"])
    told = f"Recommended: `{part['recommended']}`. Errors are in units of the noise."
    what = "The same pendulum, where the law is not known:"
    return [what, "", *_table(header, rows), "", told]


def _double(part: dict[str, Any]) -> list[str]:
    def cell(times: list[float]) -> str:
        low, middle, high = statistics.quantiles(times, n=4)
        return f"{middle:.2f} ({low:.2f} to {high:.2f})"

    rows = [[x["model"], cell(x["noise"]), cell(x["left"])] for x in part["rows"]]
    errors = part["errors"]
    found = ", ".join(
        f"{k} {x:.3g} ± {errors[k]:.1g}" for k, x in part["constants"].items()
    )
    header = ["by", "its noise [s]", "what the law leaves of the first [s]"]
    return [
        "A double pendulum, learned from the faster trial: how long it predicts the "
        "slower one within 3 times",
        "",
        *_table(header, rows),
        "",
        f"medians and quartiles of rollouts of 2 s. The constants are {found}.",
    ]


def _silverbox(part: dict[str, Any]) -> list[str]:
    errors = part["errors"]
    rows = [
        [k, f"{x:.5g} ± {errors[k]:.1g}" if errors[k] is not None else f"{x:.5g}"]
        for k, x in part["constants"].items()
    ]
    return [
        "Silverbox, Duffing's oscillator (ms, V), from 1000 rows:",
        "",
        *_table(["constant", "found"], rows),
        "",
        f"One rollout over the 40 000 rows of the test is off by {part['test_mv']:.2f} "
        f"mV, by {part['within_mv']:.2f} mV over those first 25 000 whose size is "
        "within that of the rows that were seen.",
    ]


def _tanks(part: dict[str, Any]) -> list[str]:
    names = {
        "law": f"law, of {measured.STARTS} starts that which fits its record best",
        "neural_ode": "neural ODE",
    }
    found = {names[name]: x for name, x in part["rows"].items()}
    found["law, each start"] = part["single"]
    rows = [
        [name, f"{statistics.median(x):.3f}", f"{min(x):.3f}", str(len(x))]
        for name, x in found.items()
    ]
    published = ", ".join(f"{k} {x:.3f}" for k, x in measured.TANKS.items())
    return [
        "Cascaded tanks, error of a rollout over the test (V):",
        "",
        *_table(["by", "median", "best", "times"], rows),
        "",
        f"Published medians: {published}.",
    ]


def _springs(part: dict[str, Any]) -> list[str]:
    names = {
        "hnn": "HNN, Adam, the published recipe",
        "hnn_levenberg_marquardt": "small HNN, Levenberg–Marquardt, by derivatives",
        "whole": "small HNN, whole records with their rates, the best of "
        f"{measured.STARTS} by what they leave",
    }
    rows = [
        [names[name], f"{statistics.median(x):.1e}", f"{max(x):.1e}", str(len(x))]
        for name, x in part["rows"].items()
    ]
    what = "A mass on a spring, noise of .1 on the states (energy MSE of rollouts):"
    return [what, "", *_table(["by", "median", "worst", "seeds"], rows), ""]


def _measured_summary(results: dict[str, Any]) -> list[str]:
    """A line for each record: what was found, and what is known of it."""

    def of(rows: list[dict[str, Any]], key: str) -> str:
        shown = [
            (row["constant"], row[key]) for row in rows if row["known"] is not None
        ]
        return ", ".join(f"{name} {x:.4g}" for name, x in shown)

    def line(name: str, part: dict[str, Any]) -> list[str]:
        if name == "pendulum":
            rows = part["rows"]
            return ["Schmidt & Lipson's pendulum", of(rows, "found"), of(rows, "known")]
        if name == "torque_limited":
            rows = part["rows"]
            return ["torque-limited pendulum", of(rows, "found"), of(rows, "known")]
        if name == "silverbox":
            found = f"{part['test_mv']:.2f} mV off over the test of 40 000 rows"
            return ["silverbox", found, "–"]
        if name == "tanks":
            least = min(measured.TANKS.values())
            found = f"{statistics.median(part['rows']['law']):.3f} V off over the test"
            return ["cascaded tanks", found, f"networks {least:.3f}"]
        return []

    kept = [line(name, part) for name, part in results.items()]
    seconds = [f"{part['seconds']:.0f}" for part in results.values()]
    rows = [[*row, t] for row, t in zip(kept, seconds, strict=True) if row]
    return _table(["record", "by `identify`", "known or published", "time [s]"], rows)


def _limited(part: dict[str, Any]) -> list[str]:
    """The constants, and how the repository's frictions follow the same record."""
    lines = _found(part, "The torque-limited pendulum, five seconds of energy shaping:")
    rows = [["by `identify`, as above", "", f"{part['rms']:.4f}"]]
    for x in part.get("given", ()):
        both = f"{x['viscous']:g} N m s, {x['coulomb']:g} N m"
        rows.append(["of the repository, all else fitted", both, f"{x['rms']:.4f}"])
    header = ["frictions", "viscous, Coulomb", "left of the record, rms [rad]"]
    return [*lines, *_table(header, rows), ""]


_MEASURED: dict[str, Callable[[dict[str, Any]], list[str]]] = {
    "pendulum": lambda part: _found(part, "Schmidt & Lipson's pendulum, 94.5 s:"),
    "laws": _laws_ranked,
    "double_pendulum": _double,
    "torque_limited": _limited,
    "silverbox": _silverbox,
    "tanks": _tanks,
    "mass_spring": _springs,
}


def _gradients(results: dict[str, Any]) -> list[str]:
    header = ["motion", "by", "value [ms]", "gradient [ms]", "gradient over value"]
    header += ["compiling the value [s]", "the gradient [s]"]
    rows = []
    for row in results["rows"]:
        times = [f"{1e3 * row[f'{x}_seconds']:.3g}" for x in ("value", "gradient")]
        compiling = [row[f"{x}_compile_seconds"] for x in ("value", "gradient")]
        cells = [row["case"], f"`{row['by']}`", *times, f"{row['ratio']:.1f}"]
        rows.append([*cells, *(f"{x:.1f}" for x in compiling)])
    return _table(header, rows)


def _shown(results: dict[str, Any]) -> list[str]:
    header = ["command", "methods", "loss fell by the factor, at least", "by"]
    header += ["not by half", "training [s]", "all [s]"]
    rows = []
    for command, found in sorted(results["commands"].items()):
        if found["status"] or not found["methods"]:
            rows.append([f"`{command}`", f"ended with {found['status']}", *5 * ["–"]])
            continue
        factors = {name: factor(x) for name, x in found["methods"].items()}
        worst = min(factors, key=factors.__getitem__)
        poor = [name for name, x in found["methods"].items() if not good(x)]
        asked = found["training_seconds"]
        row = [f"`{command}`", str(len(factors)), f"{factors[worst]:.2g}", worst]
        row += [", ".join(poor) or "–", f"{asked:g}" if asked else "its own"]
        rows.append([*row, f"{found['seconds']:.0f}"])
    return _table(header, rows)


def _poisson_memory(results: dict[str, Any]) -> list[str]:
    rows = [
        [
            row["method"],
            f"{row['size']} × {row['size']}",
            f"{row['num_outputs']} × {row['num_params']}",
            row["route"],
            f"{row['peak_memory_mb']:.0f}",
            f"{row['memory_before_training_mb']:.0f}",
            f"{row['dense_jacobian_mb']:.0f}",
            f"{row['step_seconds']['median']:.2f}",
            f"{row['losses'][0]:.3g} → {row['losses'][-1]:.3g}",
        ]
        for row in results["rows"]
    ]
    header = ["method", "nodes", "m × P", "route", "peak [MB]", "of it before"]
    return _table([*header, "dense J [MB]", "step [s]", "loss of the batch"], rows)


#: The columns of the guide's table of simulators: the first of these methods that was
#: measured.
CONTROL_COLUMNS = {
    "Adam": ("adam",),
    "SIP": ("sip",),
    "HIG": ("hig",),
    "HIG, tuned": ("hig_large_steps", "hig_small", "hig_kronecker"),
    "Gauss–Newton": ("gauss_newton_truncated", "gauss_newton"),
    "Levenberg–Marquardt": ("levenberg_marquardt_starts", "levenberg_marquardt"),
    "SPRING": ("spring",),
}


def _control_summary(results: dict[str, Any]) -> list[str]:
    """Test losses of the guide's table, medians over seeds."""

    def cell(methods: dict[str, Any], names: tuple[str, ...]) -> str:
        found = [methods[name] for name in names if name in methods]
        if not found:
            return "–"
        ends = record.finals(found[0])
        if any(end["status"] == "diverged" for end in ends):
            return "diverged"
        return f"{statistics.median(end['test_loss'] for end in ends):.1e}"

    rows = [
        [
            f"`{name}`",
            f"{case.seconds:.0f}",
            *(cell(results[name], names) for names in CONTROL_COLUMNS.values()),
        ]
        for name, case in control.CASES.items()
        if name in results
    ]
    return _table(["experiment", "s each", *CONTROL_COLUMNS], rows)


def _entries(entry: dict[str, Any]) -> list[dict[str, Any]]:
    """A method's record and its repeats."""
    return [entry, *entry.get("repeats", [])]


def _lowest(entry: dict[str, Any]) -> float:
    """The lowest test loss of all looks, which are of the test set, too."""
    return min(look["test_loss"] for look in entry["history"])


def _control(results: dict[str, Any]) -> list[str]:
    lines: list[str] = []
    for name, methods in results.items():
        rows = []
        looks = plots.looks(methods)
        milestones = list(next(iter(methods.values()))["final"]["time_to"])
        experiment = experiments.get(control.CASES[name].experiment or name)
        judged = {
            key: heading
            for key, heading in experiment.columns.items()
            if not key.endswith("_loss")
            and all(key in x["final"] for x in methods.values())
        }
        for method in control.CASES[name].methods:
            if method not in methods:
                continue
            entry = methods[method]
            ends = record.finals(entry)

            def middle(key: str, ends=ends) -> float:
                return statistics.median(end[key] for end in ends)

            worst = {end["status"] for end in ends} - {"finished"}
            cells = [f"{looks[method].label} (`{method}`)", entry["dtype"]]
            cells += [str(entry["cores"]), str(len(ends)), f"{middle('seconds'):.0f}"]
            cells += [f"{middle('step'):.0f}", f"{entry['compile_seconds']:.1f}"]
            cells += [f"{middle(f'{x}_loss'):.1e}" for x in ("train", "test")]
            cells.append(f"{statistics.median(map(_lowest, _entries(entry))):.1e}")
            cells += [f"{middle(key):.1e}" for key in judged]
            for x in milestones:
                times = [end["time_to"][x] for end in ends]
                reached = [math.inf if t is None else t for t in times]
                cells.append(_seconds(statistics.median(reached)))
            rows.append([*cells, ", ".join(sorted(worst))])
        header = [f"`{name}`", "dtype", "cores", "seeds", "training [s]", "updates"]
        header += ["compile [s]", "train loss", "test loss", "lowest test loss"]
        header += judged.values()
        header += [*(f"s to {x}" for x in milestones), ""]
        lines += [*_table(header, rows), "", f"![loss of every method]({name}.png)", ""]
    return lines


def _experiments(results: dict[str, Any]) -> list[str]:
    """A table an experiment: medians and quartiles, and what was published."""
    lines: list[str] = []
    labels = _labels(results["experiments"])
    for name, rows in results["experiments"].items():
        experiment, settings = _experiment(name)
        published = experiment.of("published", settings)
        table = []
        for row, summary in rows.items():
            cells = [labels[name, row], f"{summary['step']['median']:.0f}"]
            cells.append(f"{summary['seconds']['median']:.1f}")
            for metric in experiment.columns:
                low, middle, high = (
                    summary[metric][k] for k in ("low", "median", "high")
                )
                cells.append(f"{middle:.1e} [{low:.0e}, {high:.0e}]")
                known = published.get(row, {}).get(metric)
                cells.append("" if known is None else f"{known:.3g}")
            table.append(cells)
        header = [experiment.of("title", settings), "updates", "training [s]"]
        for heading in experiment.columns.values():
            header += [heading, "published"]
        keep = [
            i
            for i in range(len(header))
            if header[i] != "published" or any(row[i] for row in table)
        ]
        seeds = next(iter(rows.values()))["seeds"]
        lines += _table(
            [header[i] for i in keep], [[row[i] for i in keep] for row in table]
        )
        several = (
            f"Medians and quartiles of {seeds} seeds." if seeds > 1 else "One seed."
        )
        lines += ["", several, ""]
    return lines


def experiment_tables(
    results_dir: pathlib.Path = harness.RESULTS,
) -> dict[str, list[str]]:
    """Experiment → its tables as Markdown lines: what was reached, and published."""
    tables: dict[str, list[str]] = {}
    found = harness.latest("oscillators", results_dir)
    if found is not None:
        tables["oscillators"] = _method_table(found["results"]["methods"])
    found = harness.merged("control", results_dir)
    for name, methods in found["results"].items() if found else ():
        lines = _control({name: methods})
        tables[name] = [line for line in lines if not line.startswith("![")]
    for benchmark in ("hamiltonian", "lagrangian"):
        found = harness.merged(benchmark, results_dir)
        for name, rows in found["results"]["experiments"].items() if found else ():
            own = _experiments({"experiments": {name: rows}})
            tables[name] = tables.get(name, []) + own
    return tables


def _hamiltonian(results: dict[str, Any]) -> list[str]:
    lines = _experiments(results)
    systems = dict.fromkeys(row["system"] for row in results["exact"])
    table = []
    for system in systems:
        own = [row for row in results["exact"] if row["system"] == system]
        times = sorted(
            math.inf if row["seconds_to_exact"] is None else row["seconds_to_exact"]
            for row in own
        )
        best = statistics.median(row["field_error"] for row in own)
        seconds = statistics.median(row["seconds"] for row in own)
        table.append(
            [
                system,
                _seconds(statistics.median(times)),
                f"{_seconds(times[0])} to {_seconds(times[-1])}",
                f"{best:.1e} after {seconds:.0f} s",
            ]
        )
    header = ["without noise, by Levenberg–Marquardt", "s to 1e-6, relative"]
    return [*lines, *_table([*header, "range", "median error"], table)]


def _roofline(results: dict[str, Any]) -> list[str]:
    header = ["step", "Gflop", "MB", "time [ms]", "bound by", "share reached [%]"]
    rows = [
        [
            row["name"],
            f"{row['operations'] / 1e9:.3g}",
            f"{row['bytes'] / 1e6:.3g}",
            f"{1e3 * row['seconds']['median']:.3g}",
            row["bound"],
            f"{100 * row['share']:.2g}",
        ]
        for row in results["rows"]
    ]
    return [
        f"Measured in the same run: {results['peak'] / 1e9:.3g} Gflop/s of exact "
        f"float32 products, {results['bandwidth'] / 1e9:.3g} GB/s moved. "
        "Operations and bytes are what XLA counts in the compiled program, and of "
        "factorizations the least.",
        "",
        *_table(header, rows),
    ]


def _least_squares(results: dict[str, Any]) -> list[str]:
    methods = results["methods"]
    milestones = list(next(iter(methods.values()))["time_to"])
    header = ["method", "steps", "compile [s]", "lowest loss"]
    header += [f"s to {x}" for x in milestones]
    rows = [
        [
            name,
            str(found["steps"]),
            f"{found['compile_seconds']:.1f}",
            f"{found['loss']:.1e}",
            *(_seconds(found["time_to"][x]) for x in milestones),
        ]
        for name, found in methods.items()
    ]
    return [f"From a loss of {results['start']:.2g}.", "", *_table(header, rows)]


def _large(results: dict[str, Any]) -> list[str]:
    said = "Half a minute of training for each; compilation is not counted."
    return [said, "", *_ways(results)]


def _ways(results: dict[str, Any]) -> list[str]:
    ways = list(dict.fromkeys(way for found in results.values() for way in found))
    header = ["way to a step"]
    for name in results:
        measure = large.PROBLEMS[name].judged.replace("_", " ")
        header += [f"`{name}`: updates", measure]
    rows = []
    for way in ways:
        row = [way]
        for found in results.values():
            end = found.get(way)
            row += [f"{end['updates']}", f"{end['judged']:.1e}"] if end else ["–", "–"]
        rows.append(row)
    return _table(header, rows)


def _driven(results: dict[str, Any]) -> list[str]:
    lines: list[str] = []
    if "arm" in results:
        rows = [
            [
                row["drive"],
                row["file"],
                f"{row['torque_mse']:.1e}",
                f"{row['relative']:.1e}",
                f"{row['seconds']:.0f}",
            ]
            for row in results["arm"]["rows"]
        ]
        header = ["torques", "in the file", "torque MSE [N² m²]", "relative", "[s]"]
        lines += ["A robot arm, `fit delan`:", "", *_table(header, rows)]
    if "pendulum" in results:
        rows = [
            [
                row["drive"],
                row["law"],
                f"{row['misfit']:.2f}",
                f"{row['misfit_held_out']:.2f}",
                f"{row['rms']:.2g} of {row['spread']:.2g}",
                f"{row['seconds']:.0f}",
            ]
            for row in results["pendulum"]["rows"]
        ]
        header = ["torque", "recommended", "record", "held out"]
        header += ["another motion, 20 s [rad]", "[s]"]
        lines += ["", "A pendulum, `fit auto`, rollouts in units of the noise:"]
        lines += ["", *_table(header, rows)]
    return lines


def _growth(results: dict[str, Any]) -> list[str]:
    header = ["what grows", "sizes", "method", "times [ms]", "exponent", "at the end"]
    rows = []
    for axis, methods in results["axes"].items():
        for method, found in methods.items():
            sizes, times = zip(*found["points"], strict=True)
            rows.append(
                [
                    axis,
                    ", ".join(map(str, sizes)),
                    method,
                    ", ".join(f"{1e3 * t:.3g}" for t in times),
                    f"{found['exponent']:.2f}",
                    f"{found['last']:.2f}",
                ]
            )
    return [
        "t ~ size^p over all sizes, and between the two largest; a call has a least "
        "time of its own.",
        "",
        *_table(header, rows),
    ]


def _feedback(results: dict[str, Any]) -> list[str]:
    rows = []
    cases = {f"van der Pol, {n} steps": x for n, x in results["updates"].items()}
    cases["swing-up, 100 steps"] = results["swing_up_updates"]
    for name, case in cases.items():
        adam = case["adam"]["median"]
        cells = [
            name,
            str(case["batch"]),
            str(case["batch"] * case["outputs"]),
            str(case["num_params"]),
            f"{1e3 * adam:.1f}",
        ]
        for method in ("levenberg_marquardt", "before"):
            times = case.get(method)
            cells += (
                [
                    f"{1e3 * times['median']:.0f}",
                    f"{times['median'] / adam:.0f}",
                    f"{times['compile_seconds']:.1f}",
                ]
                if times
                else ["–"] * 3
            )
        rows.append(cells)
    header = ["an update", "b", "m", "P", "Adam [ms]"]
    header += ["LM [ms]", "in Adam's", "compile [s]"]
    header += ["before [ms]", "in Adam's", "compile [s]"]
    return [
        *_table(header, rows),
        "",
        "Before, the columns of the weights took a pass for each weight or output.",
        "",
        *_races(results),
    ]


def _races(results: dict[str, Any]) -> list[str]:
    """What each method ends with, after the same time on the clock."""
    columns = {
        "van_der_pol": ("worst_excess", "above the optimum, worst start"),
        "swing_up": ("upright_throughout", "pole up from t = 2 on"),
    }
    rows = []
    for name, (measure, words) in columns.items():
        for method, entries in results[name].items():
            seconds = statistics.median(entry["wall"] for entry in entries)
            compiled = statistics.median(entry["compile"] for entry in entries)
            updates = statistics.median(entry["updates"] for entry in entries)
            shares = ", ".join(f"{100 * entry[measure]:.3g} %" for entry in entries)
            losses = ", ".join(f"{entry['test_loss']:.4g}" for entry in entries)
            cells = [f"{seconds:.0f}", f"{compiled:.0f}", f"{updates:.0f}"]
            label = method.replace("levenberg_marquardt", "Levenberg–Marquardt")
            rows.append(
                [
                    f"`{name}`: {words}",
                    label.replace("adam", "Adam"),
                    *cells,
                    shares,
                    losses,
                ]
            )
    header = ["experiment, and what is judged", "method", "clock [s]"]
    header += ["of it compiling", "updates", "seeds 0, 1, 2", "test loss"]
    return _table(header, rows)


SECTIONS = {
    "oscillators": ("Coupled oscillators, every method", _oscillators),
    "hig_epoch": ("One epoch of HIG, beside TensorFlow", _hig_epoch),
    "million": ("A controller of a million parameters", _million),
    "startup": ("From the command to the first update", _startup),
    "double_pendulum": ("Thousands of double pendula", _double_pendulum),
    "acceleration": ("Accelerations of a Lagrangian network", _acceleration),
    "hamiltonian": ("Experiments of Hamiltonian networks", _hamiltonian),
    "lagrangian": ("Experiments of Lagrangian networks", _experiments),
    "hnn_step": ("A training step of a Hamiltonian network", _hnn_step),
    "lnn_step": ("A training step of a Lagrangian network", _lnn_step),
    "work_precision": ("Error against time", _work_precision),
    "rollout_memory": ("Memory of a long rollout's gradient", _rollout_memory),
    "gradients": ("Gradients of a thousand steps", _gradients),
    "control": ("Training through simulators, every method", _control),
    "feedback": ("Policies that act at every step", _feedback),
    "dipole_step": ("One step of HIG on the quantum dipole", _dipole_step),
    "engine": ("Second-order steps by size and route", _engine),
    "least_squares": ("One least-squares problem, by several solvers", _least_squares),
    "large": ("Thousands of outputs and of parameters", _large),
    "roofline": ("What each hot step reaches of the device", _roofline),
    "growth": ("How the time of a step grows", _growth),
    "poisson_memory": ("Memory of a step on Poisson's equation", _poisson_memory),
    "kills": ("Kills at random moments", _kills),
    "shown": ("Every command that the docs show, for a few seconds", _shown),
    "cases": ("Problems that people have brought", _cases),
    "measured": ("Measured motions", _measured),
    "driven": ("Driven motions from a file, one command each", _driven),
    "memory": ("Memory of training, of a large fit and simulation", _memory),
}
