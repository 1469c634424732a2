"""Check a name against the known ones, with an error that suggests the nearest."""

import difflib
from collections.abc import Iterable

__all__ = ["check_known"]


def check_known(kind: str, name: str, known: Iterable[str]) -> str:
    """Return `name` if it is known, else raise a ValueError with the nearest match.

    Example:
      >>> check_known("method", "adm", ["adam", "hig"])
      Traceback (most recent call last):
      ...
      ValueError: unknown method 'adm'; known: adam, hig. Did you mean 'adam'?
    """
    known = list(known)
    if not isinstance(name, str):
        raise TypeError(f"{kind} is {name!r}; known: {', '.join(known)}.")
    if name in known:
        return name
    message = f"unknown {kind} {name!r}; known: {', '.join(known)}."
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    raise ValueError(message + (f" Did you mean {near[0]!r}?" if near else ""))
