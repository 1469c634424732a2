"""Numbers that are what they are said to be: counts, positive numbers, rates."""

import math
import numbers
from typing import Any

__all__ = ["check_count", "check_positive", "check_rate"]


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


def _number(name: str, value: Any, expected: str) -> float:
    """A value as a float; a TypeError where it is none."""
    try:
        if isinstance(value, str | bytes | bool):
            raise TypeError
        return float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name} is {value!r}; expected {expected}.") from None
