"""Arguments that are what they are said to be: counts, numbers, rates, functions."""

import functools
import inspect
import math
import numbers
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import jax

__all__ = [
    "check_count",
    "check_function",
    "check_number",
    "check_positive",
    "check_rate",
    "checked",
]

_P = ParamSpec("_P")
_T = TypeVar("_T")


def check_count(name: str, value: Any, least: int = 1) -> int:
    """A whole number that is large enough.

    Raises:
      TypeError: for what is no number, such as a text.
      ValueError: for a number that is not whole, or too small.

    Example:
      >>> check_count("steps", 3.0)
      3
      >>> check_count("steps", 2.5)
      Traceback (most recent call last):
      ValueError: steps is 2.5; expected a whole number ≥ 1.
    """
    expected = f"a whole number ≥ {least}"
    number = _number(name, value, expected)
    if not math.isfinite(number) or number != int(number) or number < least:
        raise ValueError(f"{name} is {value}; expected {expected}.")
    return int(number)


def check_positive(name: str, value: Any) -> float:
    """A finite number above zero.

    Raises:
      TypeError: for what is no number, such as a text.
      ValueError: for a number that is not finite, or not above zero.

    Example:
      >>> check_positive("damping", float("nan"))
      Traceback (most recent call last):
      ValueError: damping is nan; expected a finite number above zero.
    """
    if _is_traced(value):
        return value
    number = _number(name, value, "a finite number above zero")
    if not (math.isfinite(number) and number > 0):
        raise ValueError(f"{name} is {value}; expected a finite number above zero.")
    return number


def check_rate(name: str, value: Any) -> None:
    """A learning rate: a finite number above zero, a schedule, or an array of JAX.

    An array may be traced, and what is in it is the affair of whoever made it.

    Raises:
      TypeError: for anything else, such as a text or None.
      ValueError: for a number that is not finite, or not above zero.

    Example:
      >>> check_rate("learning_rate", lambda count: 0.1 / (1 + count))
      >>> check_rate("learning_rate", -1)
      Traceback (most recent call last):
      ValueError: learning_rate is -1; expected a finite number above zero.
    """
    if isinstance(value, numbers.Number):
        check_positive(name, value)
    elif not (callable(value) or hasattr(value, "dtype")):
        raise TypeError(
            f"{name} is {value!r}; expected a finite number above zero, or a schedule, "
            "a function of the number of updates."
        )


def check_number(name: str, value: Any, *, positive: bool = False) -> None:
    """A finite real number, also one of JAX or NumPy of shape ().

    What is traced is not looked at, and may be one of a batch.

    Args:
      name: of the argument.
      value: what was handed over.
      positive: whether it must be above zero.

    Raises:
      TypeError: for what is no number, such as a text.
      ValueError: for a NaN, an infinity, or an array of several numbers.

    Example:
      >>> check_number("mass", -1.0, positive=True)
      Traceback (most recent call last):
      ValueError: mass is -1.0; expected a finite number above zero.
    """
    expected = "a finite number above zero" if positive else "a finite number"
    if getattr(value, "shape", ()) != ():
        raise ValueError(
            f"{name} has shape {value.shape}; expected {expected}. For a batch use "
            "jax.vmap."
        )
    if _is_traced(value):
        return
    number = _number(name, value, expected)
    if not math.isfinite(number) or (positive and number <= 0):
        raise ValueError(f"{name} is {value}; expected {expected}.")


def check_function(name: str, value: Any) -> None:
    """A function, or anything else that can be called.

    Raises:
      TypeError: for anything else, such as None.

    Example:
      >>> check_function("hamiltonian", None)
      Traceback (most recent call last):
      TypeError: hamiltonian is None; expected a function.
    """
    if not callable(value):
        shown = value if value is None else f"a {type(value).__name__}"
        raise TypeError(f"{name} is {shown}; expected a function.")


def checked(**kinds: Callable[[str, Any], Any]) -> Callable:
    """A function that checks some of its arguments first, each by `kind(name, value)`.

    An argument that is None, as it is by default, is not looked at.

    Example:
      >>> @checked(energy=check_function, steps=check_count)
      ... def follow(energy, steps=3):
      ...     return steps
      >>> follow(abs)
      3
      >>> follow(abs, steps=-1)
      Traceback (most recent call last):
      ValueError: steps is -1; expected a whole number ≥ 1.
    """

    def decorate(function: Callable[_P, _T]) -> Callable[_P, _T]:
        signature = inspect.signature(function)
        defaults = {name: signature.parameters[name].default for name in kinds}

        @functools.wraps(function)
        def wrapper(*args: _P.args, **options: _P.kwargs) -> _T:
            given = signature.bind(*args, **options).arguments
            for name, check in kinds.items():
                if name in given and not (
                    given[name] is None and defaults[name] is None
                ):
                    check(name, given[name])
            return function(*args, **options)

        return wrapper

    return decorate


def _is_traced(value: Any) -> bool:
    """Whether a value is one of JAX that is not known yet."""
    return isinstance(value, jax.core.Tracer)


def _number(name: str, value: Any, expected: str) -> float:
    """A value as a float; a TypeError where it is none."""
    try:
        if isinstance(value, str | bytes | bool):
            raise TypeError
        return float(value)
    except (TypeError, ValueError, OverflowError):
        raise TypeError(f"{name} is {value!r}; expected {expected}.") from None
