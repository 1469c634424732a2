"""Samples for training: made of trajectories, held out, noisy, and in batches.

A data set is a pytree with a leading sample axis. A sample is a `Moment` where
derivatives are matched, and a `Chunk` where trajectories are.
"""

import math
import operator
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxphys.checks import check_count, check_key, check_number, check_numbers, checked
from jaxphys.data._record import check_kind, listed, map_arrays, named_arrays
from jaxphys.names import check_known
from jaxphys.types import Array, PyTree, TangentState, Trajectories

__all__ = [
    "Accelerated",
    "Chunk",
    "Moment",
    "add_noise",
    "check_finite",
    "chunks",
    "epoch_order",
    "moments",
    "num_batches",
    "num_samples",
    "split",
]


def num_samples(data: PyTree) -> int:
    """The common length of the leading axes, or a ValueError.

    Example:
      >>> num_samples((np.zeros((5, 2)), np.zeros(5)))
      5
    """
    sizes = {np.shape(leaf)[:1] for leaf in jax.tree.leaves(data)}
    if len(sizes) != 1 or sizes == {()}:
        raise ValueError(
            f"data leaves have leading axes {sorted(sizes)}; expected one sample axis "
            "of equal length on every leaf."
        )
    return sizes.pop()[0]


def check_finite(data: PyTree) -> None:
    """Raise a ValueError that says where, if any entry is NaN or infinite.

    Example:
      >>> check_finite({"x": np.array([0.0, np.nan])})
      Traceback (most recent call last):
      ...
      ValueError: data['x'] has 1 entries that are not finite, the first at (1,); \
remove or repair these samples.
    """
    for path, leaf in jax.tree_util.tree_leaves_with_path(data):
        values = np.asarray(leaf)
        if not jnp.issubdtype(values.dtype, jnp.number) and values.dtype != bool:
            raise TypeError(
                f"data{jax.tree_util.keystr(path)} has dtype {values.dtype}; expected "
                "numbers."
            )
        bad = np.argwhere(~np.isfinite(values))
        if len(bad):
            where = tuple(int(i) for i in bad[0])
            raise ValueError(
                f"data{jax.tree_util.keystr(path)} has {len(bad)} entries that are not "
                f"finite, the first at {where}; remove or repair these samples."
            )


@checked(batch_size=check_count)
def num_batches(data: PyTree, batch_size: int) -> int:
    """Batches in an epoch, or a ValueError where batch_size does not divide the data.

    Example:
      >>> num_batches(np.zeros((64, 4)), 32)
      2
    """
    total = num_samples(data)
    if batch_size > total:
        raise ValueError(
            f"batch_size {batch_size} is larger than the data, {total} samples."
        )
    if total % batch_size:
        near = max(n for n in range(1, batch_size + 1) if total % n == 0)
        raise ValueError(
            f"batch_size {batch_size} does not divide the data, {total} samples; the "
            f"nearest below that does is {near}."
        )
    return total // batch_size


def epoch_order(key: Array | None, epoch: Array, total: int, batch_size: int) -> Array:
    """Sample indices of an epoch, (batches, batch_size): shuffled, or as stored.

    Args:
      key: a random key, from which each epoch draws an order; None for the stored
        order.
      epoch: the number of the epoch.
      total: number of samples, a multiple of batch_size.
      batch_size: samples in a batch.

    Example:
      >>> print(epoch_order(None, 0, 4, 2))
      [[0 1]
       [2 3]]
    """
    if key is None:
        order = jnp.arange(total)
    else:
        order = jax.random.permutation(jax.random.fold_in(key, epoch), total)
    return order.reshape(-1, batch_size)


class Moment(NamedTuple):
    """One moment of a motion, a sample for derivative matching.

    Attributes:
      t: time, ().
      y: the state, a PhaseState or a TangentState.
      u: the input, (m,), or None.
    """

    t: Array
    y: PyTree
    u: Array | None = None


