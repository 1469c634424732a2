"""`python -m benchmarks run NAME ... [--smoke]` and `python -m benchmarks report`."""

import argparse
import importlib
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
    "dipole_step",
    "engine",
    "poisson_memory",
    "kills",
    "control",
    "feedback",
)


def main() -> int:
    """Run benchmarks, or make the report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="measure, and append to benchmarks/results")
    run.add_argument("names", nargs="+", choices=[*NAMES, "all"])
    run.add_argument(
        "--smoke", action="store_true", help="smallest sizes; nothing is kept"
    )
    run.add_argument(
        "--only",
        nargs="+",
        default=(),
        help="these experiments alone; of control, also EXPERIMENT/METHOD",
    )
    commands.add_parser("report", help="tables and figures from what was measured")
    arguments = parser.parse_args()

    import jax

    jax.config.update("jax_enable_x64", True)
    from benchmarks import harness, report

    if arguments.command == "report":
        report.write(harness.RESULTS)
        return 0
    names = NAMES if "all" in arguments.names else arguments.names
    with tempfile.TemporaryDirectory() as scratch:
        directory = pathlib.Path(scratch) if arguments.smoke else harness.RESULTS
        for name in names:
            module = importlib.import_module(f"benchmarks.{name}")
            some = {"only": tuple(arguments.only)} if arguments.only else {}
            config, results = module.run(smoke=arguments.smoke, **some)
            dtype = config.get("dtype", "float32")
            harness.record(name, config, results, dtype=dtype, results_dir=directory)
            print("\n".join(report.section(name, directory)), flush=True)
        if arguments.smoke:
            report.write(directory, root=None)
    return 0


if __name__ == "__main__":
    sys.exit(main())
