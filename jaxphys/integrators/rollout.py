"""One step applied many times: `rollout` keeps the trajectory, `repeat` the end alone.

Both are one `lax.scan`, differentiable both ways, with checkpoints for long gradients
and a `RolloutInfo` that says where a rollout failed.
"""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxphys._jaxpr import once, scalars
from jaxphys.checks import (
    check_count,
    check_function,
    check_number,
    check_start,
    checked,
)
from jaxphys.integrators.implicit import ImplicitStep
from jaxphys.trees import all_finite, time_dtype
from jaxphys.types import Array, PyTree, Step

__all__ = ["RolloutInfo", "check_time_step", "repeat", "rollout"]


class RolloutInfo(NamedTuple):
    """Whether a rollout succeeded, and where it failed.

    Attributes:
      finite: whether every saved state is finite.
      converged: whether every implicit step was solved; True for explicit steps.
      failed_at: index of the first saved state that is not finite, or that follows a
        step that was not solved; −1 if there is none.
    """

    finite: Array
    converged: Array
    failed_at: Array


@checked(dt=check_number, num_steps=check_count, substeps=check_count)
def check_time_step(dt, num_steps: int, substeps: int = 1) -> None:
    """Raise a ValueError for an invalid time grid."""
    if not isinstance(dt, jax.core.Tracer) and dt == 0:
        raise ValueError(f"dt is {dt}; expected a finite time step other than zero.")


def _check_controls(controls: PyTree, num_steps: int) -> None:
    lengths = {jnp.shape(leaf)[:1] for leaf in jax.tree.leaves(controls)}
    if lengths != {(num_steps,)}:
        raise ValueError(
            f"controls have leading axes {sorted(lengths)}; expected one value per "
            f"step, ({num_steps},). For a batch of controls use jax.vmap."
        )


@checked(step=check_function, t0=check_number)
def rollout(
    step: Step,
    y0: PyTree,
    *,
    t0: float = 0.0,
    dt: float,
    num_steps: int,
    args: PyTree = None,
    substeps: int = 1,
    controls: PyTree | None = None,
    checkpoint: bool = False,
    with_info: bool = False,
    scalarize: bool = True,
) -> Any:
    """The trajectory of a step: y at t0, t0 + dt, …, t0 + num_steps · dt.

    Args:
      step: `step(t, y, dt, args) -> y`.
      y0: initial state, any pytree, unbatched.
      t0: initial time.
      dt: time between two saved states; negative goes back in time.
      num_steps: number of saved states after the first.
      args: passed to the vector field.
      substeps: integrator steps of dt/substeps between two saved states.
      controls: inputs held over each step, leading axis num_steps; the vector field
        then gets the pair (args, controls[i]).
      checkpoint: whether reverse-mode derivatives store only √num_steps states beside
        the saved ones and compute the steps between again, instead of storing the
        state before every step.
      with_info: whether to return a `RolloutInfo` beside the trajectory.
      scalarize: whether a small state may be computed number by number. A batch of them
        is then arithmetic on long vectors, many times as fast, and a single one is
        faster too; results are the same to rounding. Networks, large arrays and
        implicit steps are computed as they are written in any case.

    Returns:
      y0's pytree with a leading time axis of num_steps + 1, the start included; with
      `with_info`, the pair (trajectory, RolloutInfo).

    Raises:
      ValueError: for an invalid time grid, state or controls.

    Example:
      >>> from jaxphys.integrators import rk4
      >>> step = rk4(lambda t, y, args: -y)
      >>> [round(float(y), 3) for y in rollout(step, 1.0, dt=0.5, num_steps=2)]
      [1.0, 0.607, 0.368]
    """
    y0, _, ys, info = _scan(
        step,
        y0,
        t0=t0,
        dt=dt,
        num_steps=num_steps,
        args=args,
        substeps=substeps,
        controls=controls,
        checkpoint=checkpoint,
        with_info=with_info,
        scalarize=scalarize,
        keep=True,
    )
    path = jax.tree.map(lambda a, b: jnp.concatenate([a[None], b]), y0, ys)
    return (path, info) if with_info else path


