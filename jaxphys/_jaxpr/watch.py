"""Running a function and looking at every equation: where do numbers stop being finite?

A NaN in a result is seldom made where it is found. Here each equation of a jaxpr tells
whether it made a NaN or an infinity out of finite numbers, and whether its derivative
is not finite though its numbers are: as that of the square root at zero, which turns
into NaN where the chain rule multiplies it by zero. It is one compiled function more.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend import core

from jaxphys._jaxpr import walk
from jaxphys._jaxpr.places import Place, place
from jaxphys._jaxpr.primitives import Kind, of
from jaxphys.types import Array

_STEPS = of(Kind.STEP)
_LINEAR = of(Kind.LINEAR | Kind.STEP | Kind.FOLD)
_RULED = of(Kind.RULED)
#: What each equation tells: it made a NaN, an infinity, or has no finite derivative.
_COUNT = 3


@dataclasses.dataclass(eq=False)
class Note:
    """An equation that was looked at.

    Attributes:
      place: where it is written.
      parents, children: the equations that it reads, and those that read it, within
        the same body.
      nan, inf: whether it made such out of finite numbers.
      steep: whether its derivative is not finite, and its operands are.
      loop: whether it stands in a loop.
      step: in which step of the loop that came first.
    """

    place: Place
    parents: list["Note"]
    children: list["Note"] = dataclasses.field(default_factory=list)
    nan: bool = False
    inf: bool = False
    steep: bool = False
    loop: bool = False
    step: int = 0

    def ahead(self) -> list["Note"]:
        """All equations that use what comes of this one."""
        return _all(self, "children")

    def behind(self) -> list["Note"]:
        """All equations that this one uses."""
        return _all(self, "parents")


def _all(note: Note, side: str) -> list[Note]:
    found: dict[int, Note] = {}
    rest = list(getattr(note, side))
    while rest:
        one = rest.pop()
        if id(one) not in found:
            found[id(one)] = one
            rest += getattr(one, side)
    return list(found.values())


class _Log(NamedTuple):
    """Where an equation stands, the notes until then, and their flags."""

    where: Place
    notes: list[Note]
    flags: list[Array]


class _Value(NamedTuple):
    """An array, whether the inputs' derivatives reach it, and what made it."""

    array: Any
    active: bool = False
    made: Note | None = None


def watch(
    closed: core.ClosedJaxpr, inputs: list, *, derivatives: bool = True
) -> tuple[list[Array], list[Note]]:
    """Run a jaxpr; its outputs, and what each equation told, in the order of running.

    Args:
      closed: what to run.
      inputs: its inputs, arrays.
      derivatives: whether to look at the equations' derivatives too.

    Example:
      >>> traced = jax.make_jaxpr(lambda x: jnp.sqrt(x - 1))(1.0)
      >>> outputs, notes = watch(traced, [1.0])
      >>> [(note.place.primitive, note.steep) for note in notes]
      [('sub', False), ('sqrt', True)]
    """
    notes: list[Note] = []

    def instrumented(*arrays: Any) -> tuple[list, Array]:
        notes.clear()
        values = [_Value(x, derivatives and walk.is_real(x)) for x in arrays]
        outputs, flags = _run(closed.jaxpr, closed.consts, values, notes)
        return [each.array for each in outputs], _stacked(flags)

    outputs, flags = jax.jit(instrumented)(*inputs)
    for note, (nan, inf, steep) in zip(notes, jax.device_get(flags), strict=True):
        note.nan, note.inf, note.steep = bool(nan), bool(inf), bool(steep)
        note.step = max(int(max(nan, inf, steep)) - 1, 0)
    return outputs, notes


def _stacked(flags: list[Array]) -> Array:
    return jnp.concatenate(flags) if flags else jnp.zeros((0, _COUNT), jnp.int32)


