"""Laws that `jaxphys identify` found the constants of, back from its report.json.

The report names the law, a system or FILE.py:NAME, and has its constants with their
covariance. A system is one of jaxphys; a file of Python is run again, as it was when
its constants were found. What was learned beside it is in a model file, learned.npz,
with the covariance of constants and weights.
"""

import json
import pathlib
import warnings
from collections import namedtuple
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from jaxphys import checkpoint, systems
from jaxphys.commands.fitting.resuming import digest
from jaxphys.commands.loading import function_of, module_of
from jaxphys.learning import count_weights
from jaxphys.learning.beside import LEARNED, KnownAndLearned, Network
from jaxphys.learning.constants import BoundLaw
from jaxphys.learning.constants.extras import extras_of
from jaxphys.learning.constants.law import Measured, law_of
from jaxphys.names import check_known
from jaxphys.types import PhaseState, System, TangentState

__all__ = [
    "constants_of",
    "folder_of",
    "keep_network",
    "known_law",
    "law_facts",
    "load_law",
    "report_of_law",
]

#: The model file of what was learned beside a law.
_NETWORK = "learned.npz"

_STATES = {kind.__name__: kind for kind in (PhaseState, TangentState)}


def known_law(law: str) -> System | Callable:
    """A system by name, or a function of a file.

    Raises:
      FileNotFoundError: where there is no such file.
      ValueError: for an unknown name, and for what is no function.

    Example:
      >>> known_law("pendulum").name
      'pendulum'
    """
    if ":" not in law:
        return systems.get(check_known("system", law, systems.names()))
    return function_of(*module_of(law))


def constants_of(given: Mapping[str, float]) -> Any:
    """A NamedTuple of these constants, which are also read as those of a dict.

    Example:
      >>> c = constants_of({"mass": 2.0})
      >>> c.mass == c["mass"] == c[0]
      True
    """
    make: Any = namedtuple  # a type checker wants to see its names written out
    base = make("Constants", given)

    def read(self: Any, key: Any) -> Any:
        return getattr(self, key) if isinstance(key, str) else tuple(self)[key]

    return type("Constants", (base,), {"__slots__": (), "__getitem__": read})(**given)


def law_facts(law: str, kind: str | None, bound: BoundLaw) -> dict[str, Any]:
    """What report.json needs so that `load_law` has the law again.

    Args:
      law: as it was named.
      kind: of the function, where that was given.
      bound: the law with its constants.
    """
    path, colon, name = law.rpartition(":")
    place = f"{pathlib.Path(path).resolve()}:{name}" if colon else law
    return {
        "place": place,
        "sha256": digest(path) if colon else None,
        "kind": kind,
        "values": bound.params,
        "covariance": bound.covariance.tolist(),
        "state": bound.measured.state.__name__,
        "measured": list(bound.measured[1:]),
        "step": bound.step,
        "linear": bound.linear,
    }


def keep_network(found: KnownAndLearned, out: pathlib.Path) -> dict[str, Any]:
    """Write the network beside a law as a model file.

    Args:
      found: the law with its network.
      out: the directory of the run.

    Returns:
      What it changes in the `law_facts`: weights and covariance are in the file.
    """
    network, covariance = found.network, found.law.covariance
    notes = {
        "learned": network.learned,
        "covariance": covariance.tolist() if np.any(covariance) else None,
    }
    path = checkpoint.save_model(
        out / _NETWORK, network.kind, network.arguments, network.weights, notes
    )
    return {
        "values": found.constants,
        "covariance": None,
        "network": {"file": _NETWORK, "sha256": digest(path)},
    }


def _network_of(
    folder: pathlib.Path, facts: dict[str, Any]
) -> tuple[Network, np.ndarray | None]:
    """What was learned beside a law, and the covariance, from the model file."""
    path = folder / _NETWORK
    if not path.is_file():
        raise FileNotFoundError(
            f"there is no {path}, which has what was learned beside the law."
        )
    if digest(path) != facts.get("sha256"):
        raise ValueError(
            f"{path} is not as this run wrote it, its checksum is another; take a copy "
            "of it, or run jaxphys identify again."
        )
    model = checkpoint.load(path)
    notes = model.notes
    network = Network(notes.get("learned", ""), model.arguments, model.params)
    if network.learned not in LEARNED or network.kind != model.kind:
        raise ValueError(f"{path} is not what jaxphys identify --learned leaves.")
    kept = notes.get("covariance")
    return network, None if kept is None else np.array(kept, float)


def folder_of(run: str | pathlib.Path) -> pathlib.Path:
    """The directory of a run that is named by itself, or by a file in it."""
    run = pathlib.Path(run)
    return run if run.is_dir() else run.parent


