"""The command line: `jaxphys list | run | fit | identify | predict | export | …`.

Every command is a function of `jaxphys.commands`; here its options are read, its errors
become messages, and its outcome an exit status.
"""

import argparse
import contextlib
import dataclasses
import io
import itertools
import os
import pathlib
import re
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Annotated, Any

from jaxphys import files, stopping
from jaxphys.names import check_known

__all__ = ["USAGE", "main"]

USAGE = """jaxphys: networks that learn from, and through, mechanics.

usage: jaxphys COMMAND ...

the most used:
  jaxphys run oscillators --seconds 15             methods side by side
  jaxphys fit delan --data swing.csv               learn a motion from your file
  jaxphys identify pendulum --data swing.csv       constants of a law, with errors
  jaxphys predict runs/fit-… --state 1.2 0 --plot  follow what was fitted
  jaxphys simulate double_pendulum --show          a motion, figures, an animation

commands:
  list [NAME]                 what can be run, by question; an experiment's methods
  run EXPERIMENT [options]    train every method of an experiment, side by side
  fit MODEL --data FILE       learn a motion from trajectories of your own
  fit auto --data FILE        which law? several kinds fitted, ranked, recommended
  identify LAW --data FILE    constants of a law; --learned force: what it misses, too
  predict RUN --state ...     follow a fitted model from a state: a table
  export RUN [--out FILE]     what was fitted, as a file that JAX alone runs
  simulate SYSTEM [options]   integrate a system: trajectories, figures, an animation
  plot DIR ... [--out FILE]   draw the comparison of stored runs
  check FILE:FUNCTION         what is wrong with the gradient of your own function
  completion SHELL            a script for bash or zsh that completes all this

COMMAND --help lists options, COMMAND NAME --help those of a name, too.
--show opens figures. What is compiled is kept: --cache DIR|off. --devices N."""

_NO_MEMORY = (
    "memory is full; lower the batch size, the number of samples or trajectories, or "
    "the size of the network. What was written before is whole."
)

#: Commands whose options are those of a name that comes first.
_NAMED = ("run", "fit", "identify", "predict", "export", "simulate", "check")

#: The exit status of a command that Ctrl-C ended; after SIGTERM it is 143.
_INTERRUPTED = 130


def main(arguments: list[str] | None = None) -> int:
    """Run a command; returns the exit status, 2 for a request that cannot be met."""
    # SciPy's OpenBLAS factorizes JAX's small matrices. Its threads spin on between
    # calls and so take the cores from XLA's own: one thread is faster.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # XLA's note that a program comes from the cache, a page on each, is no error.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    arguments = sys.argv[1:] if arguments is None else arguments
    if not arguments or arguments[0] in ("-h", "--help"):
        print(USAGE)
        return 0
    commands = {
        "list": _list,
        "run": _run,
        "fit": _fit,
        "identify": _identify,
        "predict": _predict,
        "export": _export,
        "simulate": _simulate,
        "plot": _plot,
        "completion": _completion,
        "check": _check,
        "--version": _version,
    }
    if arguments[1:2] in (["-h"], ["--help"]):
        if arguments[0] in _NAMED:
            return _helped(arguments[0])
        if arguments[0] in ("list", "completion"):
            print(USAGE)
            return 0
    with stopping.process():
        return _carried_out(commands, arguments)


def _helped(command: str) -> int:
    """The options of a command, whatever the name that it is given."""
    from jaxphys import commands, experiments, systems
    from jaxphys.commands.fitting import AUTO, MODELS

    known: dict[str, tuple[str, type, Sequence[str]]] = {
        "run": ("EXPERIMENT", commands.RunOptions, experiments.names()),
        "fit": ("MODEL", commands.FitOptions, [AUTO, *MODELS]),
        "identify": (
            "LAW",
            commands.IdentifyOptions,
            [*systems.names(), "FILE.py:FUNCTION"],
        ),
        "predict": ("RUN", commands.PredictOptions, ["runs/fit-…", "runs/identify-…"]),
        "export": ("RUN", commands.ExportOptions, ["runs/fit-…", "runs/identify-…"]),
        "simulate": ("SYSTEM", commands.SimulateOptions, systems.names()),
        "check": ("FILE.py:FUNCTION", commands.CheckOptions, ["simulator.py:energy"]),
    }
    name, kind, names = known[command]
    with contextlib.suppress(SystemExit):
        _options(f"{command} {name}", ["--help"], kind)
    print(f"{name}, which comes first: {', '.join(names)}.")
    if command in ("run", "simulate"):
        print("With the name of one, --help lists its own options as well.")
    return 0


