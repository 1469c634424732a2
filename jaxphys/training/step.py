"""The train step, the same for every optimizer.

`make_train_step` joins outputs, an objective and an optax transformation. It hands each
transformation all that any of them reads, so that Adam and a second-order method differ
in `tx` alone.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxphys import data as datasets
from jaxphys import devices, losses, optim, trees
from jaxphys._jaxpr.once import traced_once
from jaxphys._jaxpr.products import warn_of_inexact
from jaxphys.checks import check_function, check_some, checked
from jaxphys.linalg import Blocks
from jaxphys.optim import linearise
from jaxphys.optim.routes import block_bytes
from jaxphys.precision import exact
from jaxphys.types import Array, PyTree

__all__ = [
    "Info",
    "TrainState",
    "best_of",
    "init_side_by_side",
    "init_state",
    "make_evaluate",
    "make_train_step",
    "side_by_side",
]


class TrainState(NamedTuple):
    """All that training carries from one step to the next."""

    params: PyTree
    opt_state: PyTree
    step: Array


class Info(NamedTuple):
    """What one step saw; None where the optimizer has no such thing.

    Attributes:
      loss: the batch-mean objective before the step.
      finite: whether the loss and the parameters after the step are finite.
      rank: singular values kept (spectral methods).
      damping: λ after the step (Levenberg–Marquardt).
      accepted: whether the step was taken (damped methods).
      concave: the share of |∂ℓ/∂y|² along directions in which the objective's
        curvature is not positive and was cut, so that the step knows a slope and not
        how far it reaches (Gauss–Newton and damped methods). Where it is not small,
        state the objective as a sum of squares, or as a convex one.
    """

    loss: Array
    finite: Array
    rank: Array | None = None
    damping: Array | None = None
    accepted: Array | None = None
    concave: Array | None = None


def init_state(params: PyTree, tx: optax.GradientTransformation) -> TrainState:
    """The state before the first step."""
    _check_transformation(tx)
    if not jax.tree.leaves(params) or not all(
        hasattr(x, "dtype") or isinstance(x, float | int)
        for x in jax.tree.leaves(params)
    ):
        raise TypeError(
            "params has no arrays, or leaves that are none; expected a pytree of "
            "arrays."
        )
    return TrainState(params, tx.init(params), jnp.zeros((), jnp.int32))


def _check_transformation(tx: Any) -> None:
    """A TypeError where something else is given for an optax transformation."""
    if not (hasattr(tx, "init") and hasattr(tx, "update")):
        cure = "optax.adam(1e-3) or jaxphys.optim.levenberg_marquardt()"
        what = f"the function {tx.__name__}" if callable(tx) else repr(tx)
        raise TypeError(f"tx is {what}; expected an optax transformation, say {cure}.")


@checked(outputs=check_function, objective=check_function, memory_limit=check_some)
def make_train_step(
    outputs: Callable[[PyTree, PyTree], Array],
    objective: Callable[[Array, PyTree], Array],
    tx: optax.GradientTransformation,
    *,
    memory_limit: int | None = None,
) -> Callable[[TrainState, tuple[PyTree, PyTree]], tuple[TrainState, Info]]:
    """A train step on the batch mean of an objective, the same for every optimizer.

    Args:
      outputs: `outputs(params, inputs) -> (d,)` for one sample.
      objective: `objective(outputs, targets) -> scalar` for one sample.
      tx: any optax transformation. Beside gradients and parameters it is handed the
        extras linearisation, cotangent, curvature_fn, value, value_fn and memory_limit.
      memory_limit: bytes that a second-order step may take for matrices, or for a
        Krylov basis in place of one; see `jaxphys.optim.routes`.

    Returns:
      `step(state, (inputs, targets)) -> (state, Info)` for a batch; pure, to be jitted.
      Where a mesh is in force its samples are split over devices; see `devices`.

    Example:
      >>> import jax.numpy as jnp, optax
      >>> outputs = lambda params, x: params * x
      >>> tx = optax.sgd(0.25)
      >>> step = make_train_step(outputs, losses.squared_error, tx)
      >>> batch = (jnp.ones((8, 1)), jnp.full((8, 1), 3.0))
      >>> state, info = step(init_state(jnp.ones(1), tx), batch)
      >>> print(info.loss, state.params)
      4.0 [2.]
    """
    _check_transformation(tx)
    tx = optax.with_extra_args_support(tx)

    def mean_objective(values: Array, targets: PyTree) -> Array:
        per_sample = jax.vmap(objective)(values, targets)
        if per_sample.ndim != 1:
            raise ValueError(
                f"the objective gave shape {per_sample.shape[1:]} for one sample; "
                "expected a scalar. Sum over components."
            )
        if not jnp.issubdtype(per_sample.dtype, jnp.floating):
            raise TypeError(
                f"the objective of these data is of dtype {per_sample.dtype}; expected "
                "real numbers, such as |r|² of complex outputs."
            )
        return jnp.mean(per_sample)

    @exact
    def step(state: TrainState, batch: tuple[PyTree, PyTree]):
        devices.check_batch(datasets.num_samples(batch))
        inputs, targets = devices.split(batch)
        params = state.params
        one = traced_once(outputs)
        every = jax.vmap(one, in_axes=(None, 0))
        warn_of_inexact(exact(every), params, inputs)
        batched = linearise(one, params, inputs, block_bytes=block_bytes(memory_limit))
        loss, cotangent = jax.value_and_grad(mean_objective)(batched.values, targets)

        # Both are functions, as most transformations never call them.
        def curvature_fn() -> Blocks:
            hessian = functools.partial(losses.hessian, objective)
            found = jax.vmap(hessian)(batched.values, targets)
            return jax.tree.map(lambda x: x / batched.values.shape[0], found)

        def value_fn(params: PyTree) -> Array:
            return mean_objective(every(params, inputs), targets)

        updates, opt_state = tx.update(
            batched.vjp(cotangent),
            state.opt_state,
            params,
            linearisation=batched,
            cotangent=cotangent,
            curvature_fn=curvature_fn,
            value=loss,
            value_fn=value_fn,
            memory_limit=memory_limit,
        )
        params = optax.apply_updates(params, updates)
        finite = jnp.isfinite(loss) & trees.all_finite(params)
        info = Info(loss, finite, *optim.step_info(opt_state))
        new = TrainState(params, opt_state, state.step + 1)
        return devices.whole((new, info))

    return step


def init_side_by_side(params: PyTree, tx: optax.GradientTransformation) -> TrainState:
    """The state before the first step of `side_by_side`, of stacked parameters."""
    return TrainState(params, jax.vmap(tx.init)(params), jnp.zeros((), jnp.int32))


@checked(step=check_function)
def side_by_side(step: Callable) -> Callable:
    """A step of many trainings at once, on the same batches.

    A small network may end in a bad local minimum. A method that needs a thousand steps
    to get there has the time for many starts; the best one counts. A training whose
    step is not finite stays where it is.

    Args:
      step: from `make_train_step`.

    Returns:
      `step(state, batch) -> (state, info)`: the state's parameters and optimizer memory
      have a leading axis, as `init_side_by_side` makes them; `info` is that of the
      lowest loss. `best_of` takes the best out again.

    Example:
      >>> outputs = lambda w, x: w * x
      >>> tx = optax.sgd(0.1)
      >>> step = side_by_side(make_train_step(outputs, losses.squared_error, tx))
      >>> state = init_side_by_side(jnp.array([[1.0], [3.0]]), tx)
      >>> state, info = step(state, (jnp.ones((4, 1)), 2 * jnp.ones((4, 1))))
      >>> print(info.loss, state.params.shape)
      1.0 (2, 1)
    """
    whole: Any = None  # one count of steps for all
    axes = TrainState(0, 0, whole)

    def one(state: TrainState, batch: PyTree) -> tuple[TrainState, Info]:
        new, info = step(state, batch)
        params, opt_state = trees.select(info.finite, new[:2], state[:2])
        return TrainState(params, opt_state, new.step), info

    def all_of_them(state: TrainState, batch: PyTree) -> tuple[TrainState, Info]:
        new, infos = jax.vmap(one, (axes, None), (axes, 0))(state, batch)
        lowest = jnp.argmin(jnp.where(infos.finite, infos.loss, jnp.inf))
        return new, jax.tree.map(lambda x: x[lowest], infos)

    return all_of_them


def best_of(params: PyTree, values: Array) -> PyTree:
    """Of stacked parameters those of the lowest value that is finite.

    Example:
      >>> print(best_of(jnp.array([5.0, 6.0, 7.0]), jnp.array([1.0, jnp.nan, 0.5])))
      7.0
    """
    lowest = jnp.argmin(jnp.where(jnp.isfinite(values), values, jnp.inf))
    return jax.tree.map(lambda x: x[lowest], params)


@checked(outputs=check_function, objective=check_function)
def make_evaluate(
    outputs: Callable, objective: Callable
) -> Callable[[PyTree, dict[str, tuple[PyTree, PyTree]]], dict[str, Array]]:
    """`evaluate(params, sets) -> {name: mean objective}` over whole data sets.

    Compiled once for all sets of the same shapes, whatever the parameters.

    Example:
      >>> import jax.numpy as jnp
      >>> evaluate = make_evaluate(lambda w, x: w * x, losses.squared_error)
      >>> sets = {"test_loss": (jnp.ones((4, 1)), jnp.zeros((4, 1)))}
      >>> print(evaluate(jnp.array([2.0]), sets)["test_loss"])
      4.0
    """

    @jax.jit
    @exact
    def mean(params: PyTree, inputs: PyTree, targets: PyTree) -> Array:
        inputs, targets = devices.split((inputs, targets))
        values = jax.vmap(outputs, in_axes=(None, 0))(params, inputs)
        return devices.whole(jnp.mean(jax.vmap(objective)(values, targets)))

    def evaluate(params: PyTree, sets: dict) -> dict[str, Array]:
        # One set after another: where several batches of linear solves run side by
        # side in one program, XLA's threads on few cores wait for each other forever.
        return {
            name: jax.block_until_ready(mean(params, *pair))
            for name, pair in sets.items()
        }

    return evaluate
