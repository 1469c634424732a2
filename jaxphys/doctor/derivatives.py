"""Is the derivative that of the values? Forward, backward, by differences, in float32.

With random v and w, w·(J v) and (Jᵀ w)·v are one number by two ways, and the difference
quotient of w·F along v is a third. Differences lose digits at small steps and are wrong
at large ones; where two neighboring steps agree, their difference says how far it can
be trusted.
"""

import warnings

import jax
import jax.numpy as jnp
import numpy as np

from jaxphys._jaxpr.walk import nested
from jaxphys.doctor.case import Case
from jaxphys.doctor.record import Finding
from jaxphys.doctor.values import places_of

__all__ = ["both_ways", "by_differences", "in_single_precision"]

#: Steps of the differences, in units of the example's size.
_STEPS = (1e-2, 1e-3, 1e-4, 1e-5)
#: The same where the function itself computes in single precision.
_COARSE = (1e-1, 3e-2, 1e-2, 3e-3)
#: Errors of a derivative from which on something is wrong.
_TOLERANCE, _SINGLE = 1e-6, 1e-2

_RULES = ("custom_jvp_call", "custom_vjp_call", "custom_linear_solve", "stop_gradient")


def both_ways(case: Case) -> list[Finding]:
    """w·(J v) against (Jᵀ w)·v."""
    _, gradient = case.pull(case.x)
    forward = float(case.weights @ case.push(case.direction))
    backward = float(gradient @ case.direction)
    size = float(np.sum(np.abs(gradient * case.direction)))
    error = abs(forward - backward) / max(size, abs(forward), 1e-300)
    numbers = {"error": error, "forward": forward, "backward": backward}
    tolerance = 1e-3 if _single(case) else _TOLERANCE
    if error <= tolerance:
        seen = f"forward and backward derivatives agree to {error:.0e}."
        return [Finding("jvp_vjp", "note", seen, numbers=numbers)]
    seen = (
        f"forward and backward derivatives differ: {forward:.6g} and {backward:.6g} "
        "for the same number."
    )
    cure = (
        "one of a rule's two directions is wrong, such as a transposed solve: look at "
        "the rules of your own."
    )
    return [Finding("jvp_vjp", "fault", seen, _suspects(case), cure, numbers)]


def _single(case: Case) -> bool:
    """Whether the function computes in single precision, whatever it is handed."""
    rest, kinds = [case.closed.jaxpr], set()
    while rest:
        jaxpr = rest.pop()
        for eqn in jaxpr.eqns:
            kinds |= {str(getattr(v.aval, "dtype", "")) for v in eqn.outvars}
            rest += nested(eqn)
    return bool(kinds & {"float32", "float16", "bfloat16", "complex64"})


def _suspects(case: Case) -> str:
    """The lines of rules of the user's own, and of stopped gradients."""
    lines = dict.fromkeys(str(place) for place in places_of(case.closed.jaxpr, _RULES))
    return "; ".join(list(lines)[:3])