class Accelerated(NamedTuple):
    """A state and its acceleration, a sample for torque matching.

    Attributes:
      y: the state, a TangentState.
      a: the acceleration, (n,).
    """

    y: TangentState
    a: Array


class Chunk(NamedTuple):
    """A piece of a motion, a sample for trajectory matching.

    Attributes:
      t: its times, (k + 1,); uneven steps are allowed.
      y: the state at the first of them.
      u: the inputs, each held from one time to the next, (k, m); or None.
    """

    t: Array
    y: PyTree
    u: Array | None = None


def moments(trajectories: Sequence[Trajectories]) -> tuple[Moment, PyTree]:
    """Every time of every trajectory, with the rates there, for derivative matching.

    Args:
      trajectories: a list, with rates such as `with_derivatives` finds.

    Returns:
      `(Moment(t, y, u), rates)` with S samples, one trajectory after another: t (S,),
      states y of (S, n), inputs u of (S, m) or None, and the rates as they are in the
      trajectories, of the class of y.

    Raises:
      ValueError: where a rate is not known, or a number is not finite.

    Example:
      >>> t = np.linspace(0.0, 1.0, 5)[:, None]
      >>> fall = TangentState(-4.9 * t[None] ** 2, -9.8 * t[None])
      >>> rate = TangentState(fall.v, np.full((1, 5, 1), -9.8))
      >>> found, rates = moments([Trajectories(t[:, 0], fall, rate)])
      >>> found.t.shape, found.y.q.shape, rates.v.shape
      ((5,), (5, 1), (5, 1))
    """
    found = listed("moments", trajectories)
    for number, each in enumerate(found):
        if each.rate is None:
            raise ValueError(
                f"moments needs rates, which trajectory {number} of the list does not "
                "have; fill them in with with_derivatives."
            )
        _check_states("moments", each, number)
    t = np.concatenate([np.tile(each.t, len(each.y.q)) for each in found])
    _check_inputs("moments", found)
    rows = [(each.y, each.rate, each.u) for each in found]

    def joined(*parts: np.ndarray) -> Array:
        flat = [x.reshape(-1, x.shape[2]) for x in parts]
        return jnp.asarray(np.concatenate(flat))

    y, rates, u = jax.tree.map(joined, *rows)
    return Moment(jnp.asarray(t), y, u), rates


def _check_inputs(caller: str, found: list[Trajectories]) -> None:
    """A ValueError where only some have inputs, or of another size."""
    sizes = {None if each.u is None else each.u.shape[2] for each in found}
    if len(sizes) > 1:
        raise ValueError(
            f"{caller} got inputs u of sizes {sizes}; expected the same size in all "
            "trajectories, or no inputs."
        )


