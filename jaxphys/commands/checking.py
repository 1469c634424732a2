"""`jaxphys check`: what is wrong with the gradient of a function in a file."""

import dataclasses
import inspect
import json
import pathlib
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import jax

from jaxphys import doctor, plots
from jaxphys.commands.loading import function_of, module_of
from jaxphys.experiments import record

__all__ = ["CheckOptions", "check_function"]


@dataclasses.dataclass(frozen=True)
class CheckOptions:
    """Examine a differentiable function: what is wrong with its gradient, and where?

    Attributes:
      example: the name of the example in the file, a value or a function without
        arguments; a tuple holds several arguments. By default `example`, or else the
        defaults of the function's own arguments.
      shapes: in place of an example, the shape of each argument, such as 4 or 3,2, and
        () for a number; they are filled with normal random numbers.
      seed: of random numbers and directions.
      updates: whether to time an update of Adam and of Levenberg–Marquardt.
      json: print the findings as JSON in place of a page.
      out: a directory for report.json and check.png; by default nothing is written.
    """

    example: str | None = None
    shapes: tuple[str, ...] = ()
    seed: int = 0
    updates: bool = True
    json: bool = False
    out: pathlib.Path | None = None


def check_function(target: str, options: CheckOptions) -> doctor.Report:
    """Examine FILE.py:FUNCTION and print what was found.

    Args:
      target: the function.
      options: its example, and what to write.

    Returns:
      The report; the command's exit status is 0 where it is `ok`, and 1 elsewhere.

    Raises:
      ValueError: for a file, a function or an example that cannot be used.
      FileNotFoundError: where there is no such file.
    """
    if options.out is not None:
        record.check_empty(options.out)
    module, name = module_of(target)
    function = function_of(module, name)
    example = _example(module, function, options)
    report = doctor.check(
        function, example, seed=options.seed, time_updates=options.updates
    )
    print(json.dumps(report.json(), indent=2) if options.json else report)
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
        record.write_json(options.out / "report.json", report.json())
        plots.save(report.plot(), options.out / "check.png")
    return report


def _example(module: ModuleType, function: Callable, options: CheckOptions) -> Any:
    """What the function is examined at."""
    if options.shapes:
        if options.example is not None:
            raise ValueError("got an example and shapes; expected one of them.")
        return _random(options.shapes, options.seed)
    name = options.example or "example"
    found = getattr(module, name, None)
    if found is None and options.example is not None:
        raise ValueError(f"{module.__file__} has no {name}; expected an example there.")
    if found is None:
        return _defaults(function)
    return found() if inspect.isfunction(found) else found


def _random(shapes: Sequence[str], seed: int) -> tuple:
    found = []
    keys = jax.random.split(jax.random.key(seed), len(shapes))
    for key, text in zip(keys, shapes, strict=True):
        sizes = [part for part in text.strip("()").split(",") if part.strip()]
        if not all(part.strip().isdigit() for part in sizes):
            raise ValueError(
                f"shapes has {text}; expected sizes such as 4 or 3,2, or () for a "
                "number."
            )
        found.append(jax.random.normal(key, tuple(map(int, sizes))))
    return tuple(found)


def _defaults(function: Callable) -> tuple:
    """The defaults of a function's arguments."""
    parameters = inspect.signature(function).parameters.values()
    missing = [p.name for p in parameters if p.default is p.empty]
    if missing or not parameters:
        raise ValueError(
            f"there is no example for {', '.join(missing) or 'the function'}: define "
            "example = (…) in the file, a tuple of the arguments, or name one by "
            "--example, or say --shapes 4 3,2."
        )
    return tuple(p.default for p in parameters)
