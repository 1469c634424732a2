"""The published experiments by name, all on one engine.

| room | what is in it |
|---|---|
| `control/` | a network trained through a simulator, and sweeps over such |
| `motion/` | a Hamiltonian, a Lagrangian or a field learned from motions |
| `engine` | `Experiment`, its rows, keys and options, and the one `run` |
| `comparing`, `comparison` | `jaxphys.compare` and what it leaves |
| `record` | results.json, tables, directories |
| `measures`, `figures` | how learned motions are judged and drawn |

`jaxphys list` shows all experiments by question, `jaxphys list NAME` the rows of one.
"""

import dataclasses
import importlib
from typing import Any

from jaxphys.experiments.engine import run as _run
from jaxphys.experiments.experiment import Experiment, Run, RunOptions
from jaxphys.experiments.resuming import stored
from jaxphys.names import check_known

#: What a person asks → the room that answers, and its experiments, each a module with
#: an `EXPERIMENT`.
_QUESTIONS = {
    "how does a network steer a simulator, and by which method": (
        "control",
        (
            "oscillators",
            "nonlinear_oscillators",
            "quantum_dipole",
            "poisson",
            "heat",
            "waves",
            "rotated_sine",
            "exponential",
            "van_der_pol",
            "swing_up",
            "ablations",
        ),
    ),
    "which function solves an equation": ("control", ("logistic", "burgers")),
    "which constants does a simulator have": ("control", ("identification",)),
    "which energy H(q, p) has a motion": (
        "motion",
        (
            "mass_spring",
            "pendulum",
            "seed_spring",
            "damped_spring",
            "pendulum_torque",
            "pendulum_chain",
            "two_body",
            "three_body",
        ),
    ),
    "which Lagrangian L(q, v) has a motion": (
        "motion",
        (
            "double_pendulum",
            "double_pendulum_box",
            "relativistic",
            "wave",
            "two_link_arm",
            "seed_polar",
            "seed_double_pendulum",
        ),
    ),
}

_PLACES = {name: room for room, names in _QUESTIONS.values() for name in names}


def by_question() -> dict[str, tuple[str, ...]]:
    """The names of all experiments, by the question that they answer.

    Example:
      >>> by_question()["which constants does a simulator have"]
      ('identification',)
    """
    return {question: names for question, (_, names) in _QUESTIONS.items()}


def names() -> tuple[str, ...]:
    """The names of all experiments.

    Example:
      >>> "oscillators" in names()
      True
    """
    return tuple(_PLACES)


def get(name: str) -> Experiment:
    """The experiment of that name.

    Raises:
      ValueError: for an unknown name, with the known ones and the nearest match.

    Example:
      >>> get("oscillators").settings().oscillators
      2
    """
    check_known("experiment", name, names())
    module = importlib.import_module(f"jaxphys.experiments.{_PLACES[name]}.{name}")
    return module.EXPERIMENT


def run(
    experiment: str | Experiment, options: RunOptions | None = None, **settings: Any
) -> Run:
    """Run an experiment: every row from every seed; a table, results and figures.

    Args:
      experiment: its name, or an `Experiment` of your own.
      options: what every run understands; budgets, seeds, output.
      settings: the experiment's own, such as `oscillators=3`; of a run that is resumed,
        those that are not given are the run's.

    Returns:
      A `Run`. Ctrl-C and SIGTERM end it with what was done until then.

    Raises:
      ValueError: for unknown names and invalid settings, with nothing written.

    Example:
      >>> import pathlib, tempfile
      >>> out = pathlib.Path(tempfile.mkdtemp()) / "run"
      >>> options = RunOptions(method=("adam",), steps=2, out=out, progress=False)
      >>> done = run("oscillators", options, samples=256)  # doctest: +ELLIPSIS
      2 oscillators, linear coupling: adam; results in ...
      >>> entry = done.results["methods"]["adam"]
      >>> entry["model"], entry["optimizer"], entry["final"]["step"]
      ('mlp', 'adam', 2)
    """
    if isinstance(experiment, str):
        experiment = get(experiment)
    known = [field.name for field in dataclasses.fields(experiment.settings)]
    for name in settings:
        check_known("setting", name, known)
    if options is not None and options.resume:
        own, _ = stored(experiment, options.out)
        return _run(experiment, dataclasses.replace(own, **settings), options)
    return _run(experiment, experiment.settings(**settings), options)


__all__ = [
    "Experiment",
    "Run",
    "RunOptions",
    "by_question",
    "get",
    "names",
    "run",
    "stored",
]
