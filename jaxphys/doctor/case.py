"""The function that is examined, as one of a vector, with its derivatives.

The real leaves of the example are the vector x; all else of it stays as it is. The
function is traced once. Everything that is computed of it is counted, in gradients.
"""

import functools
import inspect
import numbers
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core

from jaxphys._jaxpr.places import place_of
from jaxphys.types import Array, PyTree

__all__ = ["NOT_TRACEABLE", "Case", "Leaf", "make_case"]

#: What JAX raises where a function needs numbers that it has symbols for.
NOT_TRACEABLE = (
    jax.errors.ConcretizationTypeError,
    jax.errors.TracerArrayConversionError,
    jax.errors.TracerIntegerConversionError,
    jax.errors.NonConcreteBooleanIndexError,
)


class Leaf(NamedTuple):
    """A real or complex leaf of the example.

    Attributes:
      name: such as params.mass.
      place: its number among all leaves.
      argument: the number of the argument that it is of.
      value: the array.
      first: where its entries begin in x; a complex one has its real parts first.
    """

    name: str
    place: int
    argument: int
    value: np.ndarray
    first: int

    @property
    def size(self) -> int:
        """How many entries of x it has."""
        return self.value.size * (2 if np.iscomplexobj(self.value) else 1)

    @property
    def span(self) -> slice:
        """Its entries of x."""
        return slice(self.first, self.first + self.size)


class Case:
    """A function at an example, in double precision.

    Attributes:
      name: that of the function.
      function: as it was handed over.
      leaves: what it is differentiated by.
      closed: its jaxpr, an input for each of the leaves.
      x: the example, (P,), float64.
      scale: a typical size of each entry: that of its leaf, or one.
      direction: a random direction in x, in units of `scale`, (P,).
      weights: of the outputs, random, for one number of all of them, (m,).
      cost: what was computed until now, in gradients.
      state_like: the leaves of arguments that are as the result is: of a state, whose
        rate or whose next is the result.
    """

    def __init__(
        self,
        function: Callable,
        arguments: tuple,
        names: tuple[str, ...],
        seed: int,
    ):
        self.function = function
        self.name = _name(function)
        paths, self._tree = jax.tree_util.tree_flatten_with_path(arguments)
        self._all = [leaf for _, leaf in paths]
        self.leaves = _real_leaves(paths, names)
        self.x = np.concatenate([_as_real(leaf.value) for leaf in self.leaves])
        self.scale = np.concatenate([_scale(leaf) for leaf in self.leaves])
        self._rng = np.random.default_rng(seed)
        self.direction = self.scale * self.draw()
        self.cost = 0.0
        self.state_like: list[Leaf] = []
        self.closed = self._first_trace()
        count = sum(aval.size for aval in self.closed.out_avals)
        self.weights = self._rng.standard_normal(count) / max(count, 1) ** 0.5

    def draw(self) -> np.ndarray:
        """A random vector in x of entries of about size one, none near zero."""
        signs = self._rng.choice([-1.0, 1.0], self.x.shape)
        return signs * self._rng.uniform(0.7, 1.3, self.x.shape)

    def trace(self, dtype: str) -> core.ClosedJaxpr:
        """The function's jaxpr in a dtype, all outputs as one vector."""
        shapes = [
            jax.ShapeDtypeStruct(leaf.value.shape, _dtype_of(leaf, dtype))
            for leaf in self.leaves
        ]
        return jax.make_jaxpr(self._flat)(*shapes)

    def _first_trace(self) -> core.ClosedJaxpr:
        """The jaxpr in double precision, with a clear error where there is none."""
        try:
            return self.trace("float64")
        except NOT_TRACEABLE:
            raise
        except Exception as error:
            got = ", ".join(f"{x.name} {x.value.shape}" for x in self.leaves)
            lines = str(error).strip().splitlines()[:1]
            told = ": ".join([type(error).__name__, *lines]).rstrip(".")
            raise ValueError(
                f"{self.name} fails at the example, {got}: {told}, at "
                f"{place_of(error)}. Expected arguments that {self.name} takes: "
                "compare their shapes with that line."
            ) from error

    def given(self, x: Any, dtype: str) -> list[Any]:
        """x as the arrays that a jaxpr of `trace` takes."""
        x = jnp.asarray(x, dtype)
        found = []
        for leaf in self.leaves:
            part = x[leaf.span]
            if np.iscomplexobj(leaf.value):
                real, imaginary = jnp.split(part, 2)
                part = jax.lax.complex(real, imaginary)
            found.append(part.reshape(leaf.value.shape))
        return found

    def _flat(self, *leaves: Any) -> Array:
        """All real outputs of the function as one vector."""
        whole = list(self._all)
        for leaf, value in zip(self.leaves, leaves, strict=True):
            whole[leaf.place] = value
        arguments = jax.tree.unflatten(self._tree, whole)
        results = self.function(*arguments)
        self._find_states(arguments, results)
        parts = []
        for result in jax.tree.leaves(results):
            array = jnp.asarray(result)
            if jnp.iscomplexobj(array):
                parts += [array.real.ravel(), array.imag.ravel()]
            elif jnp.issubdtype(array.dtype, jnp.floating):
                parts.append(array.ravel())
        return jnp.concatenate(parts) if parts else jnp.zeros(0)

    def _find_states(self, arguments: tuple, results: PyTree) -> None:
        kinds, number = [_kind(each) for each in arguments], _kind(0.0)
        self.state_like = [
            leaf
            for leaf in self.leaves
            if kinds[leaf.argument] == _kind(results) and kinds[leaf.argument] != number
        ]

    def run(self, x: Any) -> Array:
        """F(x), (m,), to be traced or called."""
        (outputs,) = jax.core.eval_jaxpr(
            self.closed.jaxpr, self.closed.consts, *self.given(x, "float64")
        )
        return outputs.astype("float64")

    @functools.cached_property
    def _compiled(self) -> dict[str, Callable]:
        run = self.run
        return {
            "value": jax.jit(run),
            "push": jax.jit(lambda x, v: jax.jvp(run, (x,), (v,))[1]),
            "pull": jax.jit(lambda x, w: _pulled(run, x, w)),
            "pushes": jax.jit(
                lambda x, vs: jax.vmap(lambda v: jax.jvp(run, (x,), (v,))[1])(vs)
            ),
            "pulls": jax.jit(
                lambda x, ws: jax.vmap(lambda w: _pulled(run, x, w)[1])(ws)
            ),
        }

    def value(self, x: Any) -> np.ndarray:
        """F(x)."""
        self.cost += 0.4
        return np.asarray(self._compiled["value"](x))

    def push(self, v: Any) -> np.ndarray:
        """J v at the example."""
        self.cost += 1
        return np.asarray(self._compiled["push"](self.x, v))

    def pull(self, x: Any) -> tuple[np.ndarray, np.ndarray]:
        """F(x), and Jᵀ w for the weights w."""
        self.cost += 1
        value, gradient = self._compiled["pull"](x, self.weights)
        return np.asarray(value), np.asarray(gradient)

    def pushes(self, vs: np.ndarray) -> np.ndarray:
        """J v of several v, (k, P) → (k, m)."""
        self.cost += len(vs)
        return np.asarray(self._compiled["pushes"](self.x, vs))

    def pulls(self, ws: np.ndarray) -> np.ndarray:
        """Jᵀ w of several w, (k, m) → (k, P)."""
        self.cost += len(ws)
        return np.asarray(self._compiled["pulls"](self.x, ws))


