"""Training states on disk, one file each, to go on from to the bit.

A file `STEP.state` is

    "jaxphys state 2\\n"   what it is, and the version of the layout
    two numbers           of bytes: of the whole file, and of the header
    header                JSON: the path, dtype and shape of each array, and notes
    arrays                their bytes, one after another
    SHA-256               of all that stands before

so that a file that was cut short or damaged is found out before anything in it is
used. The arrays are read into the dtypes and shapes of a state that the caller has:
nothing in the file is run, or decides what is made of it. Layout 1 was orbax's, and is
read still.
"""

import hashlib
import itertools
import json
import pathlib
import shutil
import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxphys import devices, files
from jaxphys.types import PyTree

__all__ = [
    "STATE_FORMAT",
    "clear",
    "exists",
    "latest_step",
    "restore",
    "save",
]

#: Of the layout of state files; a reader takes its own version and the one before.
STATE_FORMAT = 2

_KIND = b"jaxphys state "
_SIZES = struct.Struct("<QQ")
_DIGEST = hashlib.sha256().digest_size
_ANEW = "start anew in another directory"


class _Leaf(NamedTuple):
    """An array of a state: where it stands, what it is, and its value."""

    path: str
    dtype: str
    shape: tuple[int, ...]
    value: Any

    @property
    def named(self) -> tuple[str, str, list[int]]:
        """All but the value, as JSON has it."""
        return self.path, self.dtype, list(self.shape)


def save(
    directory: str | pathlib.Path,
    step: int,
    state: PyTree,
    notes: dict[str, Any],
    *,
    keep: int = 3,
) -> pathlib.Path:
    """Write a state under a step number, whole or not at all.

    A state that is there under the same number is replaced, and what a killed process
    had not written to its end is removed.

    Args:
      directory: made if it is not there.
      step: the number of updates.
      state: a pytree of arrays.
      notes: what else to keep, as JSON has it.
      keep: how many states are left, the newest.

    Returns:
      The file, which the first of several processes writes.

    Raises:
      OSError: where it cannot be written; the states before are as they were.

    Example:
      >>> import tempfile
      >>> folder = pathlib.Path(tempfile.mkdtemp())
      >>> for step in range(5):
      ...     path = save(folder, step, {"w": jnp.full(2, step)}, {"seconds": 0.5})
      >>> sorted(path.name for path in folder.iterdir())
      ['2.state', '3.state', '4.state']
      >>> state, notes = restore(folder, {"w": jnp.zeros(2, int)})
      >>> print(state["w"], notes)
      [4 4] {'seconds': 0.5}
    """
    directory = pathlib.Path(directory)
    if not devices.is_first():
        return _file(directory, step)
    directory.mkdir(parents=True, exist_ok=True)
    files.clear_leftovers(directory)
    path = _file(directory, step)
    leaves = _leaves(state)
    head = {"step": step, "arrays": [leaf.named for leaf in leaves], "notes": notes}
    header = json.dumps(head).encode()
    kind = _KIND + b"%d\n" % STATE_FORMAT
    values = [np.ascontiguousarray(leaf.value) for leaf in leaves]
    size = len(kind) + _SIZES.size + len(header) + _DIGEST
    size += sum(value.nbytes for value in values)
    digest = hashlib.sha256()
    with files.replacing(path) as file:
        start = (kind, _SIZES.pack(size, len(header)), header)
        parts: Iterator[Any] = itertools.chain(start, map(_bytes_of, values))
        for part in parts:
            digest.update(part)
            file.write(part)
        file.write(digest.digest())
    for old in _steps(directory)[:-keep]:
        _remove(directory, old)
    return path