@checked(step=check_function, t0=check_number)
def repeat(
    step: Step,
    y0: PyTree,
    *,
    t0: float = 0.0,
    dt: float,
    num_steps: int,
    args: PyTree = None,
    substeps: int = 1,
    controls: PyTree | None = None,
    checkpoint: bool = False,
    with_info: bool = False,
    scalarize: bool = True,
) -> Any:
    """The last state of `rollout`, without keeping the others; same arguments.

    Example:
      >>> from jaxphys.integrators import rk4
      >>> step = rk4(lambda t, y, args: -y)
      >>> round(float(repeat(step, 1.0, dt=0.5, num_steps=2)), 3)
      0.368
    """
    _, last, _, info = _scan(
        step,
        y0,
        t0=t0,
        dt=dt,
        num_steps=num_steps,
        args=args,
        substeps=substeps,
        controls=controls,
        checkpoint=checkpoint,
        with_info=with_info,
        scalarize=scalarize,
        keep=False,
    )
    return (last, info) if with_info else last


def _scan(
    step,
    y0,
    *,
    t0,
    dt,
    num_steps,
    args,
    substeps,
    controls,
    checkpoint,
    with_info,
    scalarize,
    keep,
):
    check_time_step(dt, num_steps, substeps)
    if controls is not None:
        _check_controls(controls, num_steps)
    check_start(y0, flagged=with_info)
    y0 = jax.tree.map(jnp.asarray, y0)
    dtype = time_dtype(y0)
    small = jnp.asarray(dt, dtype) / substeps
    start = jnp.asarray(t0, dtype)

    form = _Form(step, y0, args, controls, lambda y: y)
    if scalarize and not isinstance(step, ImplicitStep):
        form = _in_numbers(form, start, small)
    if not checkpoint:
        form = form._replace(step=_computed_again(form.step))

    def flagged(t: Array, y: PyTree, held: PyTree) -> tuple[PyTree, Array]:
        if with_info and isinstance(step, ImplicitStep):
            y, info = step.with_info(t, y, small, held)
            return y, info.converged
        return form.step(t, y, small, held), jnp.array(True)

    def advance(carry: tuple[PyTree, RolloutInfo], numbered):
        y, info = carry
        number, control = numbered
        held = form.args if controls is None else (form.args, control)

        def one(carry, sub):
            y, solved = carry
            steps = jnp.asarray(number * substeps + sub, dtype)
            y, now = flagged(start + steps * small, y, held)
            return (y, solved & now), None

        if substeps == 1:
            (y, solved), _ = one((y, jnp.array(True)), 0)
        else:
            (y, solved), _ = jax.lax.scan(
                one, (y, jnp.array(True)), jnp.arange(substeps)
            )
        if with_info:
            finite = all_finite(y)
            first = ~(finite & solved) & (info.failed_at < 0)
            info = RolloutInfo(
                info.finite & finite,
                info.converged & solved,
                jnp.where(first, number + 1, info.failed_at),
            )
        return (y, info), (y if keep else None)

    finite = all_finite(y0) if with_info else jnp.array(True)
    info = RolloutInfo(finite, jnp.array(True), jnp.where(finite, -1, 0))
    numbered = (jnp.arange(num_steps), form.controls)
    run = _scan_with_checkpoints if checkpoint else jax.lax.scan
    if num_steps == 1:
        run = _once
    (last, info), ys = run(advance, (form.start, info), numbered)
    return y0, form.whole(last), (form.whole(ys) if keep else None), info


class _Form(NamedTuple):
    """How a rollout is computed: with arrays, or with lists of their numbers.

    Attributes:
      step: step(t, y, dt, held) -> y, with held = args or (args, control).
      start: y at first.
      args, controls: those of the vector field.
      whole: a state, or states along leading axes, as the caller has them.
    """

    step: Step
    start: PyTree
    args: PyTree
    controls: PyTree
    whole: Callable[[PyTree], PyTree]


