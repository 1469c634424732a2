"""Inputs that do nothing, and changes that no derivative tells of.

A derivative is zero where the function is constant between jumps: `floor`, `argmax`, a
comparison. Along a line, the integral of the derivative is the change of the value if
the function is continuous. What is missing, the jumps made.
"""

import numpy as np

from jaxphys._jaxpr.flow import Cut, flow
from jaxphys.doctor.case import Case, Leaf
from jaxphys.doctor.record import Finding

__all__ = ["jumps", "unseen_inputs"]

#: Half of the line, in units of the example's size, and where it is looked at: Gauss.
_REACH = 0.1
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(4)
#: Shares of the change that the derivative does not see, of a change that is resolved
#: by the nodes, and of one that is not.
_RESOLVED, _ROUGH = 0.05, 0.3
#: How much of a gradient may be in the last of the four terms that the nodes resolve.
_LAST = 0.1

#: Names of an argument on which a law need not depend.
_TIMES = ("t", "time")


def unseen_inputs(case: Case, gradients: np.ndarray) -> list[Finding]:
    """Inputs by which the derivative is zero: do they do nothing, or is it blind?

    Args:
      case: the function.
      gradients: Jᵀ w at several points, (k, P).
    """
    reached, cuts = flow(case.closed)
    found = []
    base = case.value(case.x)
    for number, leaf in enumerate(case.leaves):
        bit = 1 << number
        if not leaf.size:
            continue
        if not any(reach.any & bit for reach in reached):
            found.append(_idle(case, leaf, leaf.name, "no output depends on it"))
            continue
        blind = not any(reach.smooth & bit for reach in reached)
        zero = ~np.any(gradients[:, leaf.span], axis=0)
        if not (blind or zero.any()):
            continue
        found += _of_zeros(
            case, leaf, zero | blind, base, [c for c in cuts if c.lost & bit]
        )
    return found


def _of_zeros(
    case: Case, leaf: Leaf, zero: np.ndarray, base: np.ndarray, cuts: list[Cut]
) -> list[Finding]:
    """What entries do by which the derivative is zero at every point."""
    entries = leaf.first + np.flatnonzero(zero)
    moved = max(_moved(case, entries, case.x, base, size) for size in (1.0, 10.0))
    whole = bool(zero.all())
    name = leaf.name if whole else f"{leaf.name}, entries {_listed(zero)}"
    if moved == 0:
        # What is off here, as a unit of a network, may be on elsewhere.
        for _ in range(2):
            x = case.x + case.scale * case.draw()
            if _moved(case, entries, x, case.value(x), 1.0):
                return []
        return [_idle(case, leaf, name, "moved by its size, it changes nothing")]
    if not whole:
        return []
    lines = "; ".join(dict.fromkeys(str(cut.place) for cut in cuts))
    kinds = ", ".join(dict.fromkeys(cut.place.primitive for cut in cuts))
    seen = (
        f"the derivative by {name} is zero, and values change with it, by {moved:.2g} "
        "of their size" + (f"; it ends in {kinds}." if kinds else ".")
    )
    cure = (
        "no gradient can train it: replace the step by a smooth one (a sigmoid, a "
        "softmax, a penalty force), or search without derivatives."
    )
    return [Finding("blind_input", "fault", seen, lines, cure, {"moved": moved})]


def _moved(
    case: Case, entries: np.ndarray, x: np.ndarray, base: np.ndarray, size: float
) -> float:
    """How far values move as some entries do."""
    x = x.copy()
    x[entries] += size * case.scale[entries] * case.draw()[entries]
    return _change(case.value(x), base)


def _idle(case: Case, leaf: Leaf, name: str, how: str) -> Finding:
    seen = f"{name} does nothing: {how}"
    if leaf.name in _TIMES or leaf in case.state_like:
        # An autonomous law has no time, and a symmetric one a cyclic coordinate.
        return Finding("idle_input", "note", f"{seen}, as by a symmetry.", name)
    cure = "use it, or leave it out; its weights get no gradient."
    return Finding("idle_input", "warning", f"{seen}.", name, cure)


def _listed(mask: np.ndarray) -> str:
    places = [str(i) for i in np.flatnonzero(mask)]
    return ", ".join(places[:6]) + (", …" if len(places) > 6 else "")


def _change(value: np.ndarray, base: np.ndarray) -> float:
    """How far values moved, beside their size; what is not finite has moved."""
    difference = np.linalg.norm(value - base)
    size = np.linalg.norm(base)
    return float(np.nan_to_num(difference / (size or 1.0), nan=1.0, posinf=1.0))


def jumps(case: Case) -> tuple[list[Finding], np.ndarray]:
    """The change along a line against the integral of the derivative; and Jᵀ w there.

    Returns:
      What was found, and the gradients at the nodes, (4, P).
    """
    half = _REACH * case.direction
    ends = [case.weights @ case.value(case.x + sign * half) for sign in (1, -1)]
    gradients = np.array([case.pull(case.x + node * half)[1] for node in _NODES])
    slopes = gradients @ half
    change, seen = ends[0] - ends[1], float(_WEIGHTS @ slopes)
    if not np.isfinite([change, seen]).all():
        return [], gradients[np.isfinite(gradients).all(axis=1)]
    size = max(abs(change), float(_WEIGHTS @ np.abs(slopes)))
    # Below it is rounding.
    least = 1e-9 * float(np.sum(np.abs(case.weights * case.value(case.x))))
    if size <= least:
        return [], gradients
    share = abs(change - seen) / size
    last = _last_term(slopes)
    _, cuts = flow(case.closed)
    steps = [cut for cut in cuts if cut.place.primitive != "stop_gradient"]
    limit = _RESOLVED if last < _LAST else _ROUGH
    numbers = {"unseen": share, "change": change, "integral": seen}
    if share <= limit or not steps:
        return [], gradients
    places = dict.fromkeys(str(cut.place) for cut in steps)
    text = (
        f"over ±{_REACH:.0%} of the example the value changes by {change:.3g}, of "
        f"which the derivative sees {seen:.3g}: there are jumps between."
    )
    cure = (
        "the gradient misses what happens at the jumps (a contact, a switch, a cell of "
        "a table): smooth them, solve for the time of the event, or average the "
        "gradient over noise."
    )
    where = "; ".join(list(places)[:3])
    return [Finding("jump", "fault", text, where, cure, numbers)], gradients


def _last_term(slopes: np.ndarray) -> float:
    """The share of the highest of the four Legendre polynomials in slopes at nodes."""
    terms = np.polynomial.legendre.legfit(_NODES, slopes, 3)
    return float(abs(terms[-1]) / (np.abs(terms).max() or 1.0))