def restore(
    directory: str | pathlib.Path, like: PyTree, step: int | None = None
) -> tuple[PyTree, dict]:
    """The newest state and its notes.

    Args:
      directory: where `save` was told to write.
      like: a state of the structure, shapes and dtypes that are expected.
      step: the number of a state, in place of the newest.

    Raises:
      FileNotFoundError: where there is none.
      ValueError: where it is damaged, of another version, or the state of another
        training; with the older one that is whole, if there is one.
    """
    directory = pathlib.Path(directory)
    steps = [at for at in _steps(directory) if step is None or at <= step]
    if not steps or (step is not None and steps[-1] != step):
        raise FileNotFoundError(f"{directory} holds no training state to go on from.")
    path = _file(directory, steps[-1])
    if not path.exists():
        return _restore_orbax(directory, steps[-1], like)
    try:
        header, body = _read(path)
    except ValueError as error:
        raise ValueError(f"{error}; {_older(directory, steps)}.") from error
    stored = [
        _Leaf(path, dtype, tuple(shape), None)
        for path, dtype, shape in header["arrays"]
    ]
    leaves = _leaves(like)
    _check_same(path, stored, leaves)
    begin, arrays = 0, []
    for leaf, kept in zip(leaves, jax.tree.leaves(like), strict=True):
        dtype = leaf.value.dtype
        count = int(np.prod(leaf.shape))
        flat = np.frombuffer(body, dtype, count, begin)
        begin += count * dtype.itemsize
        arrays.append(_placed(flat.reshape(leaf.shape), kept))
    return jax.tree.unflatten(jax.tree.structure(like), arrays), header["notes"]


def latest_step(directory: str | pathlib.Path) -> int | None:
    """The step number of the newest finished state, None where there is none."""
    steps = _steps(pathlib.Path(directory))
    return steps[-1] if steps else None


def exists(directory: str | pathlib.Path) -> bool:
    """Whether a directory holds a finished state."""
    return latest_step(directory) is not None


def clear(directory: str | pathlib.Path, after: int = -1) -> None:
    """Remove the training states of a directory, those after a step number."""
    directory = pathlib.Path(directory)
    if not devices.is_first():
        return
    files.clear_leftovers(directory)
    for step in _steps(directory):
        if step > after:
            _remove(directory, step)


def _file(directory: pathlib.Path, step: int) -> pathlib.Path:
    return directory / f"{step}.state"


def _steps(directory: pathlib.Path) -> list[int]:
    """The numbers of all states, those of layout 1, which are directories, as well."""
    if not directory.is_dir():
        return []
    names = {path.name.removesuffix(".state") for path in directory.iterdir()}
    return sorted(int(name) for name in names if name.isdecimal())


def _remove(directory: pathlib.Path, step: int) -> None:
    _file(directory, step).unlink(missing_ok=True)
    if (directory / str(step)).is_dir():
        shutil.rmtree(directory / str(step))


def _leaves(state: PyTree) -> list[_Leaf]:
    """The arrays of a state with their paths; random keys as the numbers they are."""
    found = []
    for path, x in jax.tree_util.tree_leaves_with_path(state):
        value = np.asarray(jax.random.key_data(x) if _is_key(x) else x)
        dtype = str(x.dtype if _is_key(x) else value.dtype)
        name = jax.tree_util.keystr(path)
        found.append(_Leaf(name, dtype, value.shape, value))
    return found


def _is_key(x: Any) -> bool:
    return isinstance(x, jax.Array) and jnp.issubdtype(x.dtype, jax.dtypes.prng_key)


def _bytes_of(x: np.ndarray) -> Any:
    """The bytes of an array, of any dtype, without a copy."""
    return x.reshape(-1).view(np.uint8).data


def _placed(x: np.ndarray, like: Any) -> Any:
    """An array where another one is: left to JAX's choice where that one is."""
    if not isinstance(like, jax.Array):
        return np.array(x) if isinstance(like, np.ndarray) else type(like)(x[()])
    if _is_key(like):
        return jax.random.wrap_key_data(jnp.array(x), impl=jax.random.key_impl(like))
    # An array that is committed to its device where the first one was not would make
    # another program of the same computation.
    if getattr(like, "committed", False):
        return jax.device_put(x, like.sharding)
    return jnp.array(x)


