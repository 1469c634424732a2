"""Networks as pairs of pure functions, `Model(init, apply)`, built with flax."""

import itertools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from flax import linen
from jax.typing import DTypeLike

from jaxphys.checks import check_count, check_sizes, checked
from jaxphys.models.adapters import from_linen
from jaxphys.names import check_known
from jaxphys.precision import exact
from jaxphys.trees import check_dtype
from jaxphys.types import Array, Model, PyTree

__all__ = [
    "ACTIVATIONS",
    "KERNEL_INITS",
    "LAGRANGIAN",
    "convolution",
    "mlp",
    "softplus",
]


@jax.custom_jvp
def softplus(x: Array) -> Array:
    """log(1 + eˣ), whose derivative is 1/(1 + e⁻ˣ).

    JAX computes the derivative of `jax.nn.softplus` from its value. This one needs no
    logarithm where only derivatives are used, as of a Lagrangian.

    Example:
      >>> print(jax.grad(softplus)(0.0))
      0.5
    """
    return jnp.maximum(x, 0) + jnp.log1p(jnp.exp(-jnp.abs(x)))


@softplus.defjvp
def _sigmoid(values: tuple[Array], rates: tuple[Array]) -> tuple[Array, Array]:
    (x,), (rate,) = values, rates
    return softplus(x), rate * jax.nn.sigmoid(x)


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "tanh": jnp.tanh,
    "softplus": softplus,
    "relu": jax.nn.relu,
    "gelu": jax.nn.gelu,
    "silu": jax.nn.silu,
    "sigmoid": jax.nn.sigmoid,
    "sin": jnp.sin,
}

KERNEL_INITS = {
    "glorot_uniform": linen.initializers.glorot_uniform(),
    "glorot_normal": linen.initializers.glorot_normal(),
    "lecun_normal": linen.initializers.lecun_normal(),
    "he_normal": linen.initializers.he_normal(),
    "orthogonal": linen.initializers.orthogonal(),
}


def _activation(chosen: str | Callable[[Array], Array]) -> Callable[[Array], Array]:
    """An activation by its name, or a function, as it is."""
    if callable(chosen):
        return chosen
    return ACTIVATIONS[check_known("activation", chosen, ACTIVATIONS)]


#: The kernel_init for Lagrangians, whose spread differs from layer to layer.
LAGRANGIAN = "lagrangian"


def _initializers(name: str, sizes: Sequence[int]) -> tuple[Callable, ...]:
    """One initializer per layer, for a perceptron of these sizes.

    `lagrangian` draws from N(0, σ²) with σ √n = 2.2 in the first layer, 0.58 i in the
    hidden layer i, n in the last, where n is the larger side of the kernel: so Cranmer
    et al., Lagrangian Neural Networks, 2020, appendix.
    """
    count = len(sizes) - 1
    if name != LAGRANGIAN:
        return (KERNEL_INITS[name],) * count
    widths = [max(pair) for pair in itertools.pairwise(sizes)]
    factors = [2.2, *(0.58 * i for i in range(1, count - 1)), float(widths[-1])]
    pairs = zip(factors[-count:], widths, strict=True)
    return tuple(linen.initializers.normal(f / n**0.5) for f, n in pairs)


class _MLP(linen.Module):
    widths: Sequence[int]
    activation: Callable[[Array], Array]
    kernel_inits: Sequence[Callable]

    @linen.compact
    def __call__(self, x: Array) -> Array:
        layers = [
            linen.Dense(width, kernel_init=init)
            for width, init in zip(self.widths, self.kernel_inits, strict=True)
        ]
        for layer in layers[:-1]:
            x = self.activation(layer(x))
        return layers[-1](x)


