"""Are the values finite, and the derivatives? If not, which line is it?"""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from jaxphys._jaxpr.places import Place, place
from jaxphys._jaxpr.walk import nested
from jaxphys._jaxpr.watch import watch
from jaxphys.doctor.case import Case
from jaxphys.doctor.locating import Trap, root_of_gradient, root_of_value, trap
from jaxphys.doctor.record import Finding
from jaxphys.types import Array

__all__ = [
    "derivatives_exist",
    "forward_is_finite",
    "gradient_is_finite",
    "places_of",
    "short",
    "value_is_finite",
]


def value_is_finite(case: Case) -> list[Finding]:
    """The value at the example, and if it is not finite, the line that made it so."""
    value = case.value(case.x)
    broken = ~np.isfinite(value)
    if not broken.any():
        return []
    case.cost += 2
    _, notes = watch(case.closed, case.given(case.x, "float64"))
    kind = "NaN" if np.isnan(value).any() else "infinite"
    seen = f"{broken.sum()} of {value.size} outputs are {kind}"
    root = root_of_value(notes)
    if root is None:
        return [Finding("value_not_finite", "fault", f"{seen}.")]
    # An infinity that was to be left out may come back as 0 · ∞ in a derivative.
    known = trap(root, notes, taken=root.nan)
    return [
        Finding(
            "value_not_finite",
            "fault",
            seen + _of(root.place, known, root.loop, root.step),
            str(root.place),
            known.cure + ".",
            {"broken": float(broken.sum())},
        )
    ]


def derivatives_exist(case: Case) -> list[Finding]:
    """Whether JAX has both derivatives of the function."""
    found = []
    shape = jax.ShapeDtypeStruct(case.x.shape, "float64")
    weights = jax.ShapeDtypeStruct(case.weights.shape, "float64")
    try:
        jax.eval_shape(lambda x, w: jax.vjp(case.run, x)[1](w), shape, weights)
    except Exception as error:  # Whatever a rule raises, there is no derivative.
        loops = places_of(case.closed.jaxpr, ("while",))
        cure = (
            "a loop of unknown length keeps no states for the way back: take lax.scan, "
            "or a fori_loop with bounds that are numbers"
            if loops
            else "give what stops it a derivative by jax.custom_jvp"
        )
        where = str(loops[0]) if loops else ""
        seen = f"there is no reverse derivative: {short(error)}"
        found.append(Finding("no_gradient", "fault", seen, where, f"{cure}."))
    try:
        pushed = jax.make_jaxpr(lambda x, v: jax.jvp(case.run, (x,), (v,)))
        # What a rule for the way back leaves here fails when it is compiled.
        if places_of(pushed(shape, shape).jaxpr, ("custom_lin",)):
            raise TypeError("a jax.custom_vjp has a rule for the way back alone")
    except Exception as error:
        rules = places_of(case.closed.jaxpr, ("custom_vjp_call",))
        where = str(rules[0]) if rules else ""
        seen = f"there is no forward derivative: {short(error)}"
        cure = (
            "some second-order methods need one: state the rule by jax.custom_jvp, "
            "which serves both ways."
        )
        severity = "note" if not found else "fault"
        found.append(Finding("no_forward", severity, seen, where, cure))
    return found


def gradient_is_finite(case: Case) -> list[Finding]:
    """The gradient at the example, and if it is not finite, the line it comes from."""
    _, gradient = case.pull(case.x)
    broken = ~np.isfinite(gradient)
    names = [leaf.name for leaf in case.leaves if broken[leaf.span].any()]

    def back(x: Array, w: Array) -> Array:
        return jax.vjp(case.run, x)[1](w)[0]

    seen = f"values are finite, and the gradient by {', '.join(names)} is"
    return _located(case, gradient, seen, "in the way back, ", back, case.weights)


def forward_is_finite(case: Case) -> list[Finding]:
    """The same of J v for a random v, where the gradient is finite.

    Forward mode alone multiplies an infinite slope by the zero tangent of a constant,
    as of the start of a loop.
    """
    tangent = case.push(case.direction)

    def ahead(x: Array, v: Array) -> Array:
        return jax.jvp(case.run, (x,), (v,))[1]

    seen = (
        "values and the gradient are finite, and the forward derivative (jax.jvp, "
        "jax.jacfwd) is"
    )
    return _located(case, tangent, seen, "in the way forward, ", ahead, case.direction)


def _located(
    case: Case,
    derivative: np.ndarray,
    seen: str,
    of: str,
    run: Callable[[Array, Array], Array],
    along: np.ndarray,
) -> list[Finding]:
    """The line that a derivative stops being finite at; nothing where it is finite.

    Args:
      case: the function.
      derivative: Jᵀ w or J v.
      seen: the beginning of the finding.
      of: what is said of a line of the derivative itself.
      run: the derivative, of x and `along`.
      along: w or v.
    """
    broken = ~np.isfinite(derivative)
    if not broken.any():
        return []
    case.cost += 3
    _, notes = watch(case.closed, case.given(case.x, "float64"))
    root = root_of_gradient(notes)
    if root is None:
        # No equation alone: numbers grow too large on the way.
        closed = jax.make_jaxpr(run)(case.x, along)
        _, notes = watch(closed, [case.x, along], derivatives=False)
        root = root_of_value(notes)
    else:
        of = ""
    kind = "NaN" if np.isnan(derivative).any() else "infinite"
    if root is None:
        return [Finding("gradient_not_finite", "fault", f"{seen} {kind}.")]
    known = trap(root, notes, taken=kind != "NaN")
    return [
        Finding(
            "gradient_not_finite",
            "fault",
            f"{seen} {kind}{_of(root.place, known, root.loop, root.step, of)}",
            str(root.place),
            known.cure + ".",
            {"broken": float(broken.sum())},
        )
    ]


def _of(place: Place, known: Trap, loop: bool, step: int, of: str = "") -> str:
    """Which primitive, which trap, which step of a loop."""
    name = known.name or "not one of the known traps"
    when = f", first in step {step} of its loop" if loop else ""
    return f": {of}{place.primitive}{when}, {name}."


def short(error: BaseException) -> str:
    """The first sentence of an error of JAX."""
    return str(error).strip().split("\n")[0].split(". ")[0][:160].rstrip(".") + "."


def places_of(jaxpr: Any, names: tuple[str, ...]) -> list[Place]:
    """Where equations of some primitives stand, however deep."""
    found: list[Place] = []
    rest: list[tuple[Any, Place | None]] = [(jaxpr, None)]
    while rest:
        jaxpr, outer = rest.pop(0)
        for eqn in jaxpr.eqns:
            where = place(eqn, outer)
            if eqn.primitive.name in names:
                found.append(where)
            rest += [(inner, where) for inner in nested(eqn)]
    return found
