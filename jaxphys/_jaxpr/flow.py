"""Which inputs reach which outputs, and on which ways a derivative can follow.

Read off the jaxpr alone. An input that reaches an output only through `floor`, through
a comparison, or as a whole number changes the value, and no derivative tells of it.
"""

import functools
import operator
from collections.abc import Callable
from typing import Any, NamedTuple

from jax.extend import core

from jaxphys._jaxpr import walk
from jaxphys._jaxpr.places import Place, place
from jaxphys._jaxpr.primitives import Kind, of

_STEPS = of(Kind.STEP)
_RULED = of(Kind.RULED)


class Reach(NamedTuple):
    """Which inputs a value depends on, as bits of two numbers.

    Attributes:
      any: on which at all.
      smooth: on which by a way that has a derivative.
    """

    any: int = 0
    smooth: int = 0

    def __or__(self, other: Any) -> "Reach":
        return Reach(self.any | other.any, self.smooth | other.smooth)


class Cut(NamedTuple):
    """An equation at which the derivative by some inputs ends.

    Attributes:
      place: where.
      lost: the bits of these inputs.
    """

    place: Place
    lost: int


def flow(closed: core.ClosedJaxpr) -> tuple[list[Reach], list[Cut]]:
    """What reaches each output of a jaxpr, input i being bit i, and where it is cut.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> traced = jax.make_jaxpr(lambda x, y: x * jnp.floor(y))(1.0, 1.0)
      >>> (reach,), cuts = flow(traced)
      >>> reach.any, reach.smooth, cuts[0].place.primitive, cuts[0].lost
      (3, 1, 'floor', 2)
    """
    cuts: list[Cut] = []
    inputs = []
    for number, var in enumerate(closed.jaxpr.invars):
        bit = 1 << number
        inputs.append(Reach(bit, bit if walk.is_real(var.aval) else 0))
    return _through(closed.jaxpr, inputs, cuts, None), cuts


def _through(
    jaxpr: Any, inputs: list[Reach], cuts: list[Cut], outer: Place | None
) -> list[Reach]:
    """What reaches the outputs of an open jaxpr, whose call stands at `outer`."""

    def apply(eqn: Any, values: list[Reach]) -> list[Reach]:
        found = _of_equation(eqn, values, cuts, place(eqn, outer))
        # A whole number has no derivative, whatever made it.
        return [
            reach if walk.is_real(var.aval) else Reach(reach.any)
            for reach, var in zip(found, eqn.outvars, strict=True)
        ]

    consts = [None] * len(jaxpr.constvars)
    return walk.run(jaxpr, consts, inputs, lambda array, aval: Reach(), apply)


def _of_equation(
    eqn: Any, values: list[Reach], cuts: list[Cut], where: Place
) -> list[Reach]:
    name = eqn.primitive.name
    called = walk.inner(eqn)
    if called is not None and len(called[0].invars) == len(values):
        # What the rule of a function says is not known: it may pass anything through.
        if name in _RULED:
            reached = _through(called[0], values, [], where)
            smooth = _union(values).smooth
            return [Reach(each.any, each.any & smooth) for each in reached]
        return _through(called[0], values, cuts, where)
    if name in _LOOPS:
        return _LOOPS[name](eqn, values, cuts, where)
    if name == "select_n":
        # The choice has no derivative, what is chosen has.
        _note_cut(where, values[:1], cuts)
        return [Reach(values[0].any) | _union(values[1:])]
    whole = _union(values)
    if name in _STEPS or not any(walk.is_real(var.aval) for var in eqn.outvars):
        _note_cut(where, values, cuts)
        whole = Reach(whole.any)
    return [whole] * len(eqn.outvars)


def _note_cut(where: Place, values: list[Reach], cuts: list[Cut]) -> None:
    lost = _union(values).smooth
    if lost:
        cuts.append(Cut(where, lost))


def _union(values: list[Reach]) -> Reach:
    return functools.reduce(operator.or_, values, Reach())


def _scan(eqn: Any, values: list[Reach], cuts: list[Cut], where: Place) -> list[Reach]:
    body = eqn.params["jaxpr"].jaxpr
    first, end = walk.carried(eqn)
    consts, xs = values[:first], values[end:]

    def once(carry: list[Reach], noted: list[Cut]) -> list[Reach]:
        return _through(body, [*consts, *carry, *xs], noted, where)

    return _until_steady(once, values[first:end], cuts)


def _while(eqn: Any, values: list[Reach], cuts: list[Cut], where: Place) -> list[Reach]:
    tested, own = eqn.params["cond_nconsts"], eqn.params["body_nconsts"]
    test, body = eqn.params["cond_jaxpr"].jaxpr, eqn.params["body_jaxpr"].jaxpr
    consts = values[tested : tested + own]

    def once(carry: list[Reach], noted: list[Cut]) -> list[Reach]:
        # When the loop ends decides on all that it leaves.
        (ends,) = _through(test, [*values[:tested], *carry], [], where)
        left = _through(body, [*consts, *carry], noted, where)
        return [each | Reach(ends.any) for each in left]

    return _until_steady(once, values[tested + own :], cuts)


def _until_steady(
    once: Callable[[list[Reach], list[Cut]], list[Reach]],
    carry: list[Reach],
    cuts: list[Cut],
) -> list[Reach]:
    """A loop's outputs: its carry comes back until nothing new reaches it."""
    while True:
        noted: list[Cut] = []
        found = once(carry, noted)
        wider = [a | b for a, b in zip(carry, found, strict=False)]
        if wider == carry:
            cuts += noted
            return [*carry, *found[len(carry) :]]
        carry = wider


def _cond(eqn: Any, values: list[Reach], cuts: list[Cut], where: Place) -> list[Reach]:
    index, *operands = values
    _note_cut(where, [index], cuts)
    branches = [
        _through(branch.jaxpr, operands, cuts, where)
        for branch in eqn.params["branches"]
    ]
    return [
        _union(list(each)) | Reach(index.any) for each in zip(*branches, strict=True)
    ]


_LOOPS = {"scan": _scan, "while": _while, "cond": _cond}
