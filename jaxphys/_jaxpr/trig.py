"""Sine and cosine in vector instructions on CPUs, for batches.

XLA's own call the C library once for each number on CPUs, which is nearly all of the
time of a pendulum's motion. Here x is reduced to r in [−π/4, π/4] by a multiple of π/2
in three parts (Cody & Waite), and sin r and cos r are polynomials: about twenty
multiplications, which the compiler vectorizes. On other devices these are `jnp.sin` and
`jnp.cos`.

The error is below one rounding unit of 1 for |x| up to 10⁴ in float32 and 10⁶ in
float64, and a few units of the result if that is near zero. For larger x it grows to
the spacing of x itself, as angles that large are not known more precisely.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from jaxphys.types import Array

__all__ = ["PRIMITIVES", "cos", "is_faster", "sin"]


class _Constants(NamedTuple):
    """Constants of the reduction and the polynomials in one precision.

    Attributes:
      parts: π/2 as a sum of numbers of few digits, whose whole multiples are exact.
      sine: of sin r = r + r³ (c₀ + c₁ r² + …), near-minimax on [0, π/4].
      cosine: of cos r = 1 − r²/2 + r⁴ (c₀ + c₁ r² + …), likewise.
    """

    parts: tuple[float, float, float]
    sine: tuple[float, ...]
    cosine: tuple[float, ...]


_SINGLE = _Constants(
    (1.5703125, 0.0004837512969970703125, 7.549789954891882e-08),
    (
        -0.16666666663844049464,
        0.0083333318703413485,
        -0.00019840084376422703475,
        2.7249620080075329496e-6,
    ),
    (
        0.041666664653488792922,
        -0.0013888301867562369149,
        0.000024547689772460029046,
    ),
)
_DOUBLE = _Constants(
    (
        1.57079632766544818878173828125,
        -8.705515692000731498012555675814e-10,
        -3.503434398089929903200224756626e-19,
    ),
    (
        -0.16666666666666664611,
        0.0083333333333309365537,
        -0.00019841269836740532103,
        2.7557316093198405192e-6,
        -2.5051129896450186307e-8,
        1.5917988979397433263e-10,
    ),
    (
        0.041666666666666665381,
        -0.0013888888888887389773,
        0.000024801587298754401173,
        -2.7557317265878080043e-7,
        2.0876145049413179088e-9,
        -1.1382544645349250436e-11,
    ),
)
_CONSTANTS = {np.dtype(np.float32): _SINGLE, np.dtype(np.float64): _DOUBLE}


def _polynomial(coefficients: tuple[float, ...], x: Array) -> Array:
    value = jnp.full_like(x, coefficients[-1])
    for c in coefficients[-2::-1]:
        value = value * x + c
    return value


def _sine(x: Array, quarters: int) -> Array:
    """sin(x + quarters π/2); sine and cosine of one x share all but the last lines."""
    parts, sine, cosine = _CONSTANTS[x.dtype]
    k = jnp.round(x * (2 / np.pi))
    r = x
    for part in parts:
        r = r - k * part
    # Rounding of x · 2/π takes r a little beyond π/4, and far beyond for huge x.
    r = jnp.clip(r, -1, 1)
    square = r * r
    as_sine = r + r * (square * _polynomial(sine, square))
    tail = square * square * _polynomial(cosine, square)
    as_cosine = 1 - (square / 2 - tail)
    half = jnp.floor((k + quarters) / 2)
    odd = (k + quarters) - 2 * half
    sign = 1 - 2 * (half - 2 * jnp.floor(half / 2))
    # A choice by products: a select would become a branch and prevent vectorization.
    return sign * (odd * as_cosine + (1 - odd) * as_sine)


def is_faster(x: Array) -> bool:
    """Whether `sin` and `cos` of a batch like x are faster on a CPU than JAX's own.

    Example:
      >>> is_faster(jnp.ones(3, jnp.complex64))
      False
    """
    return x.dtype in _CONSTANTS


def _on_cpu(quarters: int, plain: Callable) -> Callable:
    """`_sine` in programs for CPUs, JAX's own function in others."""

    def choose(x: Array) -> Array:
        if not is_faster(x):
            return plain(x)
        fast = functools.partial(_sine, quarters=quarters)
        return jax.lax.platform_dependent(x, cpu=fast, default=plain)

    return choose


def sin(x: Array) -> Array:
    """sin x, element by element, in the dtype of x.

    Example:
      >>> print(round(float(sin(jnp.array(0.5))), 4))
      0.4794
    """
    return _on_cpu(0, jnp.sin)(x)


def cos(x: Array) -> Array:
    """cos x, element by element, in the dtype of x.

    Example:
      >>> print(cos(jnp.array(0.0)))
      1.0
    """
    return _on_cpu(1, jnp.cos)(x)


def _primitive(name: str, plain: Callable, fast: Callable) -> Primitive:
    """One number's function is JAX's own, that of a batch is ours."""
    # `jax.custom_batching` would do, if it could be differentiated on the way back.
    primitive = Primitive(f"jaxphys_{name}")
    primitive.def_impl(plain)
    primitive.def_abstract_eval(lambda x: x)
    mlir.register_lowering(primitive, mlir.lower_fun(plain, multiple_results=False))
    batching.primitive_batchers[primitive] = lambda xs, axes: (fast(*xs), *axes)
    return primitive


#: By the names of the primitives of JAX that they stand for.
PRIMITIVES = {
    "cos": _primitive("cos", jnp.cos, cos),
    "sin": _primitive("sin", jnp.sin, sin),
}
ad.defjvp(PRIMITIVES["sin"], lambda rate, x: rate * PRIMITIVES["cos"].bind(x))
ad.defjvp(PRIMITIVES["cos"], lambda rate, x: -rate * PRIMITIVES["sin"].bind(x))
