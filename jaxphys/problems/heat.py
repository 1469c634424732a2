"""Find the initial heat x from the heat y* after a time.

∂T/∂t = D ∇²T on a periodic n × n grid of spacing 1: a wave of wave vector k shrinks by
exp(−D t |k|²), exactly. This is easily inverted for long waves, but the shortest are
lost in rounding. The inverse leaves out waves that have shrunk below a threshold, with
a smooth transition. Setting: Holl, Koltun & Thuerey, Scale-invariant Learning by
Physics Inversion, NeurIPS 2022, https://arxiv.org/abs/2109.15048, section 4.2: D t = 8,
boxes of heat.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from jaxphys import losses
from jaxphys.checks import check_count, check_positive, checked
from jaxphys.precision import exact
from jaxphys.trees import check_dtype
from jaxphys.types import Array, Problem

__all__ = ["boxes", "concentrate", "cooled", "decay", "diffuse", "heat"]

#: Least and largest number of boxes of heat in a field.
_BOXES = (4, 10)


def decay(size: int, amount: float) -> np.ndarray:
    """exp(−D t |k|²) of every wave of a real field, (n, n // 2 + 1)."""
    full, half = np.fft.fftfreq(size), np.fft.rfftfreq(size)
    squares = (2 * np.pi) ** 2 * (full[:, None] ** 2 + half[None, :] ** 2)
    return np.exp(-amount * squares)


def _filtered(field: Array, kernel: np.ndarray) -> Array:
    waves = jnp.fft.rfft2(field)
    waves = waves * jnp.asarray(kernel, waves.dtype)
    return jnp.fft.irfft2(waves, s=field.shape)


def diffuse(field: Array, amount: float = 8.0) -> Array:
    """The field (n, n) after D t = amount, exactly.

    Example:
      >>> hot = jnp.zeros((8, 8)).at[3, 3].set(64.0)
      >>> print(jnp.round(jnp.mean(diffuse(hot)), 4))
      1.0
    """
    return _filtered(field, decay(field.shape[0], amount))


def concentrate(field: Array, amount: float = 8.0, floor: float = 1e-4) -> Array:
    """The least-squares inverse of `diffuse`, d/(d² + floor²) of a wave's decay d.

    Waves that have shrunk to less than `floor` are left out, the others are restored.

    Example:
      >>> x = jnp.arange(8.0)
      >>> wave = jnp.cos(2 * jnp.pi * x / 8)[:, None] + jnp.zeros((8, 8))
      >>> print(jnp.round(jnp.abs(concentrate(diffuse(wave)) - wave).max(), 2))
      0.0
    """
    kept = decay(field.shape[0], amount)
    return _filtered(field, kept / (kept**2 + floor**2))


@exact
def boxes(key: Array, size: int, dtype: DTypeLike = jnp.float32) -> Array:
    """A field (n, n) of 4 to 10 boxes of heat, soft-edged, strengths U[0, 1)."""
    low, high = _BOXES
    for_count, for_place, for_size, for_heat = jax.random.split(key, 4)
    count = jax.random.randint(for_count, (), low, high + 1)
    half = 10 / 64 * size * jax.random.uniform(for_size, (high, 2))
    middle = size * (0.1 + 0.8 * jax.random.uniform(for_place, (high, 2)))
    middle = jnp.clip(middle, half, size - half)
    heat = jax.random.uniform(for_heat, (high,)) * (jnp.arange(high) < count)
    nodes = jnp.arange(size) + 0.5
    away = jnp.abs(nodes[:, None, None] - middle) - half
    cover = jnp.clip(0.5 - away, 0, 1)
    return jnp.einsum("ib,jb,b->ij", cover[..., 0], cover[..., 1], heat).astype(dtype)


@exact
def cooled(
    key: Array,
    num_samples: int,
    size: int = 64,
    *,
    amount: float = 8.0,
    dtype: DTypeLike = jnp.float32,
) -> tuple[Array, Array]:
    """Random fields of boxes and the same after D t = amount, each (num_samples, n²).

    Example:
      >>> first, last = cooled(jax.random.key(0), 5, 16)
      >>> bool(jnp.allclose(first.mean(axis=1), last.mean(axis=1), atol=1e-5))
      True
    """
    keys = jax.random.split(key, num_samples)
    first = jax.vmap(lambda key: boxes(key, size, dtype))(keys)
    last = jax.vmap(lambda x: diffuse(x, amount))(first)
    return first.reshape(num_samples, -1), last.reshape(num_samples, -1)


@checked(
    size=check_count, amount=check_positive, floor=check_positive, dtype=check_dtype
)
def heat(
    size: int = 64,
    *,
    amount: float = 8.0,
    floor: float = 1e-4,
    dtype: DTypeLike = jnp.float32,
) -> Problem:
    """The problem of finding the initial heat from the final one.

    Args:
      size: n ≥ 4, nodes per side.
      amount: D t > 0.
      floor: of `concentrate`, by which `invert` corrects a control.
      dtype: of the sampled fields.

    Returns:
      A `Problem`; inputs and targets are both the final field, all are flat, (n²,). The
      objective is half the sum of squares.

    Raises:
      ValueError: for a size below 4, or amounts that are not positive.

    Example:
      >>> problem = heat(16)
      >>> inputs, targets = problem.sample(jax.random.key(0), 3)
      >>> found = problem.invert(jnp.zeros(256), inputs[0], targets[0])
      >>> bool(problem.objective(problem.simulate(found, inputs[0]), targets[0]) < 1e-3)
      True
    """
    if size < 4:
        raise ValueError(f"size is {size}; expected 4 or more nodes per side.")
    shape = (size, size)

    def sample(key: Array, num_samples: int) -> tuple[Array, Array]:
        _, last = cooled(key, num_samples, size, amount=amount, dtype=dtype)
        return last, last

    @exact
    def simulate(control: Array, inputs: Array) -> Array:
        del inputs
        return diffuse(control.reshape(shape), amount).reshape(-1)

    @exact
    def invert(control: Array, inputs: Array, targets: Array) -> Array:
        missing = targets - simulate(control, inputs)
        back = concentrate(missing.reshape(shape), amount, floor)
        return control + back.reshape(-1)

    return Problem(
        name=f"heat, {size} × {size}",
        num_inputs=size**2,
        num_controls=size**2,
        num_outputs=size**2,
        sample=sample,
        simulate=simulate,
        objective=losses.half_squared_error,
        invert=invert,
    )
