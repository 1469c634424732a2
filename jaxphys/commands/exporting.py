"""`jaxphys export`: what was fitted or identified, as a file that JAX alone runs."""

import dataclasses
import pathlib
from typing import Any

from jaxphys import checkpoint
from jaxphys.commands.laws import folder_of, load_law, report_of_law

__all__ = ["ExportOptions", "export"]


@dataclasses.dataclass(frozen=True)
class ExportOptions:
    """Write a fitted motion as one file that runs without jaxphys.

    Attributes:
      out: the file, .npz; RUN/exported.npz by default.
      dtype: of states and weights, `float32` or `float64`; by default as they were
        fitted.
    """

    out: pathlib.Path | None = None
    dtype: str | None = None


def export(run: str | pathlib.Path, options: ExportOptions) -> pathlib.Path:
    """Export a run of `fit` or `identify` by `jaxphys.checkpoint.export_motion`.

    Of an identified law it is the motion of true states: sensors are no part of it.

    Args:
      run: the directory of a fit or of an identification, or the fit's model file.
      options: where to, and in which precision.

    Returns:
      The file.

    Raises:
      ValueError: for options that make no sense, and runs that have no motion.
      FileNotFoundError: where there is no such run.
    """
    out = pathlib.Path(options.out or folder_of(run) / "exported.npz")
    about: dict[str, Any]
    if report_of_law(run) is not None:
        law = load_law(run)
        dynamics, params = law.dynamics, law.params
        n = law.measured.num_coordinates
        about = {"law": law.name, "constants": law.params}
    else:
        learned = checkpoint.load(run)
        dynamics, params = learned.dynamics, learned.params
        n = int(learned.arguments["num_coordinates"])
        about = {"model": learned.kind, "data": (learned.notes or {}).get("file")}
    out.parent.mkdir(parents=True, exist_ok=True)
    path = checkpoint.export_motion(
        out, dynamics, params, n, dtype=options.dtype, about=about
    )
    functions = "vector_field" + ("" if dynamics.energy is None else ", energy")
    print(f"{functions} of {n} coordinates for cpu, cuda and tpu in {path}")
    return path
