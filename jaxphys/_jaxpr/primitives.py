"""What the readers of jaxprs know of JAX's primitives: one table.

A reader may treat a primitive in its own way only by a kind that stands here. All
others, and those that a later JAX brings, take JAX's own route: they are bound again as
they are, with JAX's own derivatives. So a missing entry costs time, and a wrong one
costs correctness: add a name only where the kind holds for all of its parameters.
"""

import enum


class Kind(enum.Flag):
    """What holds for a primitive, whatever its parameters.

    Attributes:
      ELEMENTWISE: an output entry depends on the operands' entries at its place alone.
        An operand may be a scalar beside arrays, as the predicate of `select_n` is.
      LINEAR: linear in all its real operands together. Indices and predicates are no
        real operands, so `gather` and `select_n` are linear.
      LINEAR_ALONE: linear in each operand, while the others are constant.
      LINEAR_FIRST: linear in the first operand, while the others are constant.
      MOVE: output entries are input entries, at places known when tracing.
      FOLD: one associative operation over some axes.
      COMPILED: a call that changes how its function is compiled, and nothing else.
      KEPT: a call that changes which values are kept for the way back.
      RULED: a call that brings derivatives of its own.
      LOOP: runs inner functions an unknown number of times, or one of several.
      STEP: constant between jumps, or held to be constant, so that its derivative is
        zero wherever it exists.
    """

    ELEMENTWISE = enum.auto()
    LINEAR = enum.auto()
    LINEAR_ALONE = enum.auto()
    LINEAR_FIRST = enum.auto()
    MOVE = enum.auto()
    FOLD = enum.auto()
    COMPILED = enum.auto()
    KEPT = enum.auto()
    RULED = enum.auto()
    LOOP = enum.auto()
    STEP = enum.auto()


_E, _L, _M, _S = Kind.ELEMENTWISE, Kind.LINEAR, Kind.MOVE, Kind.STEP

KINDS: dict[str, Kind] = {
    "abs": _E,
    "acos": _E,
    "acosh": _E,
    "add": _E | _L,
    "add_any": _E | _L,
    "and": _E,
    "argmax": _S,
    "argmin": _S,
    "asin": _E,
    "asinh": _E,
    "atan": _E,
    "atan2": _E,
    "atanh": _E,
    "broadcast_in_dim": _M | _L,
    "cbrt": _E,
    "ceil": _E | _S,
    "clamp": _E,
    "closed_call": Kind.COMPILED,
    "concatenate": _M | _L,
    "cond": Kind.LOOP,
    "convert_element_type": _E | _L,
    "copy": _E | _L,
    "copy_p": _E | _L,
    "core_call": Kind.COMPILED,
    "cos": _E,
    "cosh": _E,
    "cumsum": _L,
    "custom_jvp_call": Kind.RULED,
    "custom_vjp_call": Kind.RULED,
    "div": _E | Kind.LINEAR_FIRST,
    "dot_general": Kind.LINEAR_ALONE,
    "dynamic_slice": _L,
    "dynamic_update_slice": _L,
    "eq": _E | _S,
    "erf": _E,
    "exp": _E,
    "exp2": _E,
    "expand_dims": _M | _L,
    "expm1": _E,
    "floor": _E | _S,
    "gather": _L,
    "ge": _E | _S,
    "gt": _E | _S,
    "integer_pow": _E,
    "is_finite": _E | _S,
    "jit": Kind.COMPILED,
    "le": _E | _S,
    "log": _E,
    "log1p": _E,
    "logistic": _E,
    "lt": _E | _S,
    "max": _E,
    "min": _E,
    "mul": _E | Kind.LINEAR_ALONE,
    "ne": _E | _S,
    "neg": _E | _L,
    "nextafter": _E,
    "not": _E,
    "or": _E,
    "pad": _M | _L,
    "pow": _E,
    "reduce_max": Kind.FOLD,
    "reduce_min": Kind.FOLD,
    "reduce_sum": Kind.FOLD | _L,
    "rem": _E,
    "remat2": Kind.KEPT,
    "reshape": _M | _L,
    "rev": _M | _L,
    "round": _E | _S,
    "rsqrt": _E,
    "scan": Kind.LOOP,
    "scatter-add": _L,
    "select_n": _E | _L,
    "sign": _E | _S,
    "sin": _E,
    "sinh": _E,
    "slice": _M | _L,
    "split": _M | _L,
    "sqrt": _E,
    "square": _E,
    "squeeze": _M | _L,
    "stack": _M | _L,
    "stop_gradient": _E | _S,
    "sub": _E | _L,
    "tan": _E,
    "tanh": _E,
    "transpose": _M | _L,
    "unstack": _M | _L,
    "while": Kind.LOOP,
    "xor": _E,
}


def of(kind: Kind) -> frozenset[str]:
    """The names of the primitives of a kind, or of one of several kinds.

    Example:
      >>> sorted(of(Kind.LOOP))
      ['cond', 'scan', 'while']
    """
    return frozenset(name for name, kinds in KINDS.items() if kinds & kind)
