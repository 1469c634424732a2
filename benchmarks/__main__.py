"""`python -m benchmarks run NAME ... [--size smoke|cpu|gpu] | report | compare REV`."""

import argparse
import importlib
import math
import os
import pathlib
import sys
import tempfile

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

NAMES = (
    "oscillators",
    "hig_epoch",
    "million",
    "startup",
    "double_pendulum",
    "acceleration",
    "hnn_step",
    "lnn_step",
    "hamiltonian",
    "lagrangian",
    "work_precision",
    "rollout_memory",
    "gradients",
    "dipole_step",
    "engine",
    "least_squares",
    "large",
    "roofline",
    "growth",
    "poisson_memory",
    "kills",
    "cases",
    "measured",
    "driven",
    "shown",
    "memory",
    "control",
    "feedback",
)


def main() -> int:
    """Run benchmarks, make the report, or compare two revisions."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="measure, and append to benchmarks/results")
    run.add_argument("names", nargs="*", choices=[*NAMES, "all", ()], default=())
    sizes = "smoke: the smallest, nothing is kept; gpu: what one GPU does in 6 minutes"
    known = ("smoke", "cpu", "gpu")
    run.add_argument("--size", choices=known, default="cpu", help=sizes)
    run.add_argument("--alone", action="store_true", help="one, in this process")
    run.add_argument(
        "--only",
        nargs="+",
        default=(),
        help="these experiments or parts alone; of control, also EXPERIMENT/METHOD",
    )
    commands.add_parser("report", help="tables and figures from what was measured")
    against = commands.add_parser("compare", help="hot steps beside another revision's")
    against.add_argument("revision")
    against.add_argument("--size", choices=known, default="cpu")
    against.add_argument("--rounds", type=int, default=5)
    against.add_argument("--seconds", type=float, default=1.0, help="of each step")
    arguments = parser.parse_args()
    if arguments.command == "compare":
        from benchmarks import comparing

        chosen = arguments.size, arguments.rounds, arguments.seconds
        found = comparing.compare(arguments.revision, *chosen)
        print(comparing.table(arguments.revision, found))
        return 0
    if arguments.command == "report":
        from benchmarks import harness, report

        report.write(harness.RESULTS)
        return 0
    return _run(parser, arguments)


def _run(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> int:
    from benchmarks import parts

    names = NAMES if "all" in arguments.names else tuple(arguments.names)
    size = arguments.size
    if size == "gpu":
        limits = dict(parts.GPU)
        unknown = [name for name in names if name not in limits]
        if unknown:
            parser.error(f"{unknown[0]} has no size gpu; known: {', '.join(limits)}")
        names = names or tuple(limits)
    if not names:
        parser.error("name a benchmark, or all, or give --size gpu")
    if arguments.alone or (len(names) == 1 and size != "gpu"):
        for name in names:
            _measure(name, size, tuple(arguments.only))
        return 0
    if arguments.only:
        parser.error("--only goes with one benchmark")
    limits = dict(parts.GPU) if size == "gpu" else dict.fromkeys(names, math.inf)
    total = parts.GPU_SECONDS if size == "gpu" else math.inf
    chosen = tuple(parts.Part(name, limits[name]) for name in names)
    found = parts.run(chosen, size, total)
    for name, ended in found.items():
        print(f"{name:20} {ended}")
    return int(any("failed" in ended for ended in found.values()))


def _measure(name: str, size: str, only: tuple[str, ...]) -> None:
    """One benchmark, in this process."""
    import jax

    jax.config.update("jax_enable_x64", True)
    from benchmarks import harness, report

    options = {"smoke": size == "smoke"}
    options |= {"gpu": True} if size == "gpu" else {}
    some = {"only": only} if only else {}
    with tempfile.TemporaryDirectory() as scratch:
        directory = pathlib.Path(scratch) if size == "smoke" else harness.own_results()
        module = importlib.import_module(f"benchmarks.{name}")
        config, results = module.run(**options, **some)
        dtype = config.get("dtype", "float32")
        harness.record(name, config, results, dtype=dtype, results_dir=directory)
        print("\n".join(report.section(name, directory)), flush=True)
        if size == "smoke":
            report.write(directory, root=None)


if __name__ == "__main__":
    sys.exit(main())
