"""Where in the source an equation comes from: file, line, and what is written there."""

import linecache
import pathlib
from typing import Any, NamedTuple

import jax

#: Packages whose lines are nobody's own, beside that of JAX.
_LIBRARIES = (
    "jax",
    "numpy",
    "equinox",
    "diffrax",
    "lineax",
    "optimistix",
    "flax",
    "optax",
)
_INSTALLED = pathlib.Path(jax.__file__).parents[1]
_OTHERS = tuple(f"{_INSTALLED / name}/" for name in _LIBRARIES)
_OURS = f"{pathlib.Path(__file__).parents[1]}/"
#: What wraps functions on their way.
_WRAPPERS = ("functools.py", "contextlib.py")


class Place(NamedTuple):
    """A line of source.

    Attributes:
      primitive: JAX's name of what is computed there.
      file, line: where it was written; an empty file where that is not known.
      code: the line as it is written.
    """

    primitive: str
    file: str = ""
    line: int = 0
    code: str = ""

    def __str__(self) -> str:
        if not self.file:
            return f"an equation {self.primitive} of unknown origin"
        return f"{pathlib.Path(self.file).name}:{self.line}, {self.code}"


def place(eqn: Any, outer: Place | None = None) -> Place:
    """The innermost line of the user's own that made an equation.

    Derivatives are at the line of what they are derivatives of. Where there is no line
    of the user's, it is one of this package.

    Args:
      eqn: the equation.
      outer: the place of the call that it is in: a function that JAX has traced before
        does not know who calls it.

    Example:
      >>> traced = jax.make_jaxpr(lambda x: x + 1)(1.0)
      >>> place(traced.jaxpr.eqns[0]).primitive
      'add'
    """
    name = eqn.primitive.name
    frames = getattr(eqn.source_info.traceback, "frames", ())
    lines = [(frame.file_name, frame.line_num) for frame in frames]
    found = _first(name, lines)
    if outer is not None and (not found.file or found.file.startswith(_OURS)):
        return outer._replace(primitive=name)
    return found


def place_of(error: BaseException) -> Place:
    """The innermost line of the user's own that an error came through.

    Example:
      >>> try:
      ...     [][0]
      ... except IndexError as error:
      ...     found = place_of(error)
      >>> found.line
      2
    """
    lines = []
    trace = error.__traceback__
    while trace is not None:
        lines.append((trace.tb_frame.f_code.co_filename, trace.tb_lineno))
        trace = trace.tb_next
    return _first("", lines[::-1])


def _first(name: str, lines: list[tuple[str, int]]) -> Place:
    """The first line that is the user's own, or else the first one of this package."""
    ours = None
    for file, line in lines:
        if file.startswith(_OTHERS) or file.endswith(_WRAPPERS):
            continue
        found = Place(name, file, line, linecache.getline(file, line).strip())
        if not file.startswith(_OURS):
            return found
        ours = ours or found
    return ours or Place(name)
