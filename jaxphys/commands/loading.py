"""Functions of a user's own file, named on the command line as FILE.py:NAME."""

import importlib.util
import pathlib
import sys
from collections.abc import Callable
from types import ModuleType

__all__ = ["function_of", "module_of"]


def module_of(text: str) -> tuple[ModuleType, str]:
    """The module and the name of FILE.py:NAME; the file is run.

    Raises:
      FileNotFoundError: where there is no such file.
      ValueError: for a text without a name, a file that is no Python, and one that
        fails when it is run.
    """
    path, colon, name = text.rpartition(":")
    if not (colon and path and name):
        raise ValueError(f"got {text!r}; expected FILE.py:NAME, a function in a file.")
    file = pathlib.Path(path)
    if not file.is_file():
        raise FileNotFoundError(f"there is no file {file}.")
    spec = importlib.util.spec_from_file_location(file.stem, file)
    if spec is None or spec.loader is None:
        raise ValueError(f"{file} is no file of Python; expected FILE.py:NAME.")
    module = importlib.util.module_from_spec(spec)
    # What it imports stands beside it, as where it is run by itself.
    sys.path.insert(0, str(file.resolve().parent))
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise ValueError(
            f"{file} cannot be run: {type(error).__name__}: {error}"
        ) from error
    finally:
        sys.path.remove(str(file.resolve().parent))
    return module, name


def function_of(module: ModuleType, name: str) -> Callable:
    """A function of a module.

    Raises:
      ValueError: where it has none of that name, with those that it has.

    Example:
      >>> function_of(pathlib, "Path").__name__
      'Path'
    """
    found = getattr(module, name, None)
    if not callable(found):
        own = [k for k, x in vars(module).items() if callable(x) and k[0] != "_"]
        raise ValueError(
            f"{module.__file__} has no function {name}; it has "
            f"{', '.join(own) or 'none'}."
        )
    return found
