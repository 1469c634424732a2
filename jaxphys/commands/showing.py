"""`--show`: figures in the viewer that the system has for them."""

import os
import pathlib
import shutil
import subprocess
import sys

__all__ = ["show"]


def show(place: str | pathlib.Path) -> list[pathlib.Path]:
    """Open a figure, or all figures of a directory, and do not wait.

    Args:
      place: a PNG or GIF file, or a directory with some.

    Returns:
      The files that were opened; none where there is no display, which is said.
    """
    place = pathlib.Path(place)
    files = [place] if place.is_file() else _figures(place)
    opener = _opener()
    if opener is None:
        print(f"there is no display to show figures on; they are in {place}.")
        return []
    for file in files:
        if opener == "startfile":
            getattr(os, opener)(file)
        else:
            # In a session of its own: Ctrl-C in the terminal leaves the viewer open.
            subprocess.Popen(
                [opener, str(file)],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
    return files


def _figures(folder: pathlib.Path) -> list[pathlib.Path]:
    return sorted(x for x in folder.glob("*") if x.suffix in (".png", ".gif"))


def _opener() -> str | None:
    """The command that opens a file, None where nothing can be shown."""
    if sys.platform == "win32":
        return "startfile"
    if sys.platform == "darwin":
        return "open"
    if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return None
    return shutil.which("xdg-open")
