"""Other files than text, and what is in memory, as a `Table` or as arrays by name.

Arrays of one axis are columns, those of two have a column for each entry, or a row for
each trajectory; arrays of three axes are (trajectories, times, coordinates).
"""

import importlib
import math
import os
import pathlib
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxphys import devices, files
from jaxphys.data._columns import Table, find_roles
from jaxphys.data._layout import Stored

__all__ = ["KINDS", "arrays_in", "numpy_file", "table_or_stored"]

#: Files that hold arrays by name, or a table that another package reads.
KINDS = (".npz", ".npy", ".mat", ".parquet")

#: Bytes that one byte can unpack to at most, by the format of zlib.
_DENSEST = 1032


def arrays_in(path: pathlib.Path) -> Any:
    """What a file holds: a dict of arrays, one array, or a DataFrame.

    Raises:
      ValueError: where the file cannot be read, or takes a package that is not there.
      FileNotFoundError: where there is no such file.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}.")
    suffix = path.suffix.lower()
    if suffix in (".npz", ".npy"):
        return numpy_file(path)
    if suffix == ".mat":
        return _matlab(path)
    pandas = _package("pandas", path)
    try:
        return pandas.read_parquet(path)
    except Exception as error:
        raise ValueError(f"{path} could not be read by pandas: {error}") from error


def numpy_file(path: pathlib.Path) -> Any:
    """The array of an .npy file, or those of an .npz by name.

    Raises:
      ValueError: where it is neither, is damaged, or unpacks to more than memory has.
    """
    with path.open("rb") as opened:
        try:
            file = np.load(opened, allow_pickle=False)
        except (*files.DAMAGE, ValueError) as error:
            kind = f"{path.suffix} file of plain arrays"
            raise ValueError(f"{path} is not an {kind}.") from error
        if isinstance(file, np.ndarray):
            return file
        try:
            _check_sizes(path, file)
            return {name: _array(path, file, name) for name in file.files}
        except files.DAMAGE as error:
            raise ValueError(f"{path} is damaged; take a copy of it.") from error


def _array(path: pathlib.Path, file: Any, name: str) -> np.ndarray:
    """An array of an archive, unless it is one of Python's objects."""
    try:
        return file[name]
    except ValueError as error:
        if "allow_pickle" not in str(error):
            raise
        raise ValueError(
            f"{path} has Python's objects in {name}, which are not read, as reading "
            "them may run anything; save plain arrays of numbers."
        ) from error


def _check_sizes(path: pathlib.Path, file: Any) -> None:
    """Refuse an archive that unpacks to more than memory, before it is unpacked.

    A few kilobytes can unpack to terabytes, and the header of an array can ask for any
    size, whatever follows.
    """
    _check_size(path, sum(member.file_size for member in file.zip.infolist()))
    for member in file.zip.infolist():
        with file.zip.open(member) as raw:
            version = np.lib.format.read_magic(raw)
            read = np.lib.format.read_array_header_1_0
            if version >= (2, 0):
                read = np.lib.format.read_array_header_2_0
            shape, _, dtype = read(raw)
            if math.prod(shape) * dtype.itemsize > member.file_size:
                raise ValueError(
                    f"{path} is cut short: {member.filename} has {member.file_size} "
                    f"bytes, too few for {dtype} of shape {shape}."
                )


def _check_size(path: pathlib.Path, total: int) -> None:
    most = devices.host_memory() / 2
    if total > most:
        raise ValueError(
            f"{path} unpacks to {total / 1e9:.3g} GB; at most {most / 1e9:.3g}, half "
            "of this machine's memory, are read. Divide it into several files."
        )


def _package(name: str, path: pathlib.Path) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        package = name.partition(".")[0]
        raise ValueError(
            f"{path} is read by {package}, which is not installed; install it (python "
            f"-m pip install {package}), or save the data as .csv."
        ) from error


def _matlab(path: pathlib.Path) -> dict[str, Any]:
    scipy = _package("scipy.io", path)
    _check_matlab(path)
    try:
        found = scipy.loadmat(path, simplify_cells=True)
    except NotImplementedError as error:
        raise ValueError(
            f"{path} is of MATLAB's version 7.3; save it there by save(..., '-v7')."
        ) from error
    except Exception as error:
        raise ValueError(f"{path} is not a .mat file: {error}") from error
    names = [name for name in found if not name.startswith("__")]
    if len(names) == 1 and isinstance(found[names[0]], dict):
        found, names = found[names[0]], list(found[names[0]])
    return {name: np.asarray(found[name]) for name in names}


def _check_matlab(path: pathlib.Path) -> None:
    """Refuse a file whose compressed arrays unpack to more than memory.

    A file of version 5 is 128 bytes, then elements of a kind, a length and contents;
    those of kind 15 are compressed. What is no such file, SciPy refuses.
    """
    size = path.stat().st_size
    if size * _DENSEST <= devices.host_memory() / 2:
        return
    total = 0
    with path.open("rb") as file:
        order: Any = "big" if file.read(128)[-2:] == b"MI" else "little"
        while len(tag := file.read(8)) == 8:
            kind, length = (int.from_bytes(x, order) for x in (tag[:4], tag[4:]))
            if kind != 15:
                file.seek(length, os.SEEK_CUR)
                total += length
                continue
            end, unpacker = file.tell() + length, zlib.decompressobj()
            try:
                while piece := file.read(min(2**16, end - file.tell())):
                    total += len(unpacker.decompress(piece))
                    _check_size(path, total)
            except zlib.error as error:
                raise ValueError(f"{path} is damaged; take a copy of it.") from error
    _check_size(path, total)


