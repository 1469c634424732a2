"""Command lines that make no sense: every command, every option, by kind.

An option's kind is its type. Each value of the kind in place of a right one is a case:
the command must end with status 2 and one sentence that names the option or what was
expected of it, and leave nothing behind.
"""

import dataclasses
import pathlib
import types
import typing
from collections.abc import Iterator

from jaxphys import experiments
from jaxphys.commands import (
    CheckOptions,
    FitOptions,
    IdentifyOptions,
    PredictOptions,
    SimulateOptions,
)

#: What is no such thing, by type.
VALUES: dict[type, tuple[str, ...]] = {
    int: ("x", "2.5", "nan", "1e400", ""),
    float: ("x", "nan", "inf", "-1e400", ""),
    bool: ("x", "3"),
    str: ("nothing", "", "9"),
    # An empty --out is none.
    pathlib.Path: ("missing.csv", "folder", ""),
}

#: Numbers that are read as such, and are no good: not above zero, or beyond any memory.
NOT_POSITIVE = ("0", "-1")

#: Options that take any sign, or zero for none.
ANY_SIGN = ("seed", "noise", "window", "weight_decay")

#: Options whose values are all read as they are, or are looked at in other tests: where
#: results go, and what a function is called with.
FREE = ("out", "shapes", "example")

#: A right call of each command, to which one wrong option is added.
CALLS: dict[str, tuple[str, ...]] = {
    "run": ("run", "oscillators", "--steps", "1"),
    "fit": ("fit", "hnn", "--data", "swings.csv", "--steps", "1"),
    "identify": ("identify", "pendulum", "--data", "swings.csv"),
    "simulate": ("simulate", "pendulum", "--duration", "0.1"),
    "predict": ("predict", "model.npz", "--state", "1", "0", "--duration", "1"),
    "check": ("check", "law.py:energy"),
}


#: What else may be wrong: names, options that are none, what is missing or too much.
OTHERS: tuple[tuple[str, ...], ...] = (
    ("ruin",),
    ("list", "nothing"),
    ("list", "oscillators", "hnn"),
    ("completion",),
    ("completion", "fish"),
    ("plot",),
    ("plot", "missing.csv"),
    ("plot", "folder"),
    ("plot", "swings.csv"),
    ("run",),
    ("run", "nothing"),
    ("run", "--steps", "1"),
    ("run", "oscillators", "--cache"),
    ("run", "oscillators", "--resume", "--out", "folder"),
    ("run", "oscillators", "--resume", "--out", "missing.csv"),
    ("run", "oscillators", "--steps", "1", "--seconds", "1"),
    ("fit",),
    ("fit", "nothing", "--data", "swings.csv"),
    ("fit", "hnn"),
    ("fit", "auto", "--data", "missing.csv"),
    ("fit", "hnn", "--resume", "--out", "folder"),
    ("identify",),
    ("identify", "nothing", "--data", "swings.csv"),
    ("identify", "pendulum"),
    ("identify", "missing.py:energy", "--data", "swings.csv"),
    ("identify", "law.py:nothing", "--data", "swings.csv"),
    ("identify", "swings.csv:energy", "--data", "swings.csv"),
    ("simulate",),
    ("simulate", "nothing"),
    ("simulate", "pendulum", "--mass", "x"),
    ("simulate", "pendulum", "--mass", "nan"),
    ("simulate", "pendulum", "--mass", "-1"),
    ("simulate", "pendulum", "--length", "0"),
    ("predict",),
    ("predict", "missing.csv", "--state", "1", "0"),
    ("predict", "folder", "--state", "1", "0"),
    ("predict", "swings.csv", "--state", "1", "0"),
    ("predict", "model.npz"),
    ("predict", "model.npz", "--state", "1"),
    ("check",),
    ("check", "missing.py:energy"),
    ("check", "law.py"),
    ("check", "law.py:nothing"),
    *((*call, word) for call in CALLS.values() for word in ("--nothing", "extra")),
    *((*call, option) for call in CALLS.values() for option in ("--out", "--seed")),
)


def options() -> Iterator[tuple[str, str, type]]:
    """Each command's options with their types; of several types the first."""
    found = experiments.get("oscillators")
    records = {
        "run": (type(found.settings()), type(found.options)),
        "fit": (FitOptions,),
        "identify": (IdentifyOptions,),
        "simulate": (SimulateOptions,),
        "predict": (PredictOptions,),
        "check": (CheckOptions,),
    }
    for command, kinds in records.items():
        for record in kinds:
            hints = typing.get_type_hints(record)
            for field in dataclasses.fields(record):
                yield command, field.name, plain(hints[field.name])


def plain(hint: object) -> type:
    """The type of a value, of one that is optional, or of the entries of a tuple."""
    if isinstance(hint, type) and not typing.get_args(hint):
        return hint
    of = [x for x in typing.get_args(hint) if x not in (type(None), Ellipsis)]
    assert isinstance(hint, types.UnionType | types.GenericAlias) or of, hint
    return plain(of[0])


def cases() -> Iterator[tuple[str, ...]]:
    yield from OTHERS
    for command, name, kind in options():
        if name in FREE:
            continue
        flag = f"--{name.replace('_', '-')}"
        values = VALUES[kind]
        if kind in (int, float) and name not in ANY_SIGN:
            values += NOT_POSITIVE
        for value in values:
            yield (*CALLS[command], flag, value)
