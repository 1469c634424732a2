"""Data sets as pytrees with a leading sample axis, and the order they are read in."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxphys.types import Array, PyTree


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
