"""Samples to train on: their order, and how trajectories are made into them.

Data sets are pytrees with a leading sample axis. A sample of a motion is a `Moment`,
where its derivatives are matched, or a `Chunk`, where the motion itself is.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxphys.data.trajectories import COORDINATES, Trajectories, listed
from jaxphys.names import check_known
from jaxphys.types import Array, PhaseState, PyTree, TangentState

State = type[PhaseState] | type[TangentState]


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
        bad = np.argwhere(~np.isfinite(np.asarray(leaf)))
        if len(bad):
            where = tuple(int(i) for i in bad[0])
            raise ValueError(
                f"data{jax.tree_util.keystr(path)} has {len(bad)} entries that are not "
                f"finite, the first at {where}; remove or repair these samples."
            )


def num_batches(data: PyTree, batch_size: int) -> int:
    """Batches in an epoch, or a ValueError where they do not come out even.

    Example:
      >>> num_batches(np.zeros((64, 4)), 32)
      2
    """
    total = num_samples(data)
    if int(batch_size) != batch_size or batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}; expected a whole number ≥ 1.")
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
      key: a random key, from which every epoch draws its own order; None for the
        stored order.
      epoch: which epoch.
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
    """One moment of a motion, what derivative matching reads.

    Attributes:
      t: time, ().
      y: the state, a PhaseState or a TangentState.
      u: the input, (m,), or None.
    """

    t: Array
    y: PyTree
    u: Array | None = None


class Accelerated(NamedTuple):
    """A state and its acceleration, what torque matching reads.

    Attributes:
      y: the state, a TangentState.
      a: the acceleration, (n,).
    """

    y: TangentState
    a: Array


class Chunk(NamedTuple):
    """A piece of a motion, what trajectory matching reads.

    Attributes:
      t: its times, (k + 1,); they need not be even.
      y: the state at the first.
      u: the inputs held between two times, (k, m), or None.
    """

    t: Array
    y: PyTree
    u: Array | None = None


def moments(
    trajectories: Sequence[Trajectories], state: State
) -> tuple[Moment, PyTree]:
    """Every time of every trajectory, and the rates there: what derivatives match.

    Args:
      trajectories: a list, with dq and dp, or dv, such as `with_derivatives` finds.
      state: the kind of y: `PhaseState`, of q and p; `TangentState`, of q and v.

    Returns:
      `(Moment(t, y, u), rates)` with S samples, one trajectory after another: t (S,),
      the states y of (S, n), inputs u of (S, m) or None, and dy/dt of y's kind. The
      rate of q in a TangentState is v.

    Raises:
      ValueError: where p or v, or a derivative, is missing or not finite.

    Example:
      >>> t = np.linspace(0.0, 1.0, 5)
      >>> fall = Trajectories(t, -4.9 * t[None, :, None] ** 2)
      >>> fall = fall._replace(v=-9.8 * t[None, :, None], dv=np.full((1, 5, 1), -9.8))
      >>> seen, rates = moments([fall], TangentState)
      >>> seen.t.shape, seen.y.q.shape, rates.v.shape
      ((5,), (5, 1), (5, 1))
    """
    found = listed("moments", trajectories)
    second = _second("moments", state)
    rates = ("dq", "dp") if second == "p" else ("v", "dv")
    for number, each in enumerate(found):
        _check_known_states("moments", each, number, {"q", second, *rates})
    t = np.concatenate([np.tile(each.t, len(each.q)) for each in found])
    y, rate = (state(*_flat(found, names)) for names in (("q", second), rates))
    u = None
    if _with_inputs("moments", found):
        inputs = [each.u for each in found if each.u is not None]
        u = jnp.concatenate([x.reshape(-1, x.shape[2]) for x in inputs])
    return Moment(jnp.asarray(t), y, u), rate


def _with_inputs(caller: str, found: list[Trajectories]) -> bool:
    """Whether these trajectories have an input; all of them do, or none."""
    sizes = {None if each.u is None else each.u.shape[2] for each in found}
    if len(sizes) > 1:
        raise ValueError(
            f"{caller} got inputs u of sizes {sizes}; expected the same for all, "
            "or none."
        )
    return sizes != {None}


def _flat(found: list[Trajectories], names: tuple[str, ...]) -> list[Array]:
    n = found[0].q.shape[2]
    return [
        jnp.asarray(np.concatenate([getattr(x, name).reshape(-1, n) for x in found]))
        for name in names
    ]


def chunks(
    trajectories: Sequence[Trajectories],
    length: int,
    state: State,
    *,
    stride: int = 1,
    even: bool = False,
) -> tuple[Chunk, PyTree]:
    """Pieces of trajectories, length + 1 times each: what trajectories match.

    Args:
      trajectories: a list; those with fewer times than a piece are left out.
      length: how many times follow the first of a piece, k ≥ 1.
      state: the kind of y: `PhaseState`, of q and p; `TangentState`, of q and v.
      stride: times from the start of a piece to that of the next; with 1 they overlap.
      even: whether uneven times are an error, for integrators of one step size.

    Returns:
      `(Chunk(t, y, u), states)` of M pieces: t (M, k + 1), the times as they are in the
      data; y of (M, n), the states at the first; u (M, k, m), the inputs, or None;
      states of (M, k, n), those at the other times.

    Raises:
      ValueError: where p or v is missing, a state is not finite, times are uneven and
        should not be, or all trajectories are too short.

    Example:
      >>> t = np.linspace(0.0, 1.0, 6)
      >>> fall = Trajectories(t, -4.9 * t[None, :, None] ** 2)
      >>> fall = fall._replace(v=-9.8 * t[None, :, None])
      >>> pieces, states = chunks([fall], 3, TangentState)
      >>> pieces.t.shape, pieces.y.q.shape, states.v.shape
      ((3, 4), (3, 1), (3, 3, 1))
    """
    found = listed("chunks", trajectories)
    second = _second("chunks", state)
    for name, value in (("length", length), ("stride", stride)):
        if int(value) != value or value < 1:
            raise ValueError(f"{name} is {value}; expected a whole number ≥ 1.")
    for number, each in enumerate(found):
        _check_known_states("chunks", each, number, {"q", second})
        if even:
            _check_even(each.t, number)
    longest = max(len(each.t) for each in found)
    if longest <= length:
        raise ValueError(
            f"the longest trajectory has {longest} times; a chunk of length {length} "
            f"needs {length + 1}. Lower the length to {longest - 1} or less."
        )
    long = [each for each in found if len(each.t) > length]
    t, q, x = (
        jnp.asarray(np.concatenate([_windows(x, length + 1, stride) for x in parts]))
        for parts in (
            [np.tile(each.t, (len(each.q), 1))[..., None] for each in long],
            [each.q for each in long],
            [getattr(each, second) for each in long],
        )
    )
    u = None
    if _with_inputs("chunks", found):
        inputs = [each.u for each in long if each.u is not None]
        rows = [_windows(each, length + 1, stride)[:, :-1] for each in inputs]
        u = jnp.asarray(np.concatenate(rows))
    return Chunk(t[..., 0], state(q[:, 0], x[:, 0]), u), state(q[:, 1:], x[:, 1:])


def _windows(x: np.ndarray, width: int, stride: int) -> np.ndarray:
    """Pieces of (N, T, n) along T, shape (M, width, n), trajectory by trajectory."""
    seen = np.lib.stride_tricks.sliding_window_view(x, width, axis=1)[:, ::stride]
    return np.moveaxis(seen, -1, 2).reshape(-1, width, x.shape[2])


def _check_even(t: np.ndarray, number: int) -> None:
    steps = np.diff(t)
    if not len(steps):
        return
    # Times of float32 are even to their rounding only.
    rounding = 4 * np.finfo(t.dtype).eps * np.max(np.abs(t))
    if np.ptp(steps) > 1e-6 * np.mean(steps) + rounding:
        raise ValueError(
            f"trajectory {number} has uneven times, steps from {steps.min():.6g} to "
            f"{steps.max():.6g}; expected even ones. An integrator that takes uneven "
            "steps needs no even=True."
        )


def _second(name: str, state: State) -> str:
    if state not in (PhaseState, TangentState):
        raise ValueError(f"{name} got {state}; expected PhaseState or TangentState.")
    return state._fields[1]


_REMEDIES = {
    "p": "compute momenta, as read_trajectories does with mass=, or take TangentState",
    "v": "add the velocities, or take PhaseState",
}


def _check_known_states(
    caller: str, each: Trajectories, number: int, names: set[str]
) -> None:
    for name in sorted(names, key=COORDINATES.index):
        x = getattr(each, name)
        if x is None:
            remedy = _REMEDIES.get(name, "fill it in with with_derivatives")
            raise ValueError(
                f"{caller} needs {name}, which trajectory {number} of the list does "
                f"not have; {remedy}."
            )
        if not np.all(np.isfinite(x)):
            raise ValueError(
                f"{caller} needs finite numbers, and {name} of trajectory {number} of "
                "the list has others; cut motions off where they end with "
                "jaxphys.data.separate."
            )


def split(
    trajectories: Sequence[Trajectories],
    fraction: float,
    *,
    by: str = "trajectory",
    key: Array | None = None,
) -> tuple[list[Trajectories], list[Trajectories]]:
    """Hold a part of the data out: whole trajectories, or the end of each.

    Args:
      trajectories: a list.
      fraction: the part that is held out, between 0 and 1, rounded up.
      by: "trajectory", at least one on either side; or "time", at least two times of
        each trajectory on either side.
      key: a random key that chooses the trajectories; None for the last ones.

    Returns:
      `(train, held_out)`, two lists.

    Raises:
      ValueError: where there is too little to divide.

    Example:
      >>> ten = Trajectories(np.arange(3.0), np.zeros((10, 3, 1)))
      >>> train, held_out = split([ten], 0.2)
      >>> train[0].q.shape, held_out[0].q.shape
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
            "a key chooses trajectories; by time the end is held out: leave it out."
        )
    pairs = [_split_times(each, fraction, i) for i, each in enumerate(found)]
    return [train for train, _ in pairs], [held for _, held in pairs]


