"""The command line: `jaxphys list | run | fit | simulate | plot`."""

import dataclasses
import json
import os
import pathlib
import sys
import warnings
from typing import Annotated

from jaxphys.names import check_known

USAGE = """usage: jaxphys COMMAND ...

commands:
  list                        what can be run
  run EXPERIMENT [options]    train every method of an experiment, side by side
  fit MODEL --data FILE       learn a motion from trajectories of your own
  simulate SYSTEM [options]   integrate a system: trajectories, figures, an animation
  plot DIR ... [--out FILE]   draw the comparison of stored runs

jaxphys run EXPERIMENT --help lists an experiment's options, jaxphys fit MODEL --help
those of a fit, jaxphys simulate SYSTEM --help a system's."""


def main(arguments: list[str] | None = None) -> int:
    """Run a command; returns the exit status, 2 for a request that cannot be met."""
    # SciPy's OpenBLAS factorizes JAX's small matrices. Its threads spin on between
    # calls and so take the cores from XLA's own: one thread is faster.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    arguments = sys.argv[1:] if arguments is None else arguments
    if not arguments or arguments[0] in ("-h", "--help"):
        print(USAGE)
        return 0
    commands = {
        "list": _list,
        "run": _run,
        "fit": _fit,
        "simulate": _simulate,
        "plot": _plot,
        "--version": _version,
    }
    try:
        check_known("command", arguments[0], commands)
        with warnings.catch_warnings():
            warnings.showwarning = _warn
            return commands[arguments[0]](arguments[1:])
    except (ValueError, FileNotFoundError) as error:
        print(f"jaxphys: {error}", file=sys.stderr)
        return 2


def _warn(message, category, filename, lineno, file=None, line=None) -> None:
    """A warning as a person wants it: what is wrong, not where in the code."""
    print(f"jaxphys: warning: {message}", file=sys.stderr)


def _version(arguments: list[str]) -> int:
    import jaxphys

    print(jaxphys.__version__)
    return 0


def _list(arguments: list[str]) -> int:
    from jaxphys import experiments, systems
    from jaxphys.experiments import constants, fitting

    print("experiments, for jaxphys run:")
    for name, what in experiments.EXPERIMENTS.items():
        print(f"  {name:<21} {what}")
        print(f"  {'':<21} methods: {', '.join(experiments.get(name).METHODS)}")
    print("\nmodels, for jaxphys fit:")
    for name, what in fitting.MODELS.items():
        print(f"  {name:<21} {what}")
    print("\nsystems, for jaxphys simulate:")
    for name in systems.names():
        print(f"  {name:<21} {constants.summary(getattr(systems, name).__doc__)}")
    return 0


def _run(arguments: list[str]) -> int:
    from jaxphys import experiments

    if arguments and arguments[0] in ("-h", "--help"):
        print(USAGE)
        return 0
    if not arguments or arguments[0].startswith("-"):
        known = ", ".join(experiments.EXPERIMENTS)
        raise ValueError(f"run needs the name of an experiment; known: {known}.")
    name = arguments[0]
    experiment = experiments.get(name)

    import jax
    import tyro

    jax.config.update("jax_enable_x64", True)
    config = tyro.cli(
        experiment.Config,
        prog=f"jaxphys run {name}",
        args=arguments[1:],
        config=(tyro.conf.OmitArgPrefixes,),
    )
    return 130 if experiment.run(config).interrupted else 0


def _fit(arguments: list[str]) -> int:
    from jaxphys.experiments import fitting

    if arguments and arguments[0] in ("-h", "--help"):
        print(USAGE)
        return 0
    if not arguments or arguments[0].startswith("-"):
        known = ", ".join(fitting.MODELS)
        raise ValueError(f"fit needs the name of a model; known: {known}.")
    kind = check_known("model", arguments[0], fitting.MODELS)

    import jax
    import tyro

    jax.config.update("jax_enable_x64", True)
    options = tyro.cli(
        fitting.FitOptions,
        prog=f"jaxphys fit {kind}",
        args=arguments[1:],
        config=(tyro.conf.OmitArgPrefixes,),
    )
    return 130 if fitting.run(kind, options).interrupted else 0


def _simulate(arguments: list[str]) -> int:
    from jaxphys import systems

    if arguments and arguments[0] in ("-h", "--help"):
        print(USAGE)
        return 0
    if not arguments or arguments[0].startswith("-"):
        known = ", ".join(systems.names())
        raise ValueError(f"simulate needs the name of a system; known: {known}.")
    name = arguments[0]

    import jax
    import tyro

    from jaxphys.experiments import constants, simulation

    jax.config.update("jax_enable_x64", True)
    system, options = constants.system_options(name), simulation.Options
    request = dataclasses.make_dataclass(
        "Request", [("system", system), ("simulation", options)]
    )
    request.__doc__ = constants.description(name)
    asked = tyro.cli(
        request,
        prog=f"jaxphys simulate {name}",
        args=arguments[1:],
        default=request(system(), options()),
        config=(tyro.conf.OmitArgPrefixes,),
    )
    try:
        done = simulation.run(name, asked.system, asked.simulation)
    except KeyboardInterrupt:
        print("interrupted: what was written until now is whole", file=sys.stderr)
        return 130
    if done.info.message:
        print(f"jaxphys: {done.info.message}", file=sys.stderr)
        return 1
    return 0


def _plot(arguments: list[str]) -> int:
    import tyro

    def plot(
        runs: tyro.conf.Positional[tuple[pathlib.Path, ...]],
        /,
        out: Annotated[pathlib.Path | None, tyro.conf.arg(metavar="FILE")] = None,
    ) -> None:
        """Draw the comparison of stored runs.

        Args:
          runs: directories that hold a results.json.
          out: the PNG to write; comparison.png in the one run's directory, or here.
        """
        from jaxphys import plots

        if not runs:
            raise ValueError("plot needs at least one directory with a results.json.")
        stored = {}
        names = [run.resolve().name for run in runs]
        for run, name in zip(runs, names, strict=True):
            path = run / "results.json"
            if not path.exists():
                raise ValueError(
                    f"{run} holds no results.json; name a run's directory."
                )
            found = json.loads(path.read_text())
            if not found["methods"]:
                raise ValueError(f"{path} holds no method that was trained yet.")
            stored[name if names.count(name) == 1 else str(run)] = found
        target = (
            out or (runs[0] if len(runs) == 1 else pathlib.Path()) / "comparison.png"
        )
        print(plots.save(plots.comparison(stored), target))

    tyro.cli(plot, prog="jaxphys plot", args=arguments)
    return 0


if __name__ == "__main__":
    sys.exit(main())