@checked(sizes=check_sizes, dtype=check_dtype)
def mlp(
    sizes: Sequence[int],
    *,
    activation: str | Callable[[Array], Array] = "tanh",
    kernel_init: str = "glorot_uniform",
    dtype: DTypeLike = jnp.float32,
) -> Model:
    """A perceptron x ↦ W_L σ(… σ(W_1 x + c_1) …) + c_L; its biases start at zero.

    Args:
      sizes: numbers of inputs, of units in each hidden layer, and of outputs.
      activation: one of `ACTIVATIONS`, or a function such as `jnp.tanh`.
      kernel_init: one of `KERNEL_INITS`, or "lagrangian", made for Lagrangians.
      dtype: of the parameters. They are drawn in float32 and cast, so that a key gives
        the same network in every precision.

    Returns:
      A `Model` whose `apply(params, x)` takes one x of shape (sizes[0],).

    Raises:
      ValueError: for unknown names, fewer than two sizes, or an x of another shape.

    Example:
      >>> import jax
      >>> model = mlp((4, 20, 20, 24))
      >>> model.apply(model.init(jax.random.key(0)), jax.numpy.zeros(4)).shape
      (24,)
    """
    sizes = tuple(sizes)
    if len(sizes) < 2 or any(int(n) != n or n < 1 for n in sizes):
        raise ValueError(
            f"sizes are {sizes}; expected at least inputs and outputs, each ≥ 1."
        )
    module = _MLP(
        sizes[1:],
        _activation(activation),
        _initializers(
            check_known("kernel_init", kernel_init, (*KERNEL_INITS, LAGRANGIAN)), sizes
        ),
    )
    model = from_linen(module, jnp.zeros(sizes[0], jnp.float32), dtype=dtype)

    def apply(params: PyTree, x: Array) -> Array:
        if jnp.shape(x) != sizes[:1]:
            raise ValueError(
                f"mlp got x of shape {jnp.shape(x)}; expected ({sizes[0]},). For a "
                "batch use jax.vmap(model.apply, in_axes=(None, 0))."
            )
        return model.apply(params, x)

    return Model(model.init, exact(apply))


def _neighbors(field: Array, reach: int, stride: int) -> Array:
    """Every node's channels beside those of its periodic neighbors, (n, n, k c)."""
    # A product by one matrix is then a convolution. XLA's own convolution takes a slow
    # path on CPUs inside a compiled loop, and training is such a loop.
    shifts = [stride * i for i in range(-reach, reach + 1)]
    return jnp.concatenate(
        [jnp.roll(field, (i, j), (0, 1)) for i in shifts for j in shifts], axis=-1
    )


class _Convolution(linen.Module):
    size: int
    channels: Sequence[int]
    reach: int
    activation: Callable[[Array], Array]

    @linen.compact
    def __call__(self, x: Array) -> Array:
        field = x.reshape(self.size, self.size, 1)
        for number, count in enumerate((*self.channels, 1)):
            inner = 0 < number < len(self.channels)
            init = linen.initializers.glorot_uniform()
            near = _neighbors(field, self.reach, 2 if inner else 1)
            field = linen.Dense(count, kernel_init=init)(near)
            if number < len(self.channels):
                field = self.activation(field)
        return field.reshape(-1)


@checked(size=check_count, reach=check_count, channels=check_sizes, dtype=check_dtype)
def convolution(
    size: int,
    channels: Sequence[int],
    *,
    reach: int = 2,
    activation: str | Callable[[Array], Array] = "relu",
    dtype: DTypeLike = jnp.float32,
) -> Model:
    """A convolutional network from a periodic field (n, n) to another, both flat.

    Every layer sees `reach` nodes to each side; the layers between the first and the
    last see every second node, and so twice as far.

    Args:
      size: n, nodes per side.
      channels: of each hidden layer.
      reach: of a kernel of 2 reach + 1 nodes per side.
      activation: one of `ACTIVATIONS`, or a function such as `jnp.tanh`.
      dtype: of the parameters, drawn in float32 and cast.

    Raises:
      ValueError: for unknown names, sizes below 1, or an x of another shape.

    Example:
      >>> import jax
      >>> model = convolution(8, (2,))
      >>> model.apply(model.init(jax.random.key(0)), jax.numpy.zeros(64)).shape
      (64,)
    """
    channels = tuple(channels)
    if size < 1 or reach < 1 or any(n < 1 for n in channels):
        raise ValueError(
            f"got size {size}, channels {channels}, reach {reach}; expected all ≥ 1."
        )
    chosen = _activation(activation)
    module = _Convolution(size, channels, reach, chosen)
    model = from_linen(module, jnp.zeros(size**2, jnp.float32), dtype=dtype)

    def apply(params: PyTree, x: Array) -> Array:
        if jnp.shape(x) != (size**2,):
            raise ValueError(
                f"convolution got x of shape {jnp.shape(x)}; expected ({size**2},). "
                "For a batch use jax.vmap(model.apply, in_axes=(None, 0))."
            )
        return model.apply(params, x)

    return Model(model.init, exact(apply))
