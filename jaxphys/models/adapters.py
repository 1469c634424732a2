"""A user's own network as a `Model`: modules of flax linen, flax nnx and equinox.

A `Model` is two functions of parameters, which are a pytree of arrays. A module is
taken apart into such parameters and all that stays as it is: shapes, activations, whole
numbers. `as_model` does so with a module that is handed over as it is.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen, nnx
from jax.typing import DTypeLike

from jaxphys import trees
from jaxphys.checks import check_function, checked, has
from jaxphys.trees import check_dtype
from jaxphys.types import Array, Model, PyTree

__all__ = ["as_model", "from_equinox", "from_linen", "from_nnx"]


@checked(module=has("a module of linen", "init", "apply"), dtype=check_dtype)
def from_linen(
    module: linen.Module, *example: Array, dtype: DTypeLike | None = None
) -> Model:
    """A linen module as a `Model`; its params collection are the parameters.

    Args:
      module: a module without state beyond its parameters.
      example: inputs of one sample, for shapes.
      dtype: cast the parameters to this dtype.

    Raises:
      ValueError: for a module with other collections (batch statistics, say).

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from flax import linen
      >>> model = from_linen(linen.Dense(3), jnp.zeros(2))
      >>> model.apply(model.init(jax.random.key(0)), jnp.zeros(2)).shape
      (3,)
    """

    def init(key: Array) -> PyTree:
        variables = module.init(key, *example)
        others = sorted(set(variables) - {"params"})
        if others:
            raise ValueError(
                f"{type(module).__name__} has the collections {others} beside params; "
                "expected parameters only. Freeze them into the module first."
            )
        return trees.cast(variables["params"], dtype)

    def apply(params: PyTree, *inputs: Array) -> Array:
        return module.apply({"params": params}, *inputs)

    return Model(init, apply)


@checked(module=check_function, dtype=check_dtype)
def from_nnx(
    module: Callable[[nnx.Rngs], nnx.Module] | nnx.Module,
    *,
    dtype: DTypeLike | None = None,
) -> Model:
    """An nnx module as a `Model`, with the part module(params), a module again.

    Args:
      module: `make(rngs) -> module`; or a module, whose own weights are then those that
        every key begins with.
      dtype: cast the parameters to this dtype.

    Raises:
      ValueError: for a module that has state beside its Params.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from flax import nnx
      >>> model = from_nnx(lambda rngs: nnx.Linear(2, 3, rngs=rngs))
      >>> model.apply(model.init(jax.random.key(0)), jnp.zeros(2)).shape
      (3,)
    """
    given = isinstance(module, nnx.Module)
    shape = module if given else nnx.eval_shape(lambda: module(nnx.Rngs(0)))
    definition, _, others = nnx.split(shape, nnx.Param, ...)
    if [x for x in jax.tree.leaves(others) if jnp.issubdtype(x.dtype, jnp.floating)]:
        raise ValueError(
            "the nnx module has state beside its Params; expected parameters only."
        )

    def init(key: Array) -> PyTree:
        made = module if given else module(nnx.Rngs(key))
        _, params, _ = nnx.split(made, nnx.Param, ...)
        return trees.cast(nnx.to_pure_dict(params), dtype)

    def whole(params: PyTree) -> nnx.Module:
        return nnx.merge(definition, nnx.State(params), others)

    def apply(params: PyTree, *inputs: Array) -> Array:
        return whole(params)(*inputs)

    return Model(init, apply, {"module": whole})


@checked(module=check_function, dtype=check_dtype)
def from_equinox(
    module: Callable[..., Any], *, dtype: DTypeLike | None = None
) -> Model:
    """An equinox module as a `Model`, with the part module(params), a module again.

    Its parameters are its arrays of real numbers, by their places in it, such as
    ".layers[0].weight". All else stays as it is: static fields, functions, numbers,
    arrays of whole numbers. An array that stands in several places is one parameter.

    Args:
      module: a module, whose own weights are then those that every key begins with; or
        `make(key) -> module`, for fresh ones of each key.
      dtype: cast the parameters to this dtype.

    Raises:
      ImportError: where equinox is not installed.
      TypeError: for what is neither a module nor makes one.
      ValueError: for a module with state (batch statistics, say), or without any real
        array.

    Example:
      >>> import equinox as eqx, jax
      >>> model = from_equinox(lambda key: eqx.nn.MLP(2, 3, 8, 1, key=key))
      >>> params = model.init(jax.random.key(0))
      >>> sorted(params)[:2]
      ['.layers[0].bias', '.layers[0].weight']
      >>> model.parts["module"](params)(jax.numpy.zeros(2)).shape
      (3,)

    Reference: Kidger & Garcia, Equinox: neural networks in JAX via callable PyTrees and
    filtered transformations, 2021, https://arxiv.org/abs/2111.00254.
    """
    import equinox as eqx

    given = isinstance(module, eqx.Module)
    example = module if given else module(jax.random.key(0))
    parts = _take_apart(example, eqx)
    if not parts.params:
        raise ValueError(
            f"{type(example).__name__} has no array of real numbers; expected a module "
            "with parameters."
        )

    def init(key: Array) -> PyTree:
        params = parts.params if given else _take_apart(module(key), eqx).params
        return trees.cast(params, dtype)

    def whole(params: PyTree) -> Any:
        leaves = [params[place] for place in parts.places]
        return eqx.combine(jax.tree.unflatten(parts.treedef, leaves), parts.rest)

    def apply(params: PyTree, *inputs: Array) -> Array:
        return whole(params)(*inputs)

    return Model(init, apply, {"module": whole})


class _Parts(NamedTuple):
    """An equinox module taken apart.

    Attributes:
      params: place → array; an array in several places has the first one's name.
      places: the name of each array, in the order of the module's leaves.
      treedef: of the module with these arrays alone.
      rest: the module without them.
    """

    params: dict[str, Array]
    places: list[str]
    treedef: Any
    rest: Any


def _take_apart(module: Any, eqx: Any) -> _Parts:
    if not isinstance(module, eqx.Module):
        raise TypeError(
            f"from_equinox got a {type(module).__name__}; expected an equinox module, "
            "or a function of a key that makes one."
        )
    _check_stateless(module, eqx)
    arrays, rest = eqx.partition(module, eqx.is_inexact_array)
    leaves, treedef = jax.tree_util.tree_flatten_with_path(arrays)
    # An array that is shared is one object among the leaves. Backwards, so that the
    # first place is the one that stays.
    names = {id(leaf): jax.tree_util.keystr(path) for path, leaf in leaves[::-1]}
    places = [names[id(leaf)] for _, leaf in leaves]
    return _Parts({names[id(x)]: x for _, x in leaves}, places, treedef, rest)


def _check_stateless(module: Any, eqx: Any) -> None:
    def is_state(node: Any) -> bool:
        return isinstance(node, eqx.nn.StateIndex)

    leaves = jax.tree.leaves(module, is_leaf=is_state)
    if any(is_state(leaf) for leaf in leaves):
        raise ValueError(
            f"{type(module).__name__} has state beside its parameters, as batch "
            "statistics are; expected parameters only. Leave such layers out, or put "
            "equinox.nn.inference_mode's module into a function of your own."
        )


def _is_equinox(thing: Any) -> bool:
    # By name, so that equinox is imported only where somebody has a module of it.
    return any(
        kind.__name__ == "Module" and kind.__module__.split(".")[0] == "equinox"
        for kind in type(thing).__mro__
    )


def as_model(network: Any, *example: Any, what: str = "the network") -> Model:
    """A network in whatever form it is handed over, as a `Model`.

    Args:
      network: a `Model`; a module of equinox, nnx or linen; or `(params, apply)`, the
        first weights and `apply(params, x)`.
      example: inputs of one sample, or their shapes, which a linen module needs.
      what: its name in the error.

    Raises:
      TypeError: for anything else, with what to make a `Model` by.

    Example:
      >>> model = as_model((jnp.ones(2), lambda w, x: w * x))
      >>> model.apply(model.init(None), 3.0).shape
      (2,)
      >>> as_model(abs)
      Traceback (most recent call last):
      ...
      TypeError: the network is a builtin_function_or_method; expected a Model, a \