@checked(length=check_count, stride=check_count)
def chunks(
    trajectories: Sequence[Trajectories],
    length: int,
    *,
    stride: int = 1,
    even: bool = False,
) -> tuple[Chunk, PyTree]:
    """Pieces of length + 1 times of the trajectories, for trajectory matching.

    Args:
      trajectories: a list; those with fewer times than a piece are left out.
      length: how many times follow the first of a piece, k ≥ 1.
      stride: times from the start of a piece to that of the next; with 1 they overlap.
      even: whether uneven times are an error, for integrators of one step size.

    Returns:
      `(Chunk(t, y, u), states)` of M pieces: t (M, k + 1), the times as they are in the
      data; y of (M, n), the states at the first; u (M, k, m), the inputs, or None;
      states of (M, k, n), those at the other times.

    Raises:
      ValueError: where a state is not finite, times are uneven with even=True, or all
        trajectories are too short.

    Example:
      >>> t = np.linspace(0.0, 1.0, 6)[:, None]
      >>> fall = TangentState(-4.9 * t[None] ** 2, -9.8 * t[None])
      >>> pieces, states = chunks([Trajectories(t[:, 0], fall)], 3)
      >>> pieces.t.shape, pieces.y.q.shape, states.v.shape
      ((3, 4), (3, 1), (3, 3, 1))
    """
    found = listed("chunks", trajectories)
    for number, each in enumerate(found):
        _check_states("chunks", each._replace(rate=None), number)
        if even:
            _check_even(each.t, number)
    longest = max(len(each.t) for each in found)
    if longest <= length:
        raise ValueError(
            f"the longest trajectory has {longest} times; a chunk of length {length} "
            f"needs {length + 1}. Lower the length to {longest - 1} or less."
        )
    _check_inputs("chunks", found)
    rows = [
        (np.tile(each.t, (len(each.y.q), 1))[..., None], each.y, each.u)
        for each in found
        if len(each.t) > length
    ]

    def pieces(*parts: np.ndarray) -> np.ndarray:
        return np.concatenate([_windows(x, length + 1, stride) for x in parts])

    t, y, u = jax.tree.map(pieces, *rows)
    first, others = (type(y)(*(x[:, part] for x in y)) for part in (0, slice(1, None)))
    u = None if u is None else u[:, :-1]
    return jax.tree.map(jnp.asarray, (Chunk(t[..., 0], first, u), others))


def _windows(x: np.ndarray, width: int, stride: int) -> np.ndarray:
    """Pieces of (N, T, n) along T, shape (M, width, n), trajectory by trajectory."""
    found = np.lib.stride_tricks.sliding_window_view(x, width, axis=1)[:, ::stride]
    return np.moveaxis(found, -1, 2).reshape(-1, width, x.shape[2])


def _check_even(t: np.ndarray, number: int) -> None:
    steps = np.diff(t)
    if not len(steps):
        return
    # Equal steps in float32 differ by the rounding of the times.
    rounding = 4 * np.finfo(t.dtype).eps * np.max(np.abs(t))
    if np.ptp(steps) > 1e-6 * np.mean(steps) + rounding:
        raise ValueError(
            f"trajectory {number} has uneven times, steps from {steps.min():.6g} to "
            f"{steps.max():.6g}; expected even ones. Leave out even=True where the "
            "integrator takes uneven steps."
        )


def _check_states(caller: str, each: Trajectories, number: int) -> None:
    for name, x in named_arrays(each._replace(u=None, energy=None)).items():
        if not np.all(np.isfinite(x)):
            raise ValueError(
                f"{caller} needs finite numbers, and {name} of trajectory {number} of "
                "the list has others; drop the end of motions that could not be "
                "followed with jaxphys.data.separate."
            )


@checked(key=check_key, fraction=check_number)
def split(
    trajectories: Sequence[Trajectories],
    fraction: float,
    *,
    by: str = "trajectory",
    key: Array | None = None,
) -> tuple[list[Trajectories], list[Trajectories]]:
    """Hold out a part of the data: whole trajectories, or the end of each.

    Args:
      trajectories: a list.
      fraction: the part that is held out, between 0 and 1, rounded up.
      by: "trajectory", at least one on either side; or "time", at least two times of
        each trajectory on either side.
      key: a random key that chooses the trajectories; None for the last ones.

    Returns:
      `(train, held_out)`, two lists.

    Raises:
      ValueError: where there are too few trajectories or times.

    Example:
      >>> q = np.zeros((10, 3, 1))
      >>> ten = Trajectories(np.arange(3.0), TangentState(q, q))
      >>> train, held_out = split([ten], 0.2)
      >>> train[0].y.q.shape, held_out[0].y.q.shape
      ((8, 3, 1), (2, 3, 1))
    """
    found = listed("split", trajectories)
    check_known("by", by, ("trajectory", "time"))
    if not 0 < fraction < 1:
        raise ValueError(f"fraction is {fraction}; expected a part between 0 and 1.")
    if by == "trajectory":
        return _split_trajectories(found, fraction, key)
    if key is not None:
        raise ValueError(
            'a key chooses trajectories; with by="time" the end of each is held out: '
            "leave out the key."
        )
    pairs = [_split_times(each, fraction, i) for i, each in enumerate(found)]
    return [train for train, _ in pairs], [held for _, held in pairs]