def make_case(function: Callable, example: Any, seed: int) -> Case:
    """A case of a function and its example, a tuple being its arguments.

    Raises:
      TypeError: for what is no function.
      ValueError: for an example without any real number, or with ones that are not
        finite, and for one that the function does not take.
    """
    if not callable(function):
        raise TypeError(
            f"f is a {type(function).__name__}; expected a function of JAX arrays."
        )
    # A NamedTuple is one argument, such as a state.
    several = type(example) is tuple
    arguments = example if several else (example,)
    _check_arguments(function, arguments)
    return Case(function, arguments, _names(function, len(arguments)), seed)


def _check_arguments(function: Callable, arguments: tuple) -> None:
    """Raise an error where a function does not take so many arguments."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return
    try:
        signature.bind(*arguments)
    except TypeError as error:
        got = "1 argument" if len(arguments) == 1 else f"{len(arguments)} arguments"
        raise ValueError(
            f"the example has {got}; expected those of "
            f"{_name(function)}{_without_types(signature)}. Give one entry for each, "
            "in a tuple or after --shapes; ((a, b),) is one argument, a tuple itself."
        ) from error


def _without_types(signature: inspect.Signature) -> inspect.Signature:
    """A signature with names and defaults alone."""
    bare = [
        p.replace(annotation=inspect.Parameter.empty)
        for p in signature.parameters.values()
    ]
    return inspect.Signature(bare)


def _name(function: Callable) -> str:
    return getattr(function, "__name__", type(function).__name__)


def _names(function: Callable, count: int) -> tuple[str, ...]:
    """The names of a function's arguments."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    own = [p.name for p in parameters if p.kind in kinds]
    return (*own, *(f"argument {i + 1}" for i in range(len(own), count)))[:count]


def _real_leaves(paths: list, names: tuple[str, ...]) -> list[Leaf]:
    found: list[Leaf] = []
    for place, (path, leaf) in enumerate(paths):
        is_number = isinstance(leaf, numbers.Number) and not isinstance(leaf, bool)
        if not (is_number or isinstance(leaf, jax.Array | np.ndarray | np.generic)):
            continue
        if not jnp.issubdtype(jnp.result_type(leaf), jnp.inexact):
            continue
        name = names[path[0].idx] + jax.tree_util.keystr(path[1:])
        value = np.asarray(leaf)
        value = value.astype(complex if np.iscomplexobj(value) else float)
        first = found[-1].span.stop if found else 0
        found.append(Leaf(name, place, path[0].idx, value, first))
        if not np.all(np.isfinite(value)):
            raise ValueError(
                f"the example has {name} with a NaN or an infinity; expected finite "
                "numbers."
            )
    if not sum(leaf.size for leaf in found):
        raise ValueError(
            "the example has no real numbers; expected at least one array or number "
            "of a floating dtype to differentiate by. Write 1.0 for 1."
        )
    return found


def _kind(tree: PyTree) -> tuple:
    """The structure of a pytree and the shapes of its arrays."""
    leaves, structure = jax.tree.flatten(tree)
    return structure, [jnp.shape(leaf) for leaf in leaves]


def _as_real(value: np.ndarray) -> np.ndarray:
    flat = value.ravel()
    if np.iscomplexobj(flat):
        return np.concatenate([flat.real, flat.imag])
    return flat


def _scale(leaf: Leaf) -> np.ndarray:
    size = np.sqrt(np.mean(np.abs(leaf.value) ** 2)) if leaf.value.size else 0.0
    return np.full(leaf.size, size if size > 0 else 1.0)


def _dtype_of(leaf: Leaf, dtype: str) -> str:
    if not np.iscomplexobj(leaf.value):
        return dtype
    return {"float32": "complex64", "float64": "complex128"}[dtype]


def _pulled(run: Callable, x: Array, w: Array) -> tuple[Array, PyTree]:
    value, pull = jax.vjp(run, x)
    return value, pull(w)[0]