def _run(
    jaxpr: Any,
    consts: Any,
    values: list[_Value],
    notes: list[Note],
    outer: Place | None = None,
) -> tuple[list[_Value], list[Array]]:
    """Run an open jaxpr; adds to the notes, and gives (n, 3) flags for the new ones."""
    flags: list[Array] = []

    def apply(eqn: Any, values: list[_Value]) -> list[_Value]:
        called, name = walk.inner(eqn), eqn.primitive.name
        where = place(eqn, outer)
        log = _Log(where, notes, flags)
        if name in _RULED and called is not None:
            return _of_rule(eqn, called, values, log)
        if called is not None:
            outputs, told = _run(*called, values, notes, where)
            flags.extend(told)
            return outputs
        if name in _LOOPS:
            return _LOOPS[name](eqn, values, log)
        arrays = walk.bind(eqn, [each.array for each in values])
        return _noted(eqn, values, arrays, log)

    return walk.run(jaxpr, consts, values, lambda x, aval: _Value(x), apply), flags


def _noted(eqn: Any, values: list[_Value], arrays: list, log: _Log) -> list[_Value]:
    """The outputs of an equation, which is noted."""
    note = Note(log.where, [v.made for v in values if v.made is not None])
    for parent in note.parents:
        parent.children.append(note)
    log.notes.append(note)
    ends = eqn.primitive.name in _STEPS
    active = not ends and any(v.active for v in values)
    before = [v.array for v in values if walk.is_real(v.array)]
    after = [x for x in arrays if walk.is_real(x)]
    finite = _none(jnp.isinf, before) & _none(jnp.isnan, before)
    nan = _none(jnp.isnan, before) & ~_none(jnp.isnan, after)
    inf = finite & ~_none(jnp.isinf, after)
    steep = jnp.array(False)
    if active and after and eqn.primitive.name not in _LINEAR:
        steep = finite & ~_finite_derivative(eqn, values)
    log.flags.append(jnp.stack([nan, inf, steep]).astype(jnp.int32)[None])
    return [_Value(x, active and walk.is_real(x), note) for x in arrays]


def _none(test: Callable, arrays: list) -> Array:
    """Whether a test is true of no entry."""
    return ~jnp.any(jnp.array([jnp.any(test(x)) for x in arrays], bool))


def _finite_derivative(eqn: Any, values: list[_Value]) -> Array:
    """Whether the derivatives of an equation by its active operands are finite."""

    def alone(*active: Any) -> list:
        rest = iter(active)
        arrays = [next(rest) if v.active else v.array for v in values]
        return [x for x in walk.bind(eqn, arrays) if walk.is_real(x)]

    try:
        outputs, pull = jax.vjp(alone, *[v.array for v in values if v.active])
        rates = pull([jnp.ones_like(x) for x in outputs])
    except Exception:  # It has no such derivative; that is for others to say.
        return jnp.array(True)
    real = [x for x in rates if walk.is_real(x)]
    return _none(lambda x: ~jnp.isfinite(x), real)


def _of_rule(eqn: Any, called: tuple, values: list[_Value], log: _Log) -> list[_Value]:
    """A function with a rule: its inside tells of values, the whole of derivatives."""
    jaxpr, consts = called
    quiet = [v._replace(active=False) for v in values]
    inside, told = _run(jaxpr, consts, quiet, log.notes, log.where)
    log.flags.extend(told)
    return _noted(eqn, values, [v.array for v in inside], log)


def _scan(eqn: Any, values: list[_Value], log: _Log) -> list[_Value]:
    params = eqn.params
    body = params["jaxpr"]
    first, end = walk.carried(eqn)
    active = any(v.active for v in values)
    local: list[Note] = []

    def step(carry: tuple, xs: tuple) -> tuple:
        local.clear()
        arrays = [*(v.array for v in values[:first]), *carry, *xs]
        inner = [_Value(x, active and walk.is_real(x)) for x in arrays]
        outputs, told = _run(body.jaxpr, body.consts, inner, local, log.where)
        found = [v.array for v in outputs]
        return tuple(found[: end - first]), (found[end - first :], _stacked(told))

    start = tuple(v.array for v in values[first:end])
    xs = tuple(v.array for v in values[end:])
    options: Any = {"length": params["length"], "reverse": params["reverse"]}
    left: Any = jax.lax.scan(step, start, xs, **options)
    last, (ys, told) = left
    # In which step it came first, from one on.
    hit = told > 0
    number = jnp.argmax(hit, axis=0).astype(jnp.int32)
    if params["reverse"]:
        number = params["length"] - 1 - jnp.argmax(hit[::-1], axis=0).astype(jnp.int32)
    log.flags.append(jnp.where(jnp.any(hit, axis=0), number + 1, 0))
    return _left(local, log.notes, [*last, *ys], active)


