"""Constants by name, and what is said where a law reads one that was not given."""

import contextlib
import difflib
import re
from collections.abc import Iterator, Mapping

import jax
import numpy as np

from jaxphys.types import PyTree

__all__ = ["misnamed", "named_leaves", "naming"]


def named_leaves(tree: PyTree) -> list[str]:
    """A name for each number of a pytree of constants.

    Example:
      >>> named_leaves({"mass": 1.0, "k": np.ones(2)})
      ['k[0]', 'k[1]', 'mass']
    """
    found = []
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        parts = [str(getattr(k, "name", getattr(k, "key", k))) for k in path]
        name = ".".join(parts).replace(".[", "[") or "c"
        shape = np.shape(leaf)
        if not shape:
            found.append(name)
        found += [
            f"{name}[{', '.join(map(str, i))}]" for i in np.ndindex(shape) if shape
        ]
    return found


@contextlib.contextmanager
def naming(params: PyTree) -> Iterator[None]:
    """Within it, a constant that a law misses is told in a ValueError, by its name.

    Args:
      params: the constants that the law is called with.

    Example:
      >>> with naming({"lenght": 1.2}):
      ...     {"lenght": 1.2}["length"]
      Traceback (most recent call last):
      ...
      ValueError: the law reads the constant 'length', and given are lenght. Is \
'lenght' meant as 'length'? Give each constant the name that the law reads.
    """
    try:
        yield
    except (KeyError, AttributeError, TypeError) as error:
        text = misnamed(error, params)
        if text is None:
            raise
        raise ValueError(text) from error


def misnamed(error: Exception, params: PyTree) -> str | None:
    """What is wrong with the names of constants; None where something else is.

    Args:
      error: that the law raised.
      params: the constants that it was called with.
    """
    if isinstance(error, TypeError):
        if isinstance(params, tuple) and "indices must be integers" in str(error):
            return (
                f"the constants are a {type(params).__name__}, whose entries the law "
                f"reads by brackets; read {_first(params)} as "
                f"c.{_first(params)}, or give the constants as a dict."
            )
        return None
    if isinstance(error, AttributeError):
        if type(error.obj) is not type(params):
            return None
        name = error.name
    else:
        name = error.args[0] if isinstance(error, KeyError) and error.args else None
    if not isinstance(name, str):
        return None
    given = named_leaves(params)
    if name in {part for each in given for part in re.split(r"[.\[]", each)}:
        if isinstance(params, Mapping) and isinstance(error, AttributeError):
            return (
                f'the constants are a dict; the law reads c.{name}: write c["{name}"], '
                "or give the constants as a NamedTuple."
            )
        return None
    near = difflib.get_close_matches(name, given, n=1, cutoff=0.5)
    hint = f" Is {near[0]!r} meant as {name!r}?" if near else ""
    return (
        f"the law reads the constant {name!r}, and given are {', '.join(given)}.{hint} "
        "Give each constant the name that the law reads."
    )


def _first(params: PyTree) -> str:
    return named_leaves(params)[0]