def table_or_stored(
    source: Any, asked: Mapping[str, str] | None = None
) -> Table | Stored:
    """A DataFrame, a mapping of arrays, or one array with named or numbered columns.

    Raises:
      TypeError: where it is none of these.
      ValueError: where arrays do not fit to one another.
    """
    if hasattr(source, "columns") and hasattr(source, "to_numpy"):
        names = [str(name) for name in source.columns]
        columns = [np.asarray(source.iloc[:, i]) for i in range(len(names))]
        return _table(dict(zip(names, columns, strict=True)))
    if isinstance(source, Mapping):
        arrays = {str(name): np.asarray(x) for name, x in source.items()}
        return _by_name(arrays, asked)
    if not isinstance(source, np.ndarray):
        raise TypeError(
            f"got {type(source).__name__}; expected a DataFrame, a dict of arrays, or "
            "an array (rows, columns)."
        )
    if source.dtype.names:
        return _table({name: source[name] for name in source.dtype.names})
    if source.ndim != 2:
        raise ValueError(
            f"the array has shape {source.shape}; expected (rows, columns)."
        )
    return _table({str(i + 1): x for i, x in enumerate(source.T)})


def _table(columns: Mapping[str, np.ndarray]) -> Table:
    lengths = {len(x) for x in columns.values()}
    if len(lengths) != 1 or lengths == {0}:
        shown = ", ".join(f"{name} {len(x)}" for name, x in columns.items())
        raise ValueError(
            f"the columns have different lengths, or none: {shown or 'nothing'}."
        )
    arrays = [_plain(x) for x in columns.values()]
    return Table(list(columns), arrays, np.arange(lengths.pop()))


def _plain(x: np.ndarray) -> np.ndarray:
    """Numbers or points in time as they are, all else as text."""
    if x.dtype.kind in "fiubM":
        return x
    text = np.array(["" if y is None or y != y else str(y) for y in x.tolist()])
    try:
        return text.astype(float)
    except ValueError:
        return text


def _by_name(
    arrays: Mapping[str, np.ndarray], asked: Mapping[str, str] | None
) -> Table | Stored:
    """Columns where every array is some, else arrays by role with three axes."""
    if not arrays:
        raise ValueError("the source has no arrays; expected some by name.")
    if len(arrays) == 1:
        return table_or_stored(next(iter(arrays.values())))
    vectors = {name: x for name, x in arrays.items() if x.size > 1 and x.ndim}
    # MATLAB has no vectors, only matrices with one row or column.
    flat = {
        name: x.reshape(-1) if x.ndim == 2 and 1 in x.shape else x
        for name, x in vectors.items()
    }
    roles = find_roles(list(flat), asked)
    names = list(flat)
    times = flat[names[roles.columns["t"][0]]]
    found = {
        name: _spread(name, flat[name], times)
        for indices in roles.columns.values()
        for name in (names[i] for i in indices)
    }
    if all(len(x) == 1 and x[0].ndim == 1 for x in found.values()):
        return _table({k: x for k, x in flat.items() if x.shape == times.shape})
    if all(y.ndim == 1 for x in found.values() for y in x):
        # Several columns an array: their roles follow from its own.
        role = {names[i]: which for which, ix in roles.columns.items() for i in ix}
        numbered: dict[str, int] = {}
        columns = {}
        for name, parts in found.items():
            for part in parts:
                number = numbered[role[name]] = numbered.get(role[name], 0) + 1
                alone = role[name] in ("t", "energy", "trajectory")
                columns[role[name] + ("" if alone else str(number))] = part
        return _table(columns)
    return _stored(found, names, roles.columns)


def _spread(name: str, x: np.ndarray, times: np.ndarray) -> list[np.ndarray]:
    """An array as its columns (T,), or as one array (N, T, n)."""
    count = times.shape[-1]
    if x.shape == (count,):
        return [x]
    if x.ndim == 2 and times.ndim == 1 and x.shape[0] == count:
        return list(x.T)
    if x.ndim == 2 and x.shape[1] == count:
        return [x[..., None]]
    if x.ndim == 3 and x.shape[1] == count:
        return [x]
    raise ValueError(
        f"{name} has shape {x.shape}; expected ({count},), ({count}, n) or (N, {count}"
        f", n), as there are {count} times."
    )


def _stored(
    found: Mapping[str, list[np.ndarray]],
    names: list[str],
    columns: Mapping[str, list[int]],
) -> Stored:
    """Arrays (N, T, n) by role."""
    arrays: dict[str, Any] = {}
    for role, indices in columns.items():
        parts = [part for i in indices for part in found[names[i]]]
        if role == "t":
            arrays["t"] = parts[0][..., 0] if parts[0].ndim == 3 else parts[0]
        elif role == "energy":
            arrays["energy"] = parts[0][..., 0]
        elif role != "trajectory":
            shapes = {part.shape[:2] for part in parts if part.ndim == 3}
            if len(shapes) != 1:
                raise ValueError(
                    f"the arrays of {role} have shapes {[x.shape for x in parts]}; "
                    "expected (N, T, n) with the same N and T."
                )
            arrays[role] = np.concatenate(parts, axis=2)
    return Stored(arrays, {})