def _carried_out(commands: dict[str, Callable], arguments: list[str]) -> int:
    """Run a command; what goes wrong becomes a sentence."""
    try:
        check_known("command", arguments[0], commands)
        arguments = _joined(_cached(arguments))
        with warnings.catch_warnings():
            warnings.showwarning = _warn
            return commands[arguments[0]](arguments[1:])
    except ValueError as error:
        print(f"jaxphys: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        told = str(error) if error.errno is None else files.trouble(error)
        print(f"jaxphys: {told}", file=sys.stderr)
        return 2 if isinstance(error, FileNotFoundError) else 1
    except (MemoryError, RuntimeError) as error:
        # JAX has a RuntimeError of its own for it.
        if isinstance(error, RuntimeError) and "RESOURCE_EXHAUSTED" not in str(error):
            raise
        own = str(error) if isinstance(error, MemoryError) else ""
        print(f"jaxphys: {own or _NO_MEMORY}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(
            "\njaxphys: interrupted; what was written until now is whole.",
            file=sys.stderr,
        )
        return _INTERRUPTED


def _cached(arguments: list[str]) -> list[str]:
    """The command line without --cache, which is seen to."""
    if arguments[0] not in ("run", "fit", "identify", "simulate"):
        return arguments
    from jaxphys.commands.caching import keep_compilations

    chosen = None
    if "--cache" in arguments:
        place = arguments.index("--cache")
        if place + 1 == len(arguments):
            raise ValueError("--cache needs a folder, or off.")
        chosen = arguments[place + 1]
        arguments = arguments[:place] + arguments[place + 2 :]
    keep_compilations(chosen)
    return arguments


def _joined(arguments: list[str]) -> list[str]:
    """The command line without --distributed, by which this process joins others."""
    if arguments[0] not in ("run", "fit") or "--distributed" not in arguments:
        return arguments
    import jax

    try:
        jax.distributed.initialize()
    except (ValueError, RuntimeError) as error:
        raise ValueError(
            f"JAX finds no processes to join: {error} Start the command by srun, by "
            "mpirun, or on Cloud TPU, as jax.distributed.initialize describes."
        ) from error
    return [word for word in arguments if word != "--distributed"]


def _warn(message, category, filename, lineno, file=None, line=None) -> None:
    """A warning as a person wants it: what is wrong, not where in the code."""
    print(f"jaxphys: warning: {message}", file=sys.stderr)


def _version(arguments: list[str]) -> int:
    import jaxphys

    del arguments
    print(jaxphys.__version__)
    return 0


def _first(arguments: list[str], needed: str) -> str:
    """What a command begins with, such as the directory of a run."""
    if not arguments or arguments[0].startswith("-"):
        raise ValueError(needed)
    return arguments[0]


def _named(arguments: list[str], command: str, what: str, known: Sequence[str]) -> str:
    """The name that a command begins with, such as that of an experiment."""
    needed = f"{command} needs the name of {what}; known: {', '.join(known)}."
    return _first(arguments, needed)


def _options(command: str, arguments: list[str], kind: Any, default: Any = None) -> Any:
    """The options of a command line as a dataclass, its help from the docstrings."""
    import jax
    import tyro

    jax.config.update("jax_enable_x64", True)
    return _read(
        kind,
        prog=f"jaxphys {command}",
        args=arguments,
        default=default,
        config=(tyro.conf.OmitArgPrefixes,),
    )


def _read(kind: Any, *, prog: str, **options: Any) -> Any:
    """What tyro reads; what it cannot read is a ValueError of one sentence."""
    import tyro

    told = io.StringIO()
    try:
        with contextlib.redirect_stderr(told):
            return tyro.cli(kind, prog=prog, **options)
    except SystemExit as end:
        if not end.code:
            raise
        said = _sentence(told.getvalue())
        raise ValueError(f"{said} {prog} --help lists the options.") from None


#: What tyro calls the values of options, in words.
_KINDS = {"INT": "a whole number", "FLOAT": "a number", "PATH": "a file or directory"}


def _sentence(box: str) -> str:
    """What is wrong with a command line, of the box in which tyro says so."""
    text = re.sub("[\u2500-\u257f]", "", box)
    lines = [line.strip(" |+") for line in text.splitlines()]
    # Where there is no Unicode the box is of other signs, and begins with an edge.
    title, *lines = itertools.dropwhile(lambda line: not line.strip("-"), lines)
    hints = [line.split() for line in lines if re.match("--\\w", line)]
    # What is wrong stands between two lines that are empty or of dashes.
    body = itertools.dropwhile(lambda line: not line.strip("-"), lines)
    said = " ".join(itertools.takewhile(lambda line: line.strip("-"), body))
    option = re.search(r"(?<=parsing )--[\w-]+|(?<=argument ')--[\w-]+", said)
    if title == "Unrecognized options":
        unknown = said.removeprefix("Unrecognized options: ").split()[0].rstrip(",")
        near = f"; did you mean {hints[0][0].rstrip(',')}?" if hints else "."
        return f"unknown option {unknown}{near}"
    if title == "Required options":
        return f"{hints[0][0]} is missing."
    if option is None:
        return f"{said}."
    if title == "Missing argument":
        return f"{option[0]} has no value."
    kinds = " ".join(hints[0][1:]).removeprefix("{None}|") if hints else ""
    choices = re.search(r"one of \((.*?)\)", said)
    expected = choices[1] if choices else _KINDS.get(kinds, kinds)
    value = re.search(
        r"(?:from |arguments: |float: |base 10: |choice )(\[.*?\]|'.*?')", said
    )
    got = f"is {value[1].strip('[]')}" if value else "cannot be read"
    return f"{option[0]} {got}; expected {expected or 'another value'}."


def _side_by_side(doc: str, **records: Any) -> tuple[type, Any]:
    """One dataclass of several, and its defaults, for one command line."""
    fields = [(name, type(record)) for name, record in records.items()]
    kind = dataclasses.make_dataclass("Request", fields)
    kind.__doc__ = doc
    return kind, kind(**records)


def _resumed(arguments: list[str]) -> tuple[bool, pathlib.Path | None]:
    """Whether a run is resumed, whose options are then the defaults, and which."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--out", type=pathlib.Path)
    # Nothing is resumed by a call for help, and what is wrong is told by tyro.
    parser.exit_on_error = False
    try:
        found, _ = parser.parse_known_args(arguments)
    except argparse.ArgumentError:
        return False, None
    return found.resume and not {"-h", "--help"} & set(arguments), found.out


def _list(arguments: list[str]) -> int:
    from jaxphys import commands

    if len(arguments) > 1:
        raise ValueError("list takes the name of one experiment, or nothing.")
    print(commands.listing(*arguments))
    return 0


def _completion(arguments: list[str]) -> int:
    from jaxphys.commands.completion import SHELLS, completion

    print(completion(_named(arguments, "completion", "a shell", SHELLS)))
    return 0


def _wants_figures(arguments: list[str]) -> bool:
    """Whether --show is among the arguments, from which it is taken."""
    found = "--show" in arguments
    arguments[:] = [each for each in arguments if each != "--show"]
    return found


def _run(arguments: list[str]) -> int:
    from jaxphys import commands, devices, experiments

    show = _wants_figures(arguments)
    name = _named(arguments, "run", "an experiment", experiments.names())
    experiment = experiments.get(name)
    settings, options = experiment.settings(), experiment.options
    resumed, out = _resumed(arguments[1:])
    if resumed:
        settings, options = experiments.stored(experiment, out)
    both = _side_by_side(
        f"{name}: {experiment.summary}.",
        settings=settings,
        run=options,
    )
    asked = _options(f"run {name}", arguments[1:], *both)
    done = commands.run(experiment, asked.run, **vars(asked.settings))
    if devices.is_first():
        told = [f"To go on: jaxphys run {name} --resume --out {done.out}."]
        if any(done.out.glob("*.png")):
            told.insert(0, f"figures: {done.out}/*.png.")
            told.append(f"Beside other runs: jaxphys plot {done.out} …")
        print(*told)
    if show and devices.is_first():
        commands.show(done.out)
    return _INTERRUPTED if done.interrupted else 0


def _fit(arguments: list[str]) -> int:
    from jaxphys import commands
    from jaxphys.commands.fitting import AUTO, MODELS, stored

    show = _wants_figures(arguments)
    model = _named(arguments, "fit", "a model, or auto", [AUTO, *MODELS])
    several = list(itertools.takewhile(lambda x: x[:1] != "-", arguments))
    if several != [model] or model == AUTO:
        rest = arguments[len(several) :]
        options = _options(f"fit {' '.join(several)}", rest, commands.FitOptions)
        chosen = commands.fit_laws(several, options)
        if show:
            commands.show(chosen.out)
        return _INTERRUPTED if chosen.ranking.interrupted else 0
    check_known("model", model, MODELS)
    resumed, out = _resumed(arguments[1:])
    default = stored(model, out) if resumed else None
    options = _options(f"fit {model}", arguments[1:], commands.FitOptions, default)
    if options.dry_run:
        commands.look(model, options)
        return 0
    done = commands.fit(model, options)
    if show:
        commands.show(done.out)
    return _INTERRUPTED if done.interrupted else 0


def _identify(arguments: list[str]) -> int:
    from jaxphys import commands, systems

    show = _wants_figures(arguments)
    law = _named(arguments, "identify", "a system, or FILE.py:NAME", systems.names())
    options = _options(f"identify {law}", arguments[1:], commands.IdentifyOptions)
    done = commands.identify_constants(law, options)
    if show:
        commands.show(done.out)
    return 0


def _predict(arguments: list[str]) -> int:
    from jaxphys import commands

    show = _wants_figures(arguments)
    needed = "predict needs the directory of a fit or of identify, such as runs/fit-…."
    run = _first(arguments, needed)
    options = _options("predict RUN", arguments[1:], commands.PredictOptions)
    if show:
        options = dataclasses.replace(options, plot=True)
    done = commands.predict(run, options)
    if show:
        commands.show(done.out.with_suffix(".png"))
    return 0


def _export(arguments: list[str]) -> int:
    from jaxphys import commands

    run = _first(arguments, "export needs the directory of a fit, or of identify.")
    options = _options("export RUN", arguments[1:], commands.ExportOptions)
    commands.export(run, options)
    return 0


def _simulate(arguments: list[str]) -> int:
    from jaxphys import commands, systems
    from jaxphys.commands.simulation import constants

    show = _wants_figures(arguments)
    name = _named(arguments, "simulate", "a system", systems.names())
    both = _side_by_side(
        constants.description(name),
        system=constants.system_options(name)(),
        simulation=commands.SimulateOptions(),
    )
    asked = _options(f"simulate {name}", arguments[1:], *both)
    done = commands.simulate(name, asked.simulation, **vars(asked.system))
    if done.info.message:
        print(f"jaxphys: {done.info.message}", file=sys.stderr)
        return 1
    if show:
        commands.show(done.out)
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
        from jaxphys import commands

        drawn = commands.plot(runs, out)
        print(drawn)
        if show:
            commands.show(drawn)

    show = _wants_figures(arguments)
    _read(plot, prog="jaxphys plot", args=arguments)
    return 0


def _check(arguments: list[str]) -> int:
    from jaxphys import commands

    needed = "check needs a function, such as simulator.py:energy."
    function = _first(arguments, needed)
    options = _options("check FILE:FUNCTION", arguments[1:], commands.CheckOptions)
    return 0 if commands.check_function(function, options).ok else 1


if __name__ == "__main__":
    sys.exit(main())