def _part(fraction: float, total: int) -> int:
    """That part of a number rounded up; rounding errors do not count as more."""
    return math.ceil(fraction * total - 1e-9)


def _split_trajectories(found: list[Trajectories], fraction: float, key: Array | None):
    total = sum(len(each.y.q) for each in found)
    if total < 2:
        raise ValueError(
            "there is one trajectory, and none would be left for training; hold out "
            'its end with by="time".'
        )
    order = np.arange(total)
    if key is not None:
        order = np.asarray(jax.random.permutation(key, total))
    held = np.zeros(total, bool)
    held[order[total - min(_part(fraction, total), total - 1) :]] = True
    parts = np.split(held, np.cumsum([len(each.y.q) for each in found])[:-1])
    train, held_out = (
        [
            map_arrays(operator.itemgetter(part == kept), each)
            for each, part in zip(found, parts, strict=True)
            if np.any(part == kept)
        ]
        for kept in (False, True)
    )
    return train, held_out


def _split_times(each: Trajectories, fraction: float, number: int) -> tuple:
    total = len(each.t)
    if total < 4:
        raise ValueError(
            f"trajectory {number} of the list has {total} times; to hold out its end "
            "takes 4, two on either side. Leave this trajectory out."
        )
    start = total - min(max(_part(fraction, total), 2), total - 2)
    # Points of one interval stay together.
    start -= start % each.meta.get("points", 1)
    return tuple(
        map_arrays(operator.itemgetter((slice(None), part)), each)._replace(
            t=each.t[part]
        )
        for part in (slice(0, start), slice(start, None))
    )


#: The number that is folded into the key of each field's noise. They stay as they are:
#: other numbers are other noise.
_NOISE = {"q": 0, "p": 1, "v": 2}


@checked(key=check_key, sigma=check_numbers, trajectories=check_kind)
def add_noise(
    trajectories: Trajectories,
    sigma: float | np.ndarray,
    key: Array,
    fields: Sequence[str] | None = None,
) -> Trajectories:
    """Independent Gaussian noise on the states; rates, inputs and energies stay.

    Args:
      trajectories: the motions.
      sigma: standard deviation, one number or n of them, in the units of the field.
      key: a random key; a field gets the same noise with or without the other.
      fields: of q and p, or of q and v; by default both.

    Raises:
      ValueError: on a field that y does not have, and on an invalid sigma.

    Example:
      >>> zeros = np.zeros((1, 1000, 1))
      >>> still = Trajectories(np.arange(1e3), TangentState(zeros, zeros))
      >>> noisy = add_noise(still, 0.1, jax.random.key(0), ("q",))
      >>> round(float(noisy.y.q.std()), 2), float(noisy.y.v.std())
      (0.1, 0.0)
    """
    y = trajectories.y
    size = np.asarray(sigma)
    n = y.q.shape[2]
    if size.shape not in ((), (n,)) or not np.all((size >= 0) & np.isfinite(size)):
        raise ValueError(
            f"sigma is {sigma}; expected a number ≥ 0, or {n} of them, one for each q."
        )
    if fields is not None and not isinstance(fields, Sequence):
        raise TypeError(f"fields is {fields!r}; expected names, such as ('q',).")
    noisy = {}
    for name in y._fields if fields is None else fields:
        x = getattr(y, check_known("field", name, y._fields))
        own = jax.random.fold_in(key, _NOISE[name])
        draw = np.asarray(jax.random.normal(own, x.shape), float)
        noisy[name] = x + (size * draw).astype(x.dtype)
    return trajectories._replace(y=y._replace(**noisy))