def report_of_law(run: str | pathlib.Path) -> dict[str, Any] | None:
    """The report.json of an identification; None where a run is something else.

    Args:
      run: the directory, or its report.json.
    """
    path = pathlib.Path(run)
    path = path / "report.json" if path.is_dir() else path
    if path.name != "report.json" or not path.is_file():
        return None
    try:
        report = json.loads(path.read_text())
    except ValueError:
        return None
    return report if isinstance(report, dict) and "law" in report else None


def load_law(run: str | pathlib.Path, law: System | Callable | None = None) -> BoundLaw:
    """The law of an identification with the constants that were found for it.

    Args:
      run: the directory that `jaxphys identify` left, or its report.json.
      law: the system or the function, where it is not to be taken from the place that
        the report names; the file of a function is run.

    Returns:
      A `BoundLaw`, to be called as an energy, followed, and handed on as `.dynamics`.

    Raises:
      FileNotFoundError: where there is no such run, or its law's file is gone.
      ValueError: where the run is no finished identification, the law has other
        constants by now, or the model file of what was learned is another.

    Example:
      >>> import contextlib, io, jax, tempfile
      >>> from jaxphys.commands import IdentifyOptions, identify_constants
      >>> jax.config.update("jax_enable_x64", True)
      >>> folder = pathlib.Path(tempfile.mkdtemp())
      >>> t = np.linspace(0.0, 6.0, 61)
      >>> rows = np.stack([t, np.cos(2 * t), -2 * np.sin(2 * t)], axis=1)
      >>> np.savetxt(folder / "a.csv", rows, delimiter=",", header="t,q,v", comments="")
      >>> options = IdentifyOptions(
      ...     folder / "a.csv", fixed=("mass=1",), out=folder / "found"
      ... )
      >>> with contextlib.redirect_stdout(io.StringIO()):
      ...     _ = identify_constants("mass_spring", options)
      >>> law = load_law(folder / "found")
      >>> round(law.params["stiffness"], 3)
      4.0
      >>> print(law(np.ones(1), np.zeros(1)).round(3))
      2.0
    """
    report = report_of_law(run)
    if report is None:
        if not pathlib.Path(run).exists():
            raise FileNotFoundError(f"there is no run {run}.")
        raise ValueError(f"{run} is not what jaxphys identify leaves.")
    facts = report.get("model")
    if not isinstance(facts, dict):
        raise ValueError(
            f"{run} has no constants to go on with; its status is "
            f"{report.get('status')}. Run jaxphys identify again."
        )
    try:
        values, covariance = facts["values"], facts["covariance"]
        covariance = None if covariance is None else np.array(covariance, float)
        measured = Measured(_STATES[facts["state"]], *facts["measured"])
        step, linear, kind = float(facts["step"]), bool(facts["linear"]), facts["kind"]
        place, written = facts["place"], facts["sha256"]
        options = report["options"]
        friction, sensors = options["friction"], options["sensors"]
        beside = dict(facts.get("network") or {})
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{run} has a damaged report.json; run jaxphys identify again."
        ) from error
    network = None
    if beside:
        network, covariance = _network_of(folder_of(run), beside)
    if law is None:
        file = pathlib.Path(place.rpartition(":")[0])
        if written is not None and file.is_file() and digest(file) != written:
            warnings.warn(
                f"{file} has changed since these constants were found; if the law did, "
                "run jaxphys identify again.",
                stacklevel=2,
            )
        law = known_law(place)
    constants = None
    if not isinstance(law, System):
        n, columns = measured.num_coordinates, (*measured.state._fields, "u")
        own = len(values) - len(extras_of(friction, sensors, n, columns))
        constants = constants_of(dict(list(values.items())[:own]))
    made = law_of(
        law,
        constants,
        measured,
        kind=kind,
        friction=friction,
        sensors=sensors,
        learned=None if network is None else network.part,
    )
    known = len(values)
    weights = 0 if network is None else count_weights(network.kind, network.arguments)
    if made.names[:known] != tuple(values) or len(made.names) != known + weights:
        shown = made.names[: len(made.names) - weights]
        raise ValueError(
            f"{run} has the constants {', '.join(values)}; its law has "
            f"{', '.join(shown)} by now. Run jaxphys identify again."
        )
    c = np.concatenate([np.array(list(values.values()), float), made.start[known:]])
    if covariance is None:
        covariance = np.zeros((len(c), len(c)))
    name = place.rpartition(":")[2]
    return BoundLaw(name, made, c, covariance, measured, step, linear)
