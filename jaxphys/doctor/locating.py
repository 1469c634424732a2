"""Where numbers stop being finite, in words: the line, the trap, and the way around."""

from collections.abc import Sequence
from typing import NamedTuple

from jaxphys._jaxpr.watch import Note

__all__ = ["Trap", "root_of_gradient", "root_of_value", "trap"]


class Trap(NamedTuple):
    """A well-known way to a NaN: its name, and what to write instead."""

    name: str
    cure: str


_ROOT = "keep its argument above zero: sqrt(x + ε), or sqrt(where(x > 0, x, 1))"
_EDGE = (
    "take the angle as arctan2(sine, cosine), or keep the argument inside of (−1, 1)"
)
_DIVISION = "keep the denominator away from zero: 1 / where(x == 0, 1, x)"

#: Of a primitive: what is wrong there, and what to do.
_TRAPS = {
    "norm": Trap(
        "the norm of a zero vector",
        "its derivative does not exist at zero: take the squared norm, or sqrt(|x|² + "
        "ε²)",
    ),
    "sqrt": Trap("the square root at or below zero", _ROOT),
    "rsqrt": Trap("one over the square root at or below zero", _ROOT),
    "acos": Trap("arccos at its edge ±1 or beyond", _EDGE),
    "asin": Trap("arcsin at its edge ±1 or beyond", _EDGE),
    "acosh": Trap("arccosh at its edge 1 or below", "keep its argument above one"),
    "atanh": Trap("arctanh at its edge ±1 or beyond", _EDGE),
    "atan2": Trap(
        "arctan2 at the origin",
        "an angle has no derivative there: keep the state away from it, or work with "
        "sine and cosine",
    ),
    "log": Trap("the logarithm at or below zero", "keep its argument above zero"),
    "log1p": Trap("the logarithm at or below zero", "keep its argument above zero"),
    "div": Trap("a division by zero", _DIVISION),
    "integer_pow": Trap("a negative power of zero", _DIVISION),
    "pow": Trap(
        "a power at zero or of a negative number",
        "keep the base above zero, or write whole powers as x**2 with a Python int",
    ),
    "cbrt": Trap("the cube root at zero", _ROOT.replace("sqrt", "cbrt")),
    "exp": Trap("the exponential of a large number", "work with logarithms"),
    "eigh": Trap(
        "eigenvectors of repeated eigenvalues",
        "they have no derivative: take a function of the matrix that needs none",
    ),
    "svd": Trap(
        "singular vectors of repeated or zero singular values",
        "they have no derivative: take a function of the matrix that needs none",
    ),
}
_UNKNOWN = Trap("", "look at what goes into this line")

#: What squares entries before they are summed and the root is taken.
_SQUARES = ("mul", "square", "integer_pow")


def root_of_value(notes: Sequence[Note]) -> Note | None:
    """The equation that a value's NaN or infinity comes from.

    The first NaN may come of an infinity that was made before it, on its own way.
    """
    first = next((note for note in notes if note.nan), None)
    if first is None:
        return next((note for note in notes if note.inf), None)
    before = {id(note) for note in first.behind()}
    return next((n for n in notes if n.inf and id(n) in before), first)


def root_of_gradient(notes: Sequence[Note]) -> Note | None:
    """The first equation whose derivative is not finite."""
    return next((note for note in notes if note.steep), None)


def trap(note: Note, notes: Sequence[Note], *, taken: bool) -> Trap:
    """What is known of such an equation.

    Args:
      note: the equation.
      notes: all equations.
      taken: whether what it gives is sure to be used.
    """
    name = note.place.primitive
    # A derivative has other primitives than the function, at the same line.
    here = [n for n in notes if n.place[1:] == note.place[1:] and note.place.file]
    if name in ("div", "mul", "integer_pow", "pow"):
        roots = [n for n in here if n.place.primitive in ("sqrt", "acos", "asin")]
        name = roots[0].place.primitive if roots else name
    if name == "sqrt" and _is_norm(note):
        name = "norm"
    found = _TRAPS.get(name, _UNKNOWN)
    if not taken and _chosen_from(note):
        return Trap(
            f"{found.name or name} in a branch that where() does not take",
            "where() has derivatives of both branches, and 0 · ∞ is NaN: replace the "
            "argument inside, too, as in where(ok, g(where(ok, x, 1)), 0). "
            f"Here: {found.cure}",
        )
    return found


def _is_norm(note: Note) -> bool:
    """Whether a root is that of a sum of squares."""
    for parent in note.parents:
        name = parent.place.primitive
        if name == "dot_general":
            return True
        if name == "reduce_sum":
            return any(n.place.primitive in _SQUARES for n in parent.parents)
    return False


def _chosen_from(note: Note) -> bool:
    """Whether what comes of an equation is chosen from later on."""
    return any(each.place.primitive == "select_n" for each in note.ahead())
