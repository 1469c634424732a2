"""Small maps to train through, whose difficulty is known exactly.

| map | y | difficulty |
|---|---|---|
| `scaled_waves` | (u1, λ u2), to be (sin 6x, λ cos 9x) | λ ≪ 1: u2 hardly counts |
| `rotated_sine` | (sin(s û1/ξ), s ξ û2), û = R_φ u | outputs differ by ξ² in scale |
| `exponential` | exp u | gradients vanish where y is small |

The first is the toy of Schnell, Holl & Thuerey, ICLR 2022,
https://arxiv.org/abs/2203.10131, section 2; the others are of Holl, Koltun & Thuerey,
NeurIPS 2022, https://arxiv.org/abs/2109.15048, section 4.1.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from jaxphys import losses
from jaxphys.checks import check_number, check_positive, checked
from jaxphys.precision import exact
from jaxphys.trees import check_dtype
from jaxphys.types import Array, Problem

__all__ = ["exponential", "rotated_sine", "scaled_waves"]


def _uniform(key: Array, shape: tuple[int, ...], low, high, dtype) -> Array:
    # Drawn in float32 for every dtype, so that a key gives the same data set.
    drawn = jax.random.uniform(key, shape, jnp.float32, low, high)
    return drawn.astype(dtype)


@checked(scale=check_positive, dtype=check_dtype)
def scaled_waves(scale: float = 0.01, *, dtype: DTypeLike = jnp.float32) -> Problem:
    """The toy of half-inverse gradients: learn (sin 6x, cos 9x), x ~ U[−1, 1).

    The loss is ½ r1² + ½ (λ r2)². The network's outputs are the controls, and the
    physics scales the second by λ.

    Args:
      scale: λ > 0; published are 1 and 0.01.
      dtype: of the samples.

    Raises:
      ValueError: for λ ≤ 0.

    Example:
      >>> problem = scaled_waves(0.1)
      >>> print(problem.simulate(jnp.array([1.0, 1.0]), jnp.zeros(1)))
      [1.  0.1]
    """

    @exact
    def simulate(control: Array, inputs: Array) -> Array:
        del inputs
        return control * jnp.asarray([1.0, scale], control.dtype)

    def sample(key: Array, num_samples: int) -> tuple[Array, Array]:
        x = _uniform(key, (num_samples, 1), -1.0, 1.0, dtype)
        waves = jnp.concatenate([jnp.sin(6 * x), jnp.cos(9 * x)], axis=1)
        return x, jax.vmap(simulate)(waves, x)

    @exact
    def invert(control: Array, inputs: Array, targets: Array) -> Array:
        del control, inputs
        return targets / jnp.asarray([1.0, scale], targets.dtype)

    return Problem(
        name=f"two waves, one times {scale:g}",
        num_inputs=1,
        num_controls=2,
        num_outputs=2,
        sample=sample,
        simulate=simulate,
        objective=losses.half_squared_error,
        invert=invert,
    )


@checked(
    conditioning=check_positive,
    angle=check_number,
    scale=check_positive,
    dtype=check_dtype,
)
def rotated_sine(
    conditioning: float = 32.0,
    angle: float = 45.0,
    *,
    scale: float = 10.0,
    dtype: DTypeLike = jnp.float32,
) -> Problem:
    """y = (sin(s û1/ξ), s ξ û2) with û = R_φ u: periodic, and badly scaled.

    Args:
      conditioning: ξ > 0; the outputs' derivatives differ by ξ².
      angle: φ, in degrees; û is u rotated by it.
      scale: s > 0.
      dtype: of the samples.

    Returns:
      A `Problem`; inputs and targets are both y* ~ U[−1, 1)². `invert` gives the
      solution nearest to a control.

    Raises:
      ValueError: for ξ or s ≤ 0, and for numbers that are not finite.

    Example:
      >>> problem = rotated_sine()
      >>> target = jnp.array([0.5, -0.5])
      >>> u = problem.invert(jnp.array([2.0, 1.0]), target, target)
      >>> print(jnp.abs(jnp.round(problem.simulate(u, target) - target, 4)))
      [0. 0.]
    """
    turn = np.deg2rad(angle)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    stretch = np.array([scale / conditioning, scale * conditioning])

    def inner(control: Array) -> Array:
        turned = jnp.asarray(rotation, control.dtype) @ control
        return jnp.asarray(stretch, control.dtype) * turned

    @exact
    def simulate(control: Array, inputs: Array) -> Array:
        del inputs
        first, second = inner(control)
        return jnp.stack([jnp.sin(first), second])

    @exact
    def invert(control: Array, inputs: Array, targets: Array) -> Array:
        del inputs
        first = inner(control)[0]
        rising = jnp.arcsin(jnp.clip(targets[0], -1, 1))
        branches = jnp.stack([rising, jnp.pi - rising])
        near = branches + 2 * jnp.pi * jnp.round((first - branches) / (2 * jnp.pi))
        nearest = near[jnp.argmin(jnp.abs(near - first))]
        back = jnp.stack([nearest, targets[1]]) / jnp.asarray(stretch, control.dtype)
        return jnp.asarray(rotation.T, control.dtype) @ back

    def sample(key: Array, num_samples: int) -> tuple[Array, Array]:
        targets = _uniform(key, (num_samples, 2), -1.0, 1.0, dtype)
        return targets, targets

    return Problem(
        name=f"sine, ξ = {conditioning:g}, φ = {angle:g}°",
        num_inputs=2,
        num_controls=2,
        num_outputs=2,
        sample=sample,
        simulate=simulate,
        objective=losses.half_squared_error,
        invert=invert,
    )


@checked(low=check_number, dtype=check_dtype)
def exponential(low: float = -12.0, *, dtype: DTypeLike = jnp.float32) -> Problem:
    """y = exp u, for u between `low` and 0: gradients vanish where u is low.

    Args:
      low: the least solution, below zero.
      dtype: of the samples.

    Returns:
      A `Problem`; inputs and targets are both y* = exp x, x ~ U[low, 0).

    Raises:
      ValueError: for low ≥ 0.

    Example:
      >>> problem = exponential()
      >>> print(problem.invert(jnp.zeros(1), jnp.ones(1), jnp.ones(1)))
      [0.]
    """
    if not low < 0:
        raise ValueError(f"low is {low}; expected a number below zero.")

    @exact
    def simulate(control: Array, inputs: Array) -> Array:
        del inputs
        return jnp.exp(control)

    @exact
    def invert(control: Array, inputs: Array, targets: Array) -> Array:
        del control, inputs
        return jnp.log(targets)

    def sample(key: Array, num_samples: int) -> tuple[Array, Array]:
        targets = jnp.exp(_uniform(key, (num_samples, 1), low, 0.0, dtype))
        return targets, targets

    return Problem(
        name="exponential",
        num_inputs=1,
        num_controls=1,
        num_outputs=1,
        sample=sample,
        simulate=simulate,
        objective=losses.half_squared_error,
        invert=invert,
    )