def _part(fraction: float, total: int) -> int:
    """That part of a number rounded up, but for the rounding of the product itself."""
    return math.ceil(fraction * total - 1e-9)


def _split_trajectories(found: list[Trajectories], fraction: float, key: Array | None):
    total = sum(len(each.q) for each in found)
    if total < 2:
        raise ValueError(
            "there is one trajectory, and none would be left to train on; hold the end "
            'of it out with by="time".'
        )
    order = np.arange(total)
    if key is not None:
        order = np.asarray(jax.random.permutation(key, total))
    held = np.zeros(total, bool)
    held[order[total - min(_part(fraction, total), total - 1) :]] = True
    parts = np.split(held, np.cumsum([len(each.q) for each in found])[:-1])
    train, held_out = (
        [
            _select(each, np.flatnonzero(part == kept))
            for each, part in zip(found, parts, strict=True)
            if np.any(part == kept)
        ]
        for kept in (False, True)
    )
    return train, held_out


def _split_times(each: Trajectories, fraction: float, number: int):
    total = len(each.t)
    if total < 4:
        raise ValueError(
            f"trajectory {number} of the list has {total} times; to hold the end of it "
            "out takes 4, two on either side. Leave it out."
        )
    start = total - min(max(_part(fraction, total), 2), total - 2)
    return tuple(
        _select(each._replace(t=each.t[part]), (slice(None), part))
        for part in (slice(0, start), slice(start, None))
    )


