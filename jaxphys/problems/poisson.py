"""Find the potential x of a source y*, ∇²x = y*, on a grid with x = 0 around it.

∇² is the five-point Laplacian of spacing 1; a network reads the source and returns the
potential; the physics is the Laplacian itself. Its inverse is exact: the eigenvectors
are sines. Setting: Schnell, Holl & Thuerey, Half-Inverse Gradients for Physical Deep
Learning, ICLR 2022, https://arxiv.org/abs/2203.10131, section 3.4; the 64 × 64 grid
is that of Holl, Koltun & Thuerey, https://arxiv.org/abs/2109.15048.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from jaxphys import losses
from jaxphys.checks import check_count, checked
from jaxphys.precision import exact
from jaxphys.trees import check_dtype
from jaxphys.types import Array, Problem

__all__ = ["eigenvalues", "laplacian", "poisson", "sines", "smooth_fields", "solve"]


def laplacian(x: Array) -> Array:
    """The five-point Laplacian of a field (n, n) with zeros around it.

    Example:
      >>> print(laplacian(jnp.ones((3, 3))))
      [[-2. -1. -2.]
       [-1.  0. -1.]
       [-2. -1. -2.]]
    """
    padded = jnp.pad(x, 1)
    vertical = padded[:-2, 1:-1] + padded[2:, 1:-1]
    horizontal = padded[1:-1, :-2] + padded[1:-1, 2:]
    return vertical + horizontal - 4 * x


def sines(size: int) -> np.ndarray:
    """√(2/(n+1)) sin(πkj/(n+1)), (n, n): symmetric, orthogonal, eigenvectors of ∂²."""
    k = np.arange(1, size + 1)
    return np.sqrt(2 / (size + 1)) * np.sin(np.pi * np.outer(k, k) / (size + 1))


def eigenvalues(size: int) -> np.ndarray:
    """Eigenvalues of the Laplacian, (n, n): sums of two in one dimension, negative."""
    line = 2 * np.cos(np.pi * np.arange(1, size + 1) / (size + 1)) - 2
    return line[:, None] + line[None, :]


@exact
def solve(y: Array) -> Array:
    """The field x, (n, n), whose Laplacian is y, exactly, by four matrix products.

    Example:
      >>> x = jnp.arange(9.0).reshape(3, 3)
      >>> print(jnp.round(jnp.abs(solve(laplacian(x)) - x).max(), 4))
      0.0
    """
    size = y.shape[0]
    basis = jnp.asarray(sines(size), y.dtype)
    scale = jnp.asarray(1 / eigenvalues(size), y.dtype)
    return basis @ (scale * (basis @ y @ basis)) @ basis


@exact
def smooth_fields(key: Array, num_samples: int, size: int, dtype: DTypeLike) -> Array:
    """Random smooth fields, (num_samples, n, n): sines whose amplitudes fall as 1/k².

    They have a mean square of 1 on average.
    """
    k = np.arange(1, size + 1)
    amplitudes = 1 / (k[:, None] ** 2 + k[None, :] ** 2)
    amplitudes *= size / np.linalg.norm(amplitudes)
    # Drawn in float32 for every dtype, so that a key gives the same data set.
    drawn = jax.random.normal(key, (num_samples, size, size), jnp.float32)
    basis = jnp.asarray(sines(size), dtype)
    return basis @ (jnp.asarray(amplitudes, dtype) * drawn.astype(dtype)) @ basis


@checked(size=check_count, dtype=check_dtype)
def poisson(size: int = 8, *, dtype: DTypeLike = jnp.float32) -> Problem:
    """The problem of inverting the Laplacian on a size × size grid.

    Args:
      size: n ≥ 2.
      dtype: of the sampled fields.

    Returns:
      A `Problem`; inputs and targets are both the Laplacian of a smooth random field,
      all fields are flat, (n²,). The objective is half the sum of squares, as
      published. `invert` is exact.

    Raises:
      ValueError: for size < 2.

    Example:
      >>> problem = poisson()
      >>> inputs, targets = problem.sample(jax.random.key(0), 5)
      >>> solution = problem.invert(jnp.zeros(64), inputs[0], targets[0])
      >>> outputs = problem.simulate(solution, inputs[0])
      >>> bool(problem.objective(outputs, targets[0]) < 1e-9)
      True
    """
    if size < 2:
        raise ValueError(f"size is {size}; expected 2 or more nodes per side.")
    shape = (size, size)

    def sample(key: Array, num_samples: int) -> tuple[Array, Array]:
        fields = smooth_fields(key, num_samples, size, dtype)
        sources = jax.vmap(laplacian)(fields).reshape(num_samples, -1)
        return sources, sources

    @exact
    def simulate(control: Array, inputs: Array) -> Array:
        del inputs
        return laplacian(control.reshape(shape)).reshape(-1)

    def invert(control: Array, inputs: Array, targets: Array) -> Array:
        del control, inputs
        return solve(targets.reshape(shape)).reshape(-1)

    return Problem(
        name=f"Poisson's equation, {size} × {size}",
        num_inputs=size**2,
        num_controls=size**2,
        num_outputs=size**2,
        sample=sample,
        simulate=simulate,
        objective=losses.half_squared_error,
        invert=invert,
    )
