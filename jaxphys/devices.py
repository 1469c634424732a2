"""Many devices, JAX's own way: batches in equal parts, all else on each of them.

A mesh that is in force, `with jax.set_mesh(mesh(8))`, says which devices. A train step
then splits the samples of its batch along the mesh's first axis, and has the weights
and the optimizer's memory whole on every device; the compiler adds what the devices
tell each other. Of a batch's Gram matrix each device makes the rows of its own samples,
before the matrix is gathered and factorized.

Of several processes, which `jax.distributed.initialize` joins, all run the same
program. The first one alone writes files and prints, and its clock is the one that
counts.
"""

import contextlib
import math
import os
import pathlib
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

__all__ = [
    "across",
    "agreed",
    "check_batch",
    "check_memory",
    "count",
    "host_memory",
    "is_first",
    "mesh",
    "split",
    "whole",
]

#: A pytree of arrays.
_Tree = Any


def mesh(devices: int | None = None) -> Mesh:
    """The first devices that JAX has, in a row.

    Args:
      devices: how many; None for all.

    Raises:
      ValueError: for more than there are, or where some process would have none.

    Example:
      >>> with jax.set_mesh(mesh(1)):
      ...     count()
      1
    """
    known = jax.devices()
    wanted = len(known) if devices is None else devices
    if wanted != int(wanted) or not 1 <= wanted <= len(known):
        kind, cure = known[0].platform, ""
        if kind == "cpu":
            flag = f"--xla_force_host_platform_device_count={wanted}"
            cure = f" XLA_FLAGS={flag} makes several of a processor, to try things out."
        raise ValueError(
            f"devices is {wanted}; expected 1 to {len(known)}, as many as JAX has here "
            f"({kind}).{cure}"
        )
    chosen = known[: int(wanted)]
    if len({device.process_index for device in chosen}) < jax.process_count():
        raise ValueError(
            f"devices is {wanted} of {len(known)}, which leaves some of the "
            f"{jax.process_count()} processes without; take all of them."
        )
    return Mesh(np.array(chosen), ("batch",), axis_types=(AxisType.Auto,))


@contextlib.contextmanager
def across(devices: int | None) -> Iterator[None]:
    """A region in which training uses so many devices.

    One device, or None with a single process, leaves things as they are: a mesh of
    the caller's stays in force. Of several processes the others than the first print
    nothing here.

    Raises:
      ValueError: as `mesh` does.

    Example:
      >>> with across(1):
      ...     count()
      1
    """
    several = jax.process_count() > 1
    if devices in (None, 1) and not several:
        yield
        return
    with contextlib.ExitStack() as stack:
        stack.enter_context(jax.set_mesh(mesh(devices)))
        if not is_first():
            nowhere = stack.enter_context(open(os.devnull, "w"))
            stack.enter_context(contextlib.redirect_stdout(nowhere))
        yield


def count() -> int:
    """Over how many devices batches are split: one where no mesh is in force.

    Raises:
      ValueError: for a mesh whose first axis is not JAX's to arrange.
    """
    found = jax.sharding.get_abstract_mesh()
    if found.empty:
        return 1
    if found.axis_types[0] != AxisType.Auto:
        raise ValueError(
            f"the mesh in force has the axis {found.axis_names[0]!r} of type "
            f"{found.axis_types[0].name}; expected Auto. Make it with "
            "jaxphys.devices.mesh, or give jax.make_mesh axis_types=(AxisType.Auto,)."
        )
    return found.axis_sizes[0]


def check_batch(batch_size: int) -> None:
    """A ValueError where a batch has no equal parts for the devices in force.

    Example:
      >>> check_batch(30)
    """
    number = count()
    if batch_size % number:
        near = [n * number for n in (batch_size // number, -(-batch_size // number))]
        sizes = " or ".join(str(n) for n in near if n)
        fewer = max(n for n in range(1, number) if batch_size % n == 0)
        raise ValueError(
            f"a batch of {batch_size} samples has no equal parts for {number} devices; "
            f"expected a batch size of {sizes}, or devices {fewer}."
        )


def split(tree: _Tree, axis: int = 0) -> _Tree:
    """Each array in equal parts along an axis, one a device, inside of a compilation.

    It is as it was where no mesh is in force, or where that axis has no equal parts.

    Example:
      >>> with jax.set_mesh(mesh(1)):
      ...     rows = jax.jit(split)(np.ones((4, 2)))
      >>> rows.shape, len(rows.sharding.device_set)
      ((4, 2), 1)
    """
    number = count()
    if jax.sharding.get_abstract_mesh().empty:
        return tree
    (name, *_) = jax.sharding.get_abstract_mesh().axis_names

    def one(x: Any) -> Any:
        if x.shape[axis] % number:
            return x
        return jax.lax.with_sharding_constraint(x, PartitionSpec(*[None] * axis, name))

    return jax.tree.map(one, tree)


def whole(tree: _Tree) -> _Tree:
    """Each array whole on every device of the mesh in force; as it was without one.

    Inside of a compilation it says so to the compiler, outside it moves the arrays. Of
    several processes all must have the same values.
    """
    found = jax.sharding.get_abstract_mesh()
    if found.empty:
        return tree
    leaves = jax.tree.leaves(tree)
    if any(isinstance(leaf, jax.core.Tracer) for leaf in leaves):
        return jax.lax.with_sharding_constraint(tree, PartitionSpec())
    return jax.device_put(tree, NamedSharding(jax.sharding.get_mesh(), PartitionSpec()))


def is_first() -> bool:
    """Whether this process is the one that writes and prints.

    Example:
      >>> is_first()
      True
    """
    return not jax.distributed.is_initialized() or jax.process_index() == 0


def agreed(*numbers: float) -> tuple[float, ...]:
    """These numbers as the first process has them: what its clock says, say.

    All processes wait here for each other. With one they are as they were.

    Example:
      >>> agreed(0.5, 2.0)
      (0.5, 2.0)
    """
    if not jax.distributed.is_initialized() or jax.process_count() == 1:
        return numbers
    from jax.experimental import multihost_utils

    told = multihost_utils.broadcast_one_to_all(np.array(numbers, np.float32))
    return tuple(float(x) for x in told)


def check_memory(need: float, what: str, lower: str) -> None:
    """A ValueError where something needs more memory than this process may have.

    Args:
      need: an estimate, in bytes.
      what: that needs it, in words.
      lower: what would need less.

    Example:
      >>> check_memory(1e18, "100 trajectories", "lower --trajectories")  \
# doctest: +ELLIPSIS
      Traceback (most recent call last):
      ValueError: 100 trajectories need about 1e+09 GB of memory, and there are ...
    """
    most = host_memory()
    if need > most:
        raise ValueError(
            f"{what} need about {need / 1e9:.3g} GB of memory, and there are "
            f"{most / 1e9:.3g} GB; {lower}."
        )


def host_memory() -> float:
    """Bytes of memory that this process may have, infinity where nothing tells.

    It is that of the machine, or less by a limit of the process or of its container.

    Example:
      >>> host_memory() > 1e8
      True
    """
    limits = [math.inf]
    with contextlib.suppress(AttributeError, ValueError, OSError):
        limits.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    with contextlib.suppress(OSError, ValueError):
        limits.append(int(pathlib.Path("/sys/fs/cgroup/memory.max").read_text()))
    with contextlib.suppress(ImportError):
        import resource

        soft, _ = resource.getrlimit(resource.RLIMIT_AS)
        if soft != resource.RLIM_INFINITY:
            limits.append(soft)
    return min(limits)
