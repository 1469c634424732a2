"""`jaxphys.check`: one probe after another, from what is worst on."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from jaxphys._jaxpr.places import place_of
from jaxphys.checks import check_count
from jaxphys.doctor import blindness, derivatives, horizon, spectrum, updates, values
from jaxphys.doctor.case import NOT_TRACEABLE, Case, make_case
from jaxphys.doctor.record import SEVERITIES, Finding, Report

__all__ = ["check"]


def check(
    f: Callable, example: Any, *, seed: int = 0, time_updates: bool = True
) -> Report:
    """Examine a differentiable function at an example: what is wrong with its gradient?

    It is differentiated by all real and complex numbers of the example, in float64.
    Everything else of it, whole numbers, keys, functions, stays as it is.

    Args:
      f: a simulator, a residual or a loss: a pure function of pytrees of JAX arrays.
      example: its argument; or a tuple of several. A NamedTuple is one argument.
        Numbers that are typical: their sizes decide how far the function is moved.
      seed: of the random directions.
      time_updates: whether to time an update of Adam and of Levenberg–Marquardt, whose
        compilation may take longer than all else.

    Returns:
      A `Report`: `print` it, `.plot()` it, or read `.ok`, `.faults` and `.findings`,
      whose names are in the table of `jaxphys.doctor`.

    Raises:
      TypeError: if f is no function.
      ValueError: for an example without real numbers, or with a NaN, and for one that
        f does not take.

    Example:
      >>> import jax.numpy as jnp
      >>> report = check(lambda q: jnp.sqrt(q @ q), jnp.zeros(2), time_updates=False)
      >>> report.faults
      ('gradient_not_finite',)
      >>> print(report.findings[0].cure)
      its derivative does not exist at zero: take the squared norm, or sqrt(|x|² + ε²).
    """
    seed = check_count("seed", seed, 0)
    with jax.enable_x64(True):
        try:
            case = make_case(f, example, seed)
        except NOT_TRACEABLE as error:
            return _not_traceable(f, error)
        return _examined(case, time_updates)


def _examined(case: Case, time_updates: bool) -> Report:
    curves: dict[str, Any] = {}
    found = list(_findings(case, time_updates, curves))
    order = {kind: number for number, kind in enumerate(SEVERITIES)}
    found.sort(key=lambda finding: order[finding.severity])
    return Report(
        case.name,
        {leaf.name: leaf.value.shape for leaf in case.leaves},
        len(case.weights),
        str(jax.devices()[0].device_kind),
        tuple(found),
        curves,
        round(case.cost, 1),
    )


def _findings(case: Case, time_updates: bool, curves: dict[str, Any]) -> list[Finding]:
    if not len(case.weights):
        seen = "the function returns no real number; there is nothing to differentiate."
        return [Finding("no_gradient", "fault", seen)]
    found = values.value_is_finite(case)
    if found:
        # Nothing can be said of derivatives, but of the way to where it broke.
        loops, curves["horizon"] = horizon.over_the_horizon(case)
        return found + loops
    found = values.derivatives_exist(case)
    if any(each.name == "no_gradient" for each in found):
        return found + blindness.unseen_inputs(case, np.ones((1, len(case.x))))
    forward = not found
    found += values.gradient_is_finite(case)
    broken = any(each.name == "gradient_not_finite" for each in found)
    if broken:
        found += blindness.unseen_inputs(case, np.ones((1, len(case.x))))
    else:
        faults = values.forward_is_finite(case) if forward else []
        found += faults
        found += _of_derivatives(case, forward and not faults, curves)
    loops, curves["horizon"] = horizon.over_the_horizon(case)
    found += loops
    if time_updates and not broken:
        told, curves["updates"] = updates.times_of_updates(case)
        found += told
    return found


def _of_derivatives(case: Case, forward: bool, curves: dict[str, Any]) -> list[Finding]:
    """What is seen of finite derivatives; `forward` says whether J v is one."""
    found = derivatives.both_ways(case) if forward else []
    told, curves["differences"] = derivatives.by_differences(case)
    found += told
    found += derivatives.in_single_precision(case)
    told, gradients = blindness.jumps(case)
    found += told
    here = case.pull(case.x)[1][None]
    found += blindness.unseen_inputs(case, np.concatenate([gradients, here]))
    told, curves["spectrum"] = spectrum.of_the_jacobian(case, forward=forward)
    found += told
    return found


def _not_traceable(f: Callable, error: Exception) -> Report:
    """A report on a function that JAX cannot trace."""
    seen = f"JAX cannot trace it: {values.short(error)}"
    cure = (
        "use jnp in place of np, lax.cond or jnp.where in place of if, and no float() "
        "of what depends on the inputs."
    )
    where = str(place_of(error))
    name = getattr(f, "__name__", type(f).__name__)
    finding = Finding("not_traceable", "fault", seen, where, cure)
    kind = str(jax.devices()[0].device_kind)
    return Report(name, {}, 0, kind, (finding,), {}, 0.0)
