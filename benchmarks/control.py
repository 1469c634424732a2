"""Training through simulators: every method side by side, for as long as is published.

Each experiment is trained as `jaxphys run` does it; Levenberg–Marquardt and SPRING in
double precision, the others in single. `--only` takes an experiment or
EXPERIMENT/METHOD: methods that are measured at the same time, each in a process of its
own, are to have a core each (`taskset -c`), and records say how many they had.
"""

import pathlib
import shutil
import tempfile
from typing import Any, NamedTuple

from benchmarks import harness
from jaxphys import experiments
from jaxphys.experiments import RunOptions
from jaxphys.names import check_known

#: Methods that are measured in double precision.
PRECISE = ("levenberg_marquardt", "levenberg_marquardt_starts", "spring")

#: Looks of a history that are kept.
LOOKS = 120

_CONTROL = (
    "adam",
    "hig",
    "hig_small",
    "hig_large_steps",
    "gauss_newton",
    "gauss_newton_true_step",
    "gauss_newton_truncated",
    "levenberg_marquardt",
)

_FIVE = ("adam", "sip", "hig", "levenberg_marquardt", "spring")


class Case(NamedTuple):
    """What of an experiment is measured.

    Attributes:
      seconds: of training, each method.
      methods: those compared.
      seeds: each from so many.
      figures: of the run by Levenberg–Marquardt, kept beside the records.
      settings: of the experiment.
      experiment: its name where the case has another.
    """

    seconds: float
    methods: tuple[str, ...]
    seeds: int = 1
    figures: tuple[str, ...] = ()
    settings: tuple[tuple[str, Any], ...] = ()
    experiment: str | None = None


CASES = {
    "waves": Case(
        20.0,
        ("adam", "sip", "hig", "gauss_newton", "gauss_newton_true_step", *PRECISE),
        3,
    ),
    "rotated_sine": Case(20.0, _FIVE, 3),
    "exponential": Case(20.0, _FIVE, 3),
    "nonlinear_oscillators": Case(600.0, _CONTROL, figures=("motion",)),
    "nonlinear_oscillators_many": Case(
        600.0,
        tuple(x for x in _CONTROL if x not in ("hig", "hig_large_steps")),
        settings=(("samples", 65536),),
        experiment="nonlinear_oscillators",
    ),
    "nonlinear_oscillators_seeds": Case(
        600.0,
        ("adam", "hig_large_steps", "levenberg_marquardt"),
        3,
        experiment="nonlinear_oscillators",
    ),
    "nonlinear_oscillators_tanh": Case(
        120.0,
        ("adam", "hig_small", "levenberg_marquardt"),
        settings=(("activation", "tanh"),),
        experiment="nonlinear_oscillators",
    ),
    "quantum_dipole": Case(
        300.0, ("adam", "hig", "levenberg_marquardt"), figures=("motion",)
    ),
    "poisson": Case(120.0, (*_FIVE, "hig_kronecker"), figures=("fields",)),
    "heat": Case(120.0, ("adam", "sip")),
    "logistic": Case(5.0, ("adam", "levenberg_marquardt"), 5, figures=("solution",)),
    "burgers": Case(580.0, ("levenberg_marquardt",), figures=("solution",)),
}


def run(
    *, smoke: bool, only: tuple[str, ...] = ()
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Measure; returns (config, results)."""
    results: dict[str, Any] = {}
    for wanted in only or (("waves",) if smoke else tuple(CASES)):
        name, _, method = wanted.partition("/")
        check_known("experiment", name, CASES)
        case = CASES[name]
        if method:
            check_known("method", method, case.methods)
            case = case._replace(methods=(method,))
        if smoke:
            case = case._replace(seconds=0.3, seeds=1)
        results.setdefault(name, {}).update(_measured(name, case, smoke))
    return {"smoke": smoke}, results


def _measured(name: str, case: Case, smoke: bool) -> dict[str, Any]:
    """Method → its entry as in results.json, with its precision and cores."""
    found: dict[str, Any] = {}
    for dtype in ("float32", "float64"):
        chosen = [x for x in case.methods if (x in PRECISE) == (dtype == "float64")]
        if not chosen:
            continue
        with tempfile.TemporaryDirectory() as scratch:
            out = pathlib.Path(scratch) / "run"
            options = RunOptions(
                method=tuple(chosen),
                seconds=case.seconds,
                seeds=case.seeds,
                dtype=dtype,
                out=out,
                progress=False,
            )
            done = experiments.run(
                case.experiment or name, options, **dict(case.settings)
            )
            if "levenberg_marquardt" in chosen and not smoke:
                for figure in case.figures:
                    kept = harness.RESULTS / f"{name}_{figure}.png"
                    shutil.copy(out / f"{figure}.png", kept)
        cores = done.results["device"]["cores"]
        for method, entry in done.results["methods"].items():
            found[method] = _kept(entry) | {"dtype": dtype, "cores": cores}
    return {method: found[method] for method in case.methods if method in found}


def _kept(entry: dict[str, Any]) -> dict[str, Any]:
    """The entry with a history of at most so many looks, the last among them."""
    history = entry["history"]
    every = -(-len(history) // LOOKS)
    thin = history[:-1:every] + history[-1:]
    kept = entry | {"history": thin}
    if "repeats" in entry:
        kept["repeats"] = [_kept(each) for each in entry["repeats"]]
    return kept