def by_differences(case: Case) -> tuple[list[Finding], dict]:
    """The derivative along a random direction against difference quotients."""
    value, gradient = case.pull(case.x)
    exact = float(gradient @ case.direction)
    center = float(case.weights @ value)
    steps = _COARSE if _single(case) else _STEPS
    sides = np.array(
        [
            [
                case.weights @ case.value(case.x + sign * h * case.direction)
                for sign in (1, -1)
            ]
            for h in steps
        ]
    )
    h = np.array(steps)
    quotients = (sides[:, 0] - sides[:, 1]) / (2 * h)
    gaps = np.abs(np.diff(quotients))
    if not np.isfinite(gaps).any():
        seen = "values beside the example are not finite; differences tell nothing."
        cure = "the example lies at the edge of what the function is defined for."
        return [Finding("finite_differences", "warning", seen, "", cure)], {}
    best = int(np.nanargmin(np.where(np.isfinite(gaps), gaps, np.inf)))
    found, trust = quotients[best + 1], gaps[best]
    size = max(abs(exact), abs(found), 1e-12 * abs(center), 1e-300)
    # Rounding of the values, divided by the step.
    digits = np.finfo("float32" if _single(case) else float).eps
    noise = digits * float(np.sum(np.abs(case.weights * value))) / h[best + 1]
    error = abs(found - exact) / size
    doubt = max(trust - 10 * noise, 0.0) / max(abs(found), 1e-300)
    curve = {"steps": h, "errors": np.abs(quotients - exact) / size}
    numbers = {"error": error, "doubt": doubt, "exact": exact, "differences": found}
    if doubt > 0.1:
        seen = "difference quotients do not settle; they cannot judge it."
        return [Finding("finite_differences", "note", seen, numbers=numbers)], curve
    if error <= max(1e-4, 10 * doubt, 10 * noise / size):
        seen = f"the derivative is that of finite differences to {error:.0e}."
        return [Finding("finite_differences", "note", seen, numbers=numbers)], curve
    one_sided = (sides[best + 1] - center) / (h[best + 1] * np.array([1, -1]))
    if abs(one_sided[0] - one_sided[1]) > max(1e-3, 10 * doubt) * size:
        seen = (
            f"the example stands on a kink: the slope is {one_sided[0]:.6g} on one "
            f"side and {one_sided[1]:.6g} on the other; the derivative says "
            f"{exact:.6g}."
        )
        cure = "take an example beside it, or a smooth function."
        return [Finding("kink", "warning", seen, "", cure, numbers)], curve
    seen = (
        f"the derivative along a random direction is {exact:.6g}, by finite "
        f"differences {found:.6g}."
    )
    cure = (
        "the derivative is not that of the values: a rule of your own is wrong, or "
        "stop_gradient hides a way."
    )
    where = _suspects(case)
    return [Finding("finite_differences", "fault", seen, where, cure, numbers)], curve


def in_single_precision(case: Case) -> list[Finding]:
    """Value and gradient in float32 against float64."""
    double, gradient = case.pull(case.x)
    try:
        with jax.enable_x64(False), warnings.catch_warnings():
            # What the function asks for in float64 is float32 then: the point of it.
            warnings.simplefilter("ignore", UserWarning)
            value, rough = _rough(case)
    except Exception:  # It holds on to 64 bit arrays, which do not go with others.
        value, rough = _rough(case)
    case.cost += 1
    of_value = _relative(value, double)
    of_gradient = _relative(rough * case.scale, gradient * case.scale)
    numbers = {"value_error": of_value, "gradient_error": of_gradient}
    seen = f"in float32 values are off by {of_value:.0e}, the gradient by "
    seen += f"{of_gradient:.0e}"
    if max(of_value, of_gradient) <= _SINGLE:
        return [Finding("float32", "note", f"{seen}.", numbers=numbers)]
    if not np.isfinite(of_gradient + of_value):
        seen = "in float32 it is not finite, in float64 it is"
    cure = (
        "compute in float64 (jax_enable_x64), or look for a small difference of large "
        "numbers, a large exponent, and sums over many terms."
    )
    return [Finding("float32", "warning", f"{seen}.", "", cure, numbers)]


def _rough(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """Value and gradient from float32 on."""
    closed = case.trace("float32")

    def run(x):
        (outputs,) = jax.core.eval_jaxpr(
            closed.jaxpr, closed.consts, *case.given(x, "float32")
        )
        return outputs.astype("float32")

    @jax.jit
    def both(x, w):
        value, pull = jax.vjp(run, x)
        return value, pull(w)[0]

    x, w = (jnp.asarray(a, "float32") for a in (case.x, case.weights))
    value, rough = both(x, w)
    return np.asarray(value, float), np.asarray(rough, float)


def _relative(found: np.ndarray, exact: np.ndarray) -> float:
    size = np.linalg.norm(exact)
    if size == 0:
        return float(np.linalg.norm(found) > 0)
    return float(np.linalg.norm(found - exact) / size)
