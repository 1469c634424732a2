"""How far a loop's gradient reaches: does it vanish, explode, or is the motion chaotic?

A change of the state y_0 is Φ_k times as large after k steps. The gradient of what the
loop ends with by what it began with is of that size.
"""

import numpy as np

from jaxphys._jaxpr.growth import Growth, growth
from jaxphys.doctor.case import Case
from jaxphys.doctor.record import Finding

__all__ = ["over_the_horizon"]

#: Factors from which on a change is lost, or is all that is seen.
_FAR = np.log(1e3)
#: How many times its size at first a state may reach and still be bounded.
_BOUNDED = 30.0


def over_the_horizon(case: Case) -> tuple[list[Finding], dict]:
    """The growth over the longest loop, and a verdict."""
    loops = growth(case.closed, case.given(case.x, "float64"))
    if not loops:
        return [], {}
    case.cost += 2
    longest = max(loops, key=lambda each: len(each.logs))
    logs = np.asarray(longest.logs)
    # A change of length zero has the logarithm −∞, and stays so.
    broken = np.isnan(logs) | (logs == np.inf)
    if not broken.any():
        return [_verdict(longest, logs)], {"logs": logs}
    logs = logs[: np.argmax(broken)]
    # A NaN says nothing of the horizon, but what overflowed has grown before.
    found = [_verdict(longest, logs)] if logs.size and logs[-1] >= _FAR else []
    return found, {"logs": logs} if logs.size else {}


def _verdict(loop: Growth, logs: np.ndarray) -> Finding:
    steps, where = len(logs), str(loop.place)
    end = float(logs[-1])
    rate = float(logs[-1] - logs[steps // 2]) / max(steps - 1 - steps // 2, 1)
    sizes = np.asarray(loop.sizes)[:steps]
    top = float(sizes.max())
    bounded = top <= _BOUNDED * max(float(loop.start), 1e-3 * top) and top < np.inf
    numbers = {"steps": steps, "log10_growth": end / np.log(10), "rate": rate}
    factor = _power(end)
    whole = len(loop.logs)
    over = f"{whole}" if steps == whole else f"the first {steps} of {whole}"
    head = f"over {over} steps a change of the state becomes {factor} times as large"
    name = "horizon"
    if end <= -_FAR:
        seen = f"vanishing: {head}; the end does not know of the beginning."
        cure = (
            "only the last steps train: let the loss see states on the way, start "
            "from later states, or take fewer, longer steps."
        )
        return Finding(name, "warning", seen, where, cure, numbers)
    if end < _FAR:
        seen = f"steady: {head}."
        return Finding(name, "note", seen, where, "", numbers)
    within = f", e times in {1 / rate:.3g} steps" if rate > 0 else ""
    if bounded and rate > 0:
        seen = f"chaotic: {head}{within}, and the state stays bounded."
    else:
        seen = f"exploding: {head}{within}, and the state with it."
    return Finding(name, "warning", seen, where, _SHORTER, numbers)


_SHORTER = (
    "shorten the horizon or let it grow, use multiple shooting, clip gradients, and "
    "compute in float64; for an unstable integrator take a smaller step."
)


def _power(log: float) -> str:
    """e^log as people write it, where it would overflow too."""
    if not np.isfinite(log):
        return "0" if log < 0 else str(log)
    exponent = log / np.log(10)
    return f"{np.exp(log):.2g}" if abs(exponent) < 3 else f"1e{exponent:+.1f}"
