"""Compiled programs kept between runs, so that the same command starts sooner.

JAX can keep what it compiled in a folder. Here it is one in the user's cache folder,
by version of JAX and by what the processor can do, as a program that was compiled for
another processor may not run on this one.
"""

import contextlib
import hashlib
import os
import pathlib
import platform
import sys

import jax

__all__ = ["folder", "keep_compilations"]

#: JAX's own variable, which chooses another folder; empty for none.
_VARIABLE = "JAX_COMPILATION_CACHE_DIR"
#: Bytes in all; what was not used for longest goes first.
_LARGEST = 2**30
#: Seconds of compilation that are worth a file.
_WORTH = 0.3


def keep_compilations(chosen: str | None = None) -> None:
    """Keep compiled programs in a folder, for this process and later ones.

    Args:
      chosen: a folder, or "off". By default JAX's own choice where
        JAX_COMPILATION_CACHE_DIR is set, and `folder()` otherwise.

    Example:
      >>> keep_compilations("off")
      >>> print(jax.config.jax_compilation_cache_dir)
      None
    """
    if chosen is None and _VARIABLE in os.environ:
        return
    place = None if chosen == "off" else chosen or str(folder())
    jax.config.update("jax_compilation_cache_dir", place)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", _WORTH)
    if place is not None:
        _trim(pathlib.Path(place), _LARGEST)


def _trim(place: pathlib.Path, largest: int) -> None:
    """Remove what was not used for longest, until the rest is no larger than that.

    JAX would do this by itself, with a package that is not always there.
    """
    found = []
    for path in place.glob("*-cache"):
        # Another process may be doing the same.
        with contextlib.suppress(OSError):
            facts = path.stat()
            found.append((max(facts.st_atime, facts.st_mtime), facts.st_size, path))
    total = sum(size for _, size, _ in found)
    for _, size, path in sorted(found):
        if total <= largest:
            return
        with contextlib.suppress(OSError):
            path.unlink()
        total -= size


def folder() -> pathlib.Path:
    """Where they are kept: `jaxphys` in the user's cache folder, by JAX and processor.

    Example:
      >>> folder().parent.name
      'jaxphys'
    """
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA", str(pathlib.Path.home()))
    elif sys.platform == "darwin":
        base = str(pathlib.Path.home() / "Library" / "Caches")
    else:
        base = os.environ.get("XDG_CACHE_HOME", str(pathlib.Path.home() / ".cache"))
    mark = hashlib.sha256(_processor().encode()).hexdigest()[:8]
    return pathlib.Path(base) / "jaxphys" / f"jax-{jax.__version__}-{mark}"


def _processor() -> str:
    """What tells processors apart that cannot run each other's programs."""
    told = [platform.machine(), platform.processor()]
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return " ".join(told)
    kinds = ("flags", "model name", "Features", "CPU part")
    told += sorted({line for line in lines if line.startswith(kinds)})
    return " ".join(told)