module of equinox, flax nnx or flax linen, or (params, apply). models.from_equinox, \
models.from_nnx and models.from_linen make a Model of a module, or of what makes one.
    """
    if isinstance(network, Model):
        return network
    if isinstance(network, linen.Module):
        if not example:
            raise TypeError(
                f"{what} is a linen module, {type(network).__name__}, whose shapes "
                "depend on its input; make it a Model by models.from_linen(module, "
                "example), with one sample's input."
            )
        zeros = [jnp.zeros(x.shape, x.dtype) for x in example]
        return from_linen(network, *zeros)
    if isinstance(network, nnx.Module):
        return from_nnx(network)
    if _is_equinox(network):
        return from_equinox(network)
    if isinstance(network, tuple) and len(network) == 2 and callable(network[1]):
        params, apply = network
        return Model(functools.partial(_same, params), apply)
    raise TypeError(
        f"{what} is a {type(network).__name__}; expected a Model, a module of equinox, "
        "flax nnx or flax linen, or (params, apply). models.from_equinox, "
        "models.from_nnx and models.from_linen make a Model of a module, or of what "
        "makes one."
    )


def _same(params: PyTree, key: Array) -> PyTree:
    """First weights that no key draws."""
    del key
    return jax.tree.map(jnp.asarray, params)
