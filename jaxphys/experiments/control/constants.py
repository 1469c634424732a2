"""Constants that were recovered, beside the truth and what noise lets anyone know."""

from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxphys import problems
from jaxphys.experiments import record
from jaxphys.experiments.experiment import Run
from jaxphys.problems.identification import standard_errors
from jaxphys.types import Array, PyTree

__all__ = ["EXACT", "Constant", "recovered", "relative_errors", "report", "table"]

#: Without noise a constant counts as found within this relative error.
EXACT = 1e-6


class Constant(NamedTuple):
    """How tables and figures name a constant."""

    symbol: str
    unit: str


def relative_errors(true: Mapping[str, float]) -> Callable[[PyTree], dict[str, float]]:
    """`errors(params) -> {NAME_error: number}`, of weights that begin with logarithms.

    Args:
      true: the constants as they are, in the order of the weights.
    """

    def errors(params: PyTree) -> dict[str, float]:
        values = np.exp(np.asarray(params, float)[: len(true)])
        return {
            f"{name}_error": float(x) / actual - 1
            for (name, actual), x in zip(true.items(), values, strict=True)
        }

    return errors


def _knowable(run: Run, names: Collection[str], actual: Array) -> dict[str, float]:
    """The relative standard error that the noise leaves each constant.

    Args:
      run: whose settings have `noise`.
      names: of the constants.
      actual: the weights as they are; they begin with the constants' logarithms.
    """
    inputs, _ = run.samples.train
    outputs = problems.outputs(*run.built)

    @jax.jit
    def errors() -> Array:
        return standard_errors(outputs, actual, inputs, noise=run.settings.noise)

    # What is not determined at all has an error without bound, or not a number.
    bounded = np.nan_to_num(np.asarray(errors(), float), nan=1e300, posinf=1e300)
    return dict(zip(names, bounded[: len(names)].tolist(), strict=True))


def report(
    run: Run, true: Mapping[str, float], actual: Array, unknown: Mapping[str, Constant]
) -> None:
    """Add `constants`, which is `recovered`, to results.json, and print its table.

    Args:
      run: whose settings have `noise`.
      true: the constants as they are.
      actual: the weights as they are.
      unknown: what the constants are called.
    """
    left, noisy = _knowable(run, true, actual), run.settings.noise > 0
    found = recovered(true, run.results["methods"], left, noisy=noisy)
    run.results["constants"] = found
    record.write_json(run.out / "results.json", run.results)
    print("\n" + table(found, unknown))


def recovered(
    true: Mapping[str, float],
    methods: Mapping[str, Any],
    knowable: Mapping[str, float],
    *,
    noisy: bool,
) -> dict[str, Any]:
    """What each method recovered from the first seed, beside the truth.

    Args:
      true: the constants as they are.
      methods: the `methods` of a results.json, with an entry `NAME_error` for each
        constant in every look.
      knowable: the relative standard errors that the noise leaves.
      noisy: whether there is noise.

    Returns:
      method → `reached`, the updates and seconds from which on all constants are
      within three standard errors of the truth (without noise, within 1e-6), or None;
      and `constants`, name → true, start and recovered value, relative error, and
      standard error.
    """
    bound = {name: 3 * x if noisy else EXACT for name, x in knowable.items()}
    determined = all(x < 1 for x in knowable.values())

    def inside(look: Mapping[str, float]) -> bool:
        return all(abs(look[f"{name}_error"]) <= bound[name] for name in true)

    def one(history: list[dict[str, float]]) -> dict[str, Any]:
        stay = len(history)
        while stay and inside(history[stay - 1]):
            stay -= 1
        reached = None
        if determined and stay < len(history):
            reached = {key: history[stay][key] for key in ("step", "seconds")}
        constants = {}
        for name, actual in true.items():
            first, last = (history[i][f"{name}_error"] for i in (0, -1))
            constants[name] = {
                "true": actual,
                "start": actual * (1 + first),
                "recovered": actual * (1 + last),
                "relative_error": last,
                "standard_error": knowable[name],
            }
        return {"reached": reached, "constants": constants}

    return {name: one(entry["history"]) for name, entry in methods.items()}


def table(constants: Mapping[str, Any], unknown: Mapping[str, Constant]) -> str:
    """The closing table of constants; `constants` is from `recovered`."""
    header = ["method", "constant", "true", "start", "recovered", "rel. error"]
    lines = [[*header, "std. error", "ratio", "updates", "seconds"]]
    for method, entry in constants.items():
        reached = entry["reached"]
        when = [f"{reached['step']}", f"{reached['seconds']:.2f}"] if reached else "––"
        for number, (name, x) in enumerate(entry["constants"].items()):
            error, knowable = x["relative_error"], x["standard_error"]
            lines.append(
                [
                    "" if number else method,
                    f"{name} [{unknown[name].unit}]",
                    *(f"{x[key]:.5f}" for key in ("true", "start", "recovered")),
                    f"{error:+.1e}",
                    f"{knowable:.1e}" if knowable < 1 else "∞",
                    f"{error / knowable:+.1f}" if 0 < knowable < 1 else "–",
                    *(("", "") if number else when),
                ]
            )
    noisy = any(x["standard_error"] for x in entry["constants"].values())
    within = "three standard errors" if noisy else f"{EXACT:g}"
    return (
        f"{record.aligned(lines)}\n"
        f"updates and seconds: from there on all constants are within {within}\n"
        "std. error: what the noise of the data leaves, relative; ratio: error by it"
    )