def _read(path: pathlib.Path) -> tuple[dict[str, Any], memoryview]:
    """The header and the arrays of a file that is whole, or a ValueError."""
    raw = memoryview(path.read_bytes())
    line = bytes(raw[: len(_KIND) + 8]).partition(b"\n")[0] + b"\n"
    version = line[len(_KIND) : -1]
    if not (line.startswith(_KIND) and version.isdigit()):
        raise ValueError(f"{path} does not begin as a training state does")
    begin = len(line) + _SIZES.size
    size, length = (
        _SIZES.unpack(raw[len(line) : begin]) if len(raw) > begin else (begin + 1, 0)
    )
    if len(raw) < size and int(version) <= STATE_FORMAT:
        raise ValueError(f"{path} is cut short, {len(raw)} bytes of {size}")
    if hashlib.sha256(raw[:-_DIGEST]).digest() != raw[-_DIGEST:]:
        raise ValueError(f"{path} is damaged, its checksum is another")
    if int(version) > STATE_FORMAT:
        raise ValueError(
            f"{path} has layout {int(version)}, and this version of jaxphys reads up "
            f"to {STATE_FORMAT}: install a newer one"
        )
    return json.loads(bytes(raw[begin : begin + length])), raw[begin + length :]


def _older(directory: pathlib.Path, steps: list[int]) -> str:
    """What to do about a file that is damaged."""
    for step in reversed(steps[:-1]):
        try:
            _read(_file(directory, step))
        except (ValueError, OSError):
            continue
        return (
            f"the one before, {_file(directory, step)}, is whole: remove "
            f"{steps[-1]}.state to go on from update {step}"
        )
    return f"there is no whole one beside it: {_ANEW}"


def _check_same(path: pathlib.Path, stored: list[_Leaf], wanted: list[_Leaf]) -> None:
    """A ValueError that names the first difference between two states."""
    there, here = ({leaf.path: leaf for leaf in x} for x in (stored, wanted))
    of_one = [name for name in (*there, *here) if (name in there) != (name in here)]
    for name in of_one[:1]:
        what = _owner(name)
        has, lacks = ("has", "lacks") if name in there else ("lacks", "has")
        raise ValueError(
            f"{path} is the state of another {what}: it {has} {_readable(name)}, which "
            f"this {what} {lacks}; go on with the {what} it was written by, or {_ANEW}."
        )
    for name, leaf in here.items():
        old = there[name]
        for kind in ("shape", "dtype"):
            was, now = getattr(old, kind), getattr(leaf, kind)
            if was != now:
                raise ValueError(
                    f"{path} was written with another {kind}: {_readable(name)} has "
                    f"{was} there and {now} here; go on with the settings it was "
                    f"written by, or {_ANEW}."
                )
    if [leaf.path for leaf in stored] != [leaf.path for leaf in wanted]:
        raise ValueError(f"{path} has its arrays in another order; {_ANEW}.")


def _owner(path: str) -> str:
    """What an array of a state belongs to."""
    return "optimizer" if path.startswith(".opt_state") else "network"


def _readable(path: str) -> str:
    return path.removeprefix(".") or "the state"


def _restore_orbax(
    directory: pathlib.Path, step: int, like: PyTree
) -> tuple[PyTree, dict]:
    """A state of layout 1, which versions up to 0.1 wrote through orbax."""
    import orbax.checkpoint as ocp

    items = ocp.args.Composite(
        state=ocp.args.StandardRestore(like), notes=ocp.args.JsonRestore()
    )
    try:
        with ocp.CheckpointManager(directory.absolute()) as manager:
            restored = manager.restore(step, args=items)
        _check_same(directory / str(step), _leaves(restored.state), _leaves(like))
    except Exception as error:  # whatever orbax makes of another tree, or of damage
        if isinstance(error, ValueError) and str(error).startswith(str(directory)):
            raise
        raise ValueError(
            f"{directory / str(step)}, written by an earlier version of jaxphys, is "
            f"damaged or the state of another optimizer or network: go on with the "
            f"settings it was written by, or {_ANEW}."
        ) from error
    values = (leaf.value for leaf in _leaves(restored.state))
    placed = map(_placed, values, jax.tree.leaves(like))
    return jax.tree.unflatten(jax.tree.structure(like), placed), restored.notes