def _in_numbers(form: _Form, t: Array, dt: Array) -> _Form:
    """The same with each number on its own if that is faster, or as it was traced.

    A batch of small states is then arithmetic on long vectors, one for each number,
    from the first step to the last; see `jaxphys/_jaxpr/scalars.py`.
    """
    # What is known stays known to the step: it may be a function, a name, or a number
    # that decides what is computed.
    leaves, tree = jax.tree.flatten((form.args, dt))
    unknown = [leaf for leaf in leaves if isinstance(leaf, jax.core.Tracer)]

    def natural(t: Array, y: PyTree, unknown: list, control: PyTree) -> PyTree:
        rest = iter(unknown)
        args, dt = jax.tree.unflatten(
            tree,
            [
                next(rest) if isinstance(leaf, jax.core.Tracer) else leaf
                for leaf in leaves
            ],
        )
        return form.step(t, y, dt, args if form.controls is None else (args, control))

    first = jax.tree.map(lambda x: x[0], form.controls)
    given = (t, form.start, unknown, first)
    traced, result = jax.make_jaxpr(natural, return_shape=True)(*given)
    # A step that changes its state's shape is left to the loop, which refuses it.
    if _kind(result) != _kind(form.start):
        return form
    if not scalars.pays(traced.jaxpr):
        again = once.replayed(traced, result)

        def as_traced(t: Array, y: PyTree, dt: Array, held: Any) -> PyTree:
            return again(t, y, *(held if form.controls is not None else (held, None)))

        return form._replace(step=as_traced, args=unknown)
    shapes = jax.eval_shape(lambda *x: x, *given)

    @scalars.scalarize
    def in_numbers(*parts: Any) -> list[Array]:
        whole = [scalars.join(x, s) for x, s in zip(parts, shapes, strict=True)]
        leaves = jax.tree.leaves(whole)
        return scalars.split(jax.core.eval_jaxpr(traced.jaxpr, traced.consts, *leaves))

    def step(t: Array, y: list, dt: Array, held: Any) -> list[Array]:
        numbers, control = (held, []) if form.controls is None else held
        return in_numbers([t], y, numbers, control)

    return _Form(
        step,
        scalars.split(form.start),
        scalars.split(unknown),
        None if form.controls is None else scalars.split(form.controls, axes=1),
        lambda y: scalars.join(y, form.start),
    )


def _computed_again(step: Step) -> Step:
    """The same step, of which the way back keeps its start and computes the rest again.

    That takes no longer than to write all of it down and to read it.
    """

    def again(t: Array, y: PyTree, dt: Array, held: Any) -> PyTree:
        # What is held is no argument of what is computed again, as it may be anything.
        one = jax.checkpoint(lambda t, y: step(t, y, dt, held), prevent_cse=False)
        return one(t, y)

    return again


def _kind(tree: PyTree) -> tuple:
    """The structure of a state, and its arrays' shapes and dtypes."""
    leaves, structure = jax.tree.flatten(tree)
    return structure, [(jnp.shape(x), jnp.result_type(x)) for x in leaves]


def _once(advance: Callable, carry: PyTree, xs: PyTree):
    """A scan of one step without the loop, which would be traced and compiled for."""
    carry, y = advance(carry, jax.tree.map(lambda x: x[0], xs))
    return carry, jax.tree.map(lambda x: x[None], y)


def _scan_with_checkpoints(advance: Callable, carry: PyTree, xs: PyTree):
    """A scan of N steps whose reverse-mode derivative stores about 2√N states."""
    # The N steps are cut into segments of √N. The forward pass stores the start of each
    # segment; the backward pass runs a segment again from there and stores its states.
    # Each step is run again as well: its intermediates and sub-steps are not stored.
    length = jax.tree.leaves(xs)[0].shape[0]
    size = math.isqrt(length - 1) + 1
    whole = length // size

    @functools.partial(jax.checkpoint, prevent_cse=False)
    def segment(carry: PyTree, xs: PyTree):
        step = jax.checkpoint(advance, prevent_cse=False)
        return jax.lax.scan(step, carry, xs)

    cut = jax.tree.map(
        lambda x: x[: whole * size].reshape(whole, size, *x.shape[1:]), xs
    )
    carry, ys = jax.lax.scan(segment, carry, cut)
    ys = jax.tree.map(lambda y: y.reshape(whole * size, *y.shape[2:]), ys)
    if whole * size < length:
        carry, rest = segment(carry, jax.tree.map(lambda x: x[whole * size :], xs))
        ys = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), ys, rest)
    return carry, ys