def _select(each: Trajectories, index: Any) -> Trajectories:
    """The same entries of every array with a trajectory axis."""
    names = (*COORDINATES, "energy", "u")
    kept = {k: x[index] for k in names if (x := getattr(each, k)) is not None}
    return each._replace(**kept)


def add_noise(
    trajectories: Trajectories,
    sigma: float | np.ndarray,
    key: Array,
    fields: Sequence[str] = ("q", "p"),
) -> Trajectories:
    """Independent Gaussian noise on the states, all else as it was.

    Args:
      trajectories: what it is added to.
      sigma: standard deviation, one number, or n numbers, in the units of the field.
      key: a random key; a field has the same noise whichever others have some.
      fields: of q, p, v, dq, dp, dv.

    Raises:
      ValueError: on a field that is not there, or a sigma that cannot be meant.

    Example:
      >>> still = Trajectories(np.arange(1e3), np.zeros((1, 1000, 1)))
      >>> noisy = add_noise(still, 0.1, jax.random.key(0), ("q",))
      >>> round(float(noisy.q.std()), 2)
      0.1
    """
    size = np.asarray(sigma)
    n = trajectories.q.shape[2]
    if size.shape not in ((), (n,)) or not np.all((size >= 0) & np.isfinite(size)):
        raise ValueError(
            f"sigma is {sigma}; expected a number ≥ 0, or {n} of them, one each q."
        )
    noisy = {}
    for name in fields:
        check_known("field", name, COORDINATES)
        x = getattr(trajectories, name)
        if x is None:
            known = [k for k in COORDINATES if getattr(trajectories, k) is not None]
            raise ValueError(
                f"these trajectories have no {name}; they have {', '.join(known)}: "
                "name the ones that noise is for in fields."
            )
        own = jax.random.fold_in(key, COORDINATES.index(name))
        draw = np.asarray(jax.random.normal(own, x.shape), float)
        noisy[name] = x + (size * draw).astype(x.dtype)
    return trajectories._replace(**noisy)
