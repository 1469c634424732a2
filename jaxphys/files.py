"""Files that are whole or not there: written beside their place, then put into it.

A process may be killed at any moment, and a disk be full at any byte. What is read
under a name was then written to its end: the bytes reach the disk under another name
first, and `os.replace` puts them into place at once.
"""

import contextlib
import difflib
import errno
import functools
import os
import pathlib
import re
import sys
import zipfile
import zlib
from collections.abc import Iterator
from typing import BinaryIO

from jaxphys import stopping

__all__ = ["DAMAGE", "clear_leftovers", "is_leftover", "replacing", "trouble"]

#: What reading an archive raises that is cut short, changed or encrypted.
DAMAGE = (EOFError, MemoryError, RuntimeError, zipfile.BadZipFile, zlib.error)

#: The end of the names of files that are being written.
_PARTIAL = re.compile(r".\.[0-9a-f]{8}\.part$")

_FULL = (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC))
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
_OF_ANOTHER_KIND = (errno.EISDIR, errno.ENOTDIR)


@contextlib.contextmanager
def replacing(path: str | pathlib.Path) -> Iterator[BinaryIO]:
    """A file to write, which takes the place of `path` once all of it is on disk.

    Of several processes the first writes it, and the others to nowhere.

    Raises:
      OSError: that names `path`, with nothing left behind and `path` as it was.

    Example:
      >>> import tempfile
      >>> path = pathlib.Path(tempfile.mkdtemp()) / "note"
      >>> with replacing(path) as file:
      ...     _ = file.write(b"whole")
      >>> path.read_bytes(), len(list(path.parent.iterdir()))
      (b'whole', 1)
    """
    path = pathlib.Path(path)
    if not _is_first():
        with open(os.devnull, "wb") as nowhere:
            yield nowhere
        return
    # Two processes, or two threads of one, never write to one name.
    partial = path.with_name(f"{path.name}.{os.urandom(4).hex()}.part")
    # A command that is ended in the midst of a write takes its part along.
    with stopping.last_words(functools.partial(_remove, partial)):
        try:
            with partial.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, path)
            _sync(path.parent)
        except OSError as error:
            if error.errno is None:
                raise
            raise OSError(error.errno, error.strerror, str(path)) from error
        finally:
            _remove(partial)


def _remove(path: pathlib.Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()


def _is_first() -> bool:
    """Whether this process writes, of several.

    Without JAX there is but one. The command line sets what JAX reads when it starts,
    after this module is there.
    """
    if "jax" not in sys.modules:
        return True
    from jaxphys import devices

    return devices.is_first()


def _sync(directory: pathlib.Path) -> None:
    """Bring the names in a directory to the disk, on systems that know of it."""
    with contextlib.suppress(OSError):
        handle = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def clear_leftovers(directory: str | pathlib.Path) -> None:
    """Remove what a killed process had not written to its end.

    Example:
      >>> import tempfile
      >>> folder = pathlib.Path(tempfile.mkdtemp())
      >>> (folder / "results.json.0a1b2c3d.part").touch()
      >>> clear_leftovers(folder)
      >>> list(folder.iterdir())
      []
    """
    for path in pathlib.Path(directory).glob("*.part"):
        if is_leftover(path) and _is_first():
            _remove(path)


def is_leftover(path: pathlib.Path) -> bool:
    """Whether a file is one that `replacing` had not written to its end.

    Example:
      >>> is_leftover(pathlib.Path("a.json.0a1b2c3d.part"))
      True
      >>> is_leftover(pathlib.Path("film.part"))
      False
    """
    return _PARTIAL.search(path.name) is not None


def _near(path: str | bytes | int) -> str:
    """A hint at a file beside it whose name is nearly the same."""
    if isinstance(path, int):
        return ""
    missing = pathlib.Path(os.fsdecode(path))
    with contextlib.suppress(OSError):
        names = os.listdir(missing.parent)
        if near := difflib.get_close_matches(missing.name, names, n=1, cutoff=0.75):
            return f" Did you mean {missing.parent / near[0]}?"
    return ""


def trouble(error: OSError) -> str:
    """What went wrong with a file, and what to do, in one sentence.

    Example:
      >>> print(trouble(OSError(errno.ENOSPC, "No space left on device", "a/b.json")))
      no space is left to write a/b.json: free some, or name another place; what was
      written before is whole.
    """
    where = error.filename if error.filename is not None else "a file"
    before = "what was written before is whole."
    if error.errno == errno.ENOENT:
        return f"{where}: no such file or directory; check its name.{_near(where)}"
    if error.errno in _FULL:
        return (
            f"no space is left to write {where}: free some, or name another place; "
            f"{before}"
        )
    if error.errno in _FORBIDDEN:
        return (
            f"there is no permission for {where}: change that, or name another "
            f"place; {before}"
        )
    if error.errno in _OF_ANOTHER_KIND:
        return (
            f"{where} stands in the way, a directory where a file belongs or a file "
            f"where a directory does: move it, or name another place; {before}"
        )
    reason = (error.strerror or str(error)).lower()
    return f"{where}: {reason}; {before}"
