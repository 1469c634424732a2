"""Arguments that are what they are said to be: counts, numbers, rates, functions."""

import functools
import inspect
import math
import numbers
import os
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import jax
import numpy as np

__all__ = [
    "check_array",
    "check_count",
    "check_function",
    "check_key",
    "check_matrix",
    "check_not_negative",
    "check_number",
    "check_numbers",
    "check_path",
    "check_positive",
    "check_rate",
    "check_share",
    "check_sizes",
    "check_some",
    "check_some_numbers",
    "check_start",
    "check_times",
    "check_vector",
    "check_whole",
    "checked",
    "has",
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
    _check_single(name, value, expected)
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
    elif not (callable(value) or _is_numeric(value)):
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
    _check_range(name, value, expected, lambda x: x > 0 or not positive)


def check_not_negative(name: str, value: Any) -> None:
    """A finite number, zero or more, as `check_number` takes one.

    Example:
      >>> check_not_negative("regularization", -1.0)
      Traceback (most recent call last):
      ValueError: regularization is -1.0; expected a finite number ≥ 0.
    """
    _check_range(name, value, "a finite number ≥ 0", lambda x: x >= 0)


def check_whole(name: str, value: Any) -> int:
    """A whole number, zero or more, as `check_count` takes one.

    Example:
      >>> check_whole("num_controls", -1)
      Traceback (most recent call last):
      ValueError: num_controls is -1; expected a whole number ≥ 0.
    """
    return check_count(name, value, 0)


def check_share(name: str, value: Any) -> None:
    """A number from zero to below one, as `check_number` takes one.

    Example:
      >>> check_share("rcond", 1.0)
      Traceback (most recent call last):
      ValueError: rcond is 1.0; expected 0 ≤ rcond < 1.
    """
    _check_range(name, value, f"0 ≤ {name} < 1", lambda x: 0 <= x < 1)


def check_some(name: str, value: Any) -> None:
    """A number above zero, as `check_number` takes one; infinity is one.

    Example:
      >>> check_some("memory_limit", math.inf)
      >>> check_some("memory_limit", 0)
      Traceback (most recent call last):
      ValueError: memory_limit is 0; expected a number above zero.
    """
    _check_range(name, value, "a number above zero", lambda x: x > 0, finite=False)


def check_sizes(name: str, value: Any) -> None:
    """Several whole numbers, each one or more, such as the widths of layers.

    Raises:
      TypeError: for what is no sequence, and for entries that are no numbers.
      ValueError: for an entry that is not whole, or below one.

    Example:
      >>> check_sizes("hidden", (200, 2.5))
      Traceback (most recent call last):
      ValueError: hidden is (200, 2.5); expected whole numbers ≥ 1.
    """
    try:
        if isinstance(value, str | bytes):
            raise TypeError
        sizes = [float(_number(name, x, "")) for x in value]
    except TypeError:
        raise TypeError(f"{name} is {value!r}; expected whole numbers ≥ 1.") from None
    if any(not math.isfinite(x) or x != int(x) or x < 1 for x in sizes):
        raise ValueError(f"{name} is {value}; expected whole numbers ≥ 1.")


def check_array(
    name: str, value: Any, ndim: int | None = None, *, least: int | None = None
) -> None:
    """An array of real numbers, of JAX or NumPy, also one that is traced.

    Args:
      name: of the argument.
      value: what was handed over.
      ndim: how many axes it must have.
      least: how many it must have at least.

    Raises:
      TypeError: for what is no array, or one of other things than real numbers.
      ValueError: for another number of axes.

    Example:
      >>> check_array("matrix", np.ones(3), 2)
      Traceback (most recent call last):
      ValueError: matrix has shape (3,); expected an array of 2 axes. For a batch use
      jax.vmap.
    """
    axes = "" if ndim is None else f" of {ndim} {'axis' if ndim == 1 else 'axes'}"
    if not (hasattr(value, "shape") and hasattr(value, "dtype")):
        raise TypeError(f"{name} is {_shown(value)}; expected an array{axes}.")
    if not _is_real(value.dtype):
        raise TypeError(f"{name} has dtype {value.dtype}; expected real numbers.")
    found = len(value.shape)
    if ndim is not None and found != ndim:
        raise ValueError(
            f"{name} has shape {value.shape}; expected an array{axes}. For a batch use "
            "jax.vmap."
        )
    if least is not None and found < least:
        raise ValueError(
            f"{name} has shape {value.shape}; expected at least {least} axes."
        )


def check_key(name: str, value: Any) -> None:
    """A random key, of `jax.random.key` or the older `jax.random.PRNGKey`.

    Example:
      >>> check_key("key", 2.5)
      Traceback (most recent call last):
      TypeError: key is 2.5; expected a random key, such as jax.random.key(0).
    """
    dtype = getattr(value, "dtype", None)
    if dtype is not None and jax.numpy.issubdtype(dtype, jax.dtypes.prng_key):
        return
    if dtype != np.uint32 or not value.shape:
        raise TypeError(
            f"{name} is {_shown(value)}; expected a random key, such as "
            "jax.random.key(0)."
        )


def check_path(name: str, value: Any) -> None:
    """The name of a file or directory, a text or a `pathlib.Path`.

    Example:
      >>> check_path("path", 3)
      Traceback (most recent call last):
      TypeError: path is 3; expected the name of a file.
    """
    if not isinstance(value, str | os.PathLike):
        raise TypeError(f"{name} is {_shown(value)}; expected the name of a file.")


def check_numbers(name: str, value: Any) -> None:
    """Real numbers: an array, a number, or lists of them.

    Example:
      >>> check_numbers("values", "x")
      Traceback (most recent call last):
      TypeError: values is 'x'; expected real numbers.
    """
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        check_array(name, value)
        return
    try:
        known = _is_real(np.asarray(value).dtype)
    except (TypeError, ValueError):
        known = False
    if not known:
        raise TypeError(f"{name} is {_shown(value)}; expected real numbers.")


def check_some_numbers(name: str, value: Any) -> None:
    """An array of real numbers with one axis or more, and one entry or more.

    Example:
      >>> check_some_numbers("values", np.zeros(0))
      Traceback (most recent call last):
      ValueError: values is empty; expected at least one number.
    """
    check_array(name, value, least=1)
    if not value.size:
        raise ValueError(f"{name} is empty; expected at least one number.")


def check_vector(name: str, value: Any) -> None:
    """A real array of one axis, as `check_array` takes one."""
    check_array(name, value, 1)


def check_matrix(name: str, value: Any) -> None:
    """A real array of two axes, as `check_array` takes one."""
    check_array(name, value, 2)


def has(what: str, *fields: str) -> Callable[[str, Any], None]:
    """A check that a value is a record with some fields, for `checked`.

    Example:
      >>> has("a System", "hamiltonian")("system", 3)
      Traceback (most recent call last):
      TypeError: system is 3; expected a System.
    """

    def check(name: str, value: Any) -> None:
        if isinstance(value, type) or not all(hasattr(value, x) for x in fields):
            raise TypeError(f"{name} is {_shown(value)}; expected {what}.")

    return check


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


def check_start(y0: Any, *, flagged: bool = False) -> None:
    """Raise an error unless y0 is a state of finite numbers.

    Args:
      y0: where a motion begins; what is traced is not looked at.
      flagged: whether a NaN is told in another way.
    """
    if type(y0) is list:
        raise TypeError(
            "y0 is a list; expected an array or a pytree of arrays, such as a "
            "PhaseState. Write jax.numpy.array(y0) for one vector."
        )
    leaves = jax.tree.leaves(y0)
    for leaf in leaves:
        is_number = isinstance(leaf, float | int | complex)
        if getattr(leaf, "dtype", None) == np.dtype(object):
            raise TypeError("y0 has dtype object; expected arrays of numbers.")
        if not (is_number or hasattr(leaf, "dtype")):
            raise TypeError(
                f"y0 has a {type(leaf).__name__}; expected arrays of numbers."
            )
    if not sum(jax.numpy.size(leaf) for leaf in leaves):
        raise ValueError("y0 is empty; expected a state of at least one number.")
    if not flagged and any(map(_is_broken, leaves)):
        raise ValueError(
            "y0 has a NaN or an infinity; expected finite numbers. With with_info=True "
            "a rollout goes on, and says where it failed."
        )


def check_times(ts: Any) -> None:
    """Raise an error unless ts are finite real numbers; traced ones are not looked at.

    Lists of numbers are taken as arrays of them.
    """
    leaves = jax.tree.leaves(ts)
    if any(map(_is_traced, leaves)):
        return
    try:
        times = np.asarray(ts)
        known = times.dtype.kind in "fiu" or jax.numpy.issubdtype(
            times.dtype, jax.numpy.floating
        )
    except (TypeError, ValueError):
        known = False
    if not known or ts is None:
        raise TypeError("ts has something else than real numbers; expected times.")
    if not np.all(np.isfinite(times)):
        raise ValueError("ts has a NaN or an infinity; expected finite times.")


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
        parameters = inspect.signature(function).parameters
        places = {name: i for i, name in enumerate(parameters)}
        # Binding the signature at each call would take longer than all checks.
        checks = [
            (name, check, places[name], parameters[name].default is None)
            for name, check in kinds.items()
        ]

        @functools.wraps(function)
        def wrapper(*args: _P.args, **options: _P.kwargs) -> _T:
            for name, check, place, optional in checks:
                if place < len(args):
                    value = args[place]
                elif name in options:
                    value = options[name]
                else:
                    continue
                if not (optional and value is None):
                    check(name, value)
            return function(*args, **options)

        return wrapper

    return decorate


def _check_single(name: str, value: Any, expected: str) -> None:
    if getattr(value, "shape", ()) != ():
        raise ValueError(
            f"{name} has shape {value.shape}; expected {expected}. For a batch use "
            "jax.vmap."
        )


def _check_range(
    name: str,
    value: Any,
    expected: str,
    allowed: Callable[[float], bool],
    *,
    finite: bool = True,
) -> None:
    """A number that is allowed; what is traced is not looked at."""
    _check_single(name, value, expected)
    if _is_traced(value):
        return
    number = _number(name, value, expected)
    if (finite and not math.isfinite(number)) or not allowed(number):
        raise ValueError(f"{name} is {value}; expected {expected}.")


def _is_real(dtype: Any) -> bool:
    """Whether a dtype is one of numbers without an imaginary part."""
    return jax.numpy.issubdtype(dtype, np.floating) or dtype.kind in "iu"


def _is_numeric(value: Any) -> bool:
    """Whether something is an array of one real number."""
    return hasattr(value, "dtype") and value.shape == () and _is_real(value.dtype)


def _shown(value: Any) -> str:
    """A value in an error: as it is where that is short, or else its type."""
    text = repr(value)
    return text if len(text) < 40 else f"a {type(value).__name__}"


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


def _is_broken(leaf: Any) -> bool:
    """Whether a leaf that is known is not finite."""
    if _is_traced(leaf):
        return False
    if not jax.numpy.issubdtype(jax.numpy.result_type(leaf), jax.numpy.inexact):
        return False
    return not np.all(np.isfinite(np.asarray(leaf)))