def _left(
    local: list[Note], notes: list[Note], arrays: list, active: bool
) -> list[_Value]:
    """What a loop leaves; its notes join the others."""
    for note in local:
        note.loop = True
    notes += local
    return [_Value(x, active and walk.is_real(x)) for x in arrays]


def _while(eqn: Any, values: list[_Value], log: _Log) -> list[_Value]:
    params = eqn.params
    tested, own = params["cond_nconsts"], params["body_nconsts"]
    test, body = params["cond_jaxpr"], params["body_jaxpr"]
    active = any(v.active for v in values)
    arrays = [v.array for v in values]
    local: list[Note] = []

    def once(carry: tuple) -> tuple:
        local.clear()
        inner = [
            _Value(x, active and walk.is_real(x))
            for x in (*arrays[tested : tested + own], *carry)
        ]
        outputs, told = _run(body.jaxpr, body.consts, inner, local, log.where)
        return tuple(v.array for v in outputs), _stacked(told)

    def go_on(state: tuple) -> Array:
        carry, _, _ = state
        (more,) = jax.core.eval_jaxpr(test.jaxpr, test.consts, *arrays[:tested], *carry)
        return more

    def step(state: tuple) -> tuple:
        carry, seen, number = state
        carry, told = once(carry)
        new = (told > 0) & (seen == 0)
        return carry, jnp.where(new, number + 1, seen), number + 1

    start = tuple(arrays[tested + own :])
    count = jax.eval_shape(once, start)[1].shape[0]
    none = jnp.zeros((count, _COUNT), jnp.int32)
    state = (start, none, jnp.zeros((), jnp.int32))
    last, told, _ = jax.lax.while_loop(go_on, step, state)
    log.flags.append(told)
    return _left(local, log.notes, list(last), active)


def _cond(eqn: Any, values: list[_Value], log: _Log) -> list[_Value]:
    branches = eqn.params["branches"]
    index, *operands = values
    locals_: list[list[Note]] = [[] for _ in branches]

    def taken(branch: Any, local: list[Note]) -> Callable:
        def run(*arrays: Any) -> tuple[list, Array]:
            local.clear()
            inner = [
                _Value(x, v.active, v.made)
                for x, v in zip(arrays, operands, strict=True)
            ]
            outputs, told = _run(branch.jaxpr, branch.consts, inner, local, log.where)
            return [v.array for v in outputs], _stacked(told)

        return run

    arrays = [v.array for v in operands]
    runs = [taken(*pair) for pair in zip(branches, locals_, strict=True)]
    counts = [jax.eval_shape(run, *arrays)[1].shape[0] for run in runs]

    def padded(number: int) -> Callable:
        def run(*arrays: Any) -> tuple[list, Array]:
            outputs, told = runs[number](*arrays)
            sides = (sum(counts[:number]), sum(counts[number + 1 :]))
            return outputs, jnp.pad(told, (sides, (0, 0)))

        return run

    cases = [padded(number) for number in range(len(branches))]
    outputs, told = jax.lax.switch(index.array, cases, *arrays)
    log.flags.append(told)
    active = any(v.active for v in operands)
    for local in locals_:
        log.notes.extend(local)
    return [_Value(x, active and walk.is_real(x)) for x in outputs]


_LOOPS = {"scan": _scan, "while": _while, "cond": _cond}
