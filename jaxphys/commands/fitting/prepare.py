"""From a file of measurements to data that are ready, and to how they are learned.

Read, look for what is wrong, smooth what is noisy, hold some out; then the recipe and
the model's arguments, which take their units from the data.
"""

import functools
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxphys import data, devices
from jaxphys.checks import check_count, check_not_negative
from jaxphys.commands.fitting.options import (
    PUSHED,
    USUAL_SECONDS,
    WHOLE_SECONDS,
    FitOptions,
    state_of,
)
from jaxphys.learning import LAGRANGIANS, Recipe, arguments_for, count_weights
from jaxphys.models.networks import ACTIVATIONS
from jaxphys.names import check_known
from jaxphys.types import State, Trajectories

__all__ = [
    "BEGINNING",
    "Prepared",
    "arguments_of",
    "columns_of",
    "intersample_of",
    "is_conservative",
    "masses_of",
    "prepare",
    "read_measured",
    "recipe_of",
]

_MODES = ("auto", "derivatives", "whole", "trajectories", "torques")
_INPUTS = ("auto", "direct", "learned")

#: More numbers than this are too many to be fitted at once.
_MOST = 20_000

#: Bytes of memory for each byte of data, by `python -m benchmarks run memory`.
_COPIES = 27

#: Hidden layers where no whole record is matched.
_USUAL_HIDDEN = (32, 32)

#: The part of the time that is for derivatives where a whole record is matched.
BEGINNING = 0.25

#: Updates between two looks at the held-out loss; a damped step is worth many others.
_LOOK_EVERY = {"levenberg_marquardt": 5, "hig": 5, "gauss_newton": 5, "spring": 5}


class Prepared(NamedTuple):
    """Data that are ready to be learned from.

    Attributes:
      look: what they are like.
      measured: as they were read, with angles unwrapped, and inputs that a rollout may
        hold from each time to the next.
      raw: what is held out of these.
      raw_train: the rest of them.
      train, held_out: smoothed where that was asked for, with rates, and the inputs
        that made them.
      followed: what is held out at its own times, smoothed, for rollouts.
      periodic: which coordinates are angles.
      window: the smoothing that was used; 0 for none.
      mode: what is matched.
      held_out_by: trajectory or time.
      inputs: how inputs act, direct or learned; None where there are none.
      intersample: what inputs do between two times, held or linear.
    """

    look: data.Look
    measured: list[Trajectories]
    raw: list[Trajectories]
    raw_train: list[Trajectories]
    train: list[Trajectories]
    held_out: list[Trajectories]
    followed: list[Trajectories]
    periodic: tuple[bool, ...]
    window: int
    mode: str
    held_out_by: str
    inputs: str | None = None
    intersample: str = "held"


def prepare(model: str, options: FitOptions) -> Prepared:
    """Read the file, check it, smooth it, and hold some of it out.

    Args:
      model: one of `MODELS`, which says whether momenta or velocities are read.
      options: of the fit.

    Raises:
      ValueError: for data and options that do not fit this model.
      FileNotFoundError: where there is no such file.
    """
    for name in ("rows", "substeps"):
        if getattr(options, name) is not None:
            check_count(name, getattr(options, name))
    check_not_negative("noise", options.noise)
    if options.activation is not None:
        check_known("activation", options.activation, ACTIVATIONS)
    check_known("mode", options.mode, _MODES)
    check_known("inputs", options.inputs, _INPUTS)
    check_known("intersample", options.intersample, ("auto", *data.INTERSAMPLE))
    check_known("hold_out_by", options.hold_out_by, ("auto", "trajectory", "time"))
    measured = _read(model, options)
    size = sum(x.nbytes for x in jax.tree.leaves(measured) if hasattr(x, "nbytes"))
    devices.check_memory(
        _COPIES * size,
        f"{sum(each.y.q.shape[0] * each.y.q.shape[1] for each in measured)} rows",
        "fit a part of the file, or leave out every other row",
    )
    few = [len(each.t) for each in measured if each.rate is None and len(each.t) < 3]
    if few:
        raise ValueError(
            f"{options.data} has a motion of {few[0]} time{'s' * (few[0] != 1)}; "
            "expected 3 or more in each, of which derivatives are taken: measure more, "
            "or leave it out."
        )
    inputs = _inputs(model, options, measured)
    seen = data.look(
        measured,
        periodic=options.periodic,
        weights=_weights(model, options, measured, inputs),
        conservative=is_conservative(model, options),
    )
    measured, periodic = seen.trajectories, seen.periodic
    data.check_angles(measured, periodic)
    given = all(each.rate is not None for each in measured)
    window = _window(options, measured, given)
    mode = options.mode
    if mode == "auto":
        mode = "derivatives"
        if model == "delan" and _pushed(measured, inputs):
            mode = "torques"
        elif model not in LAGRANGIANS and window and not given:
            few = sum(2 * each.y.q.size for each in measured) <= _MOST
            mode = "whole" if few else "trajectories"
    intersample = intersample_of(options.intersample, seen)
    rated = data.with_rates(measured, window, intersample=intersample)
    measured = [data.held_inputs(each, intersample) for each in measured]
    smooth = [data.smoothed_trajectories(each, window) for each in measured]
    by = options.hold_out_by
    if by == "auto":
        by = "trajectory" if len(measured) > 1 else "time"
    key = jax.random.key(options.seed) if by == "trajectory" else None
    split = functools.partial(data.split, fraction=options.hold_out, by=by, key=key)
    train, held_out = split(smooth if mode == "trajectories" else rated)
    _, followed = split(smooth)
    raw_train, raw = split(measured)
    return Prepared(
        seen,
        measured,
        raw,
        raw_train,
        train,
        held_out,
        followed,
        periodic,
        window,
        mode,
        by,
        inputs,
        intersample,
    )


def intersample_of(asked: str, look: data.Look) -> str:
    """What inputs do between two times: as asked for, or as the data look."""
    return look.facts.get("intersample", "held") if asked == "auto" else asked


def columns_of(asked: Sequence[str]) -> dict[str, str] | None:
    """NAME:ROLE of a command line as a dict; None for none.

    Raises:
      ValueError: where one is not of this form.

    Example:
      >>> columns_of(["theta:q", "t [s]:t"])
      {'theta': 'q', 't [s]': 't'}
    """
    found = {}
    for each in asked:
        name, colon, role = each.rpartition(":")
        if not (colon and name and role):
            raise ValueError(
                f"columns has {each}; expected NAME:ROLE, such as theta:q or time:t."
            )
        found[name] = role
    return found or None


def read_measured(
    options: Any, mass: Any = None, state: type[State] | None = None
) -> list[Trajectories]:
    """The trajectories of the file of these options, with angles unwrapped.

    That they were is a line of `data.look`, and so no warning here.

    Args:
      options: with `data`, `columns` and `periodic`.
      mass, state: as `jaxphys.data.read_trajectories` takes them.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*jumps? by whole turns")
        return data.read_trajectories(
            options.data,
            columns=columns_of(options.columns),
            state=state,
            mass=mass,
            periodic=options.periodic or None,
        )


def masses_of(options: FitOptions) -> Any:
    """The masses that were given: None, one number, or one a coordinate."""
    if not options.mass:
        return None
    return options.mass[0] if len(options.mass) == 1 else np.array(options.mass)


def _read(model: str, options: FitOptions) -> list[Trajectories]:
    """The trajectories of the file, in the kind of state of the model."""
    state = state_of(model)
    mass = masses_of(options)
    read = functools.partial(read_measured, options, mass)
    try:
        return read(state)
    except ValueError:
        # Whatever is wrong with the file itself is told here; a file that is fine has
        # the other kind of state.
        found = read()
        if type(found[0].y) is state:
            raise
    if "p" in state._fields:
        if found[0].y.q.shape[2] == 1 and mass is None:
            # Of one coordinate the mass is a unit of energy, whatever it is.
            return read_measured(options, 1.0, state)
        raise ValueError(
            f"{options.data} has velocities and no momenta; give --mass, or fit "
            "lnn, delan or second_order, which need none."
        )
    raise ValueError(
        f"{options.data} has momenta and no velocities, which {model} needs; "
        "fit hnn, or add columns v."
    )


def _weights(
    model: str,
    options: FitOptions,
    measured: Sequence[Trajectories],
    inputs: str | None,
) -> int | None:
    """How many weights the model will have; None where the data will say that."""
    n = measured[0].y.q.shape[2]
    arguments: dict[str, Any] = {"num_coordinates": n}
    if options.hidden:
        arguments["hidden"] = list(options.hidden)
    elif options.mode in ("auto", "whole") and model not in LAGRANGIANS:
        return None
    else:
        arguments["hidden"] = list(_USUAL_HIDDEN)
    periodic = options.periodic or measured[0].meta.get("periodic")
    if periodic and len(periodic) == n:
        arguments["periodic"] = list(periodic)
    if inputs is not None:
        u = measured[0].u
        arguments["num_controls"] = 0 if u is None else u.shape[2]
        if model in LAGRANGIANS:
            arguments["inputs"] = inputs
    elif model == "port_hamiltonian":
        arguments["num_controls"] = 0
    if options.dissipation or model == "port_hamiltonian":
        arguments["dissipation"] = True
    return count_weights(model, arguments)


def is_conservative(model: str, options: FitOptions) -> bool:
    """Whether the energy of a model stays where nothing pushes it."""
    if model in LAGRANGIANS:
        return not options.dissipation
    return model in ("hnn", "separable", "structured")


def _inputs(
    model: str, options: FitOptions, measured: Sequence[Trajectories]
) -> str | None:
    """How inputs act, None where there are none; or what does not fit in them."""
    u, n = measured[0].u, measured[0].y.q.shape[2]
    asked = options.mode == "torques" or options.inputs != "auto"
    if model not in LAGRANGIANS:
        if asked or options.dissipation:
            raise ValueError(
                f"mode torques, inputs and dissipation are for lnn and delan; {model} "
                "knows none of them: leave them out."
            )
        if u is not None and model not in PUSHED:
            raise ValueError(
                f"{options.data} has inputs u, and {model} knows only of motions that "
                f"are left alone; fit {', '.join(PUSHED)}, or leave u out of the file."
            )
        return None if u is None else "learned"
    if u is None:
        if asked:
            raise ValueError(
                f"{options.data} has no inputs u; leave out mode torques and inputs, "
                "or add columns u."
            )
        return None
    m = u.shape[2]
    inputs = options.inputs
    if inputs == "auto":
        inputs = "direct" if m == n else "learned"
    if inputs == "direct" and m != n:
        raise ValueError(
            f"u has {m} columns and q {n}; inputs that are generalized forces have one "
            "a coordinate, zero where none acts. Add columns, or take inputs learned."
        )
    if options.mode == "torques":
        _check_torques(measured, inputs, m)
    return inputs


def _check_torques(measured: Sequence[Trajectories], inputs: str, m: int) -> None:
    """A ValueError where m inputs are no torques that could be matched."""
    if inputs == "learned":
        n = measured[0].y.q.shape[2]
        raise ValueError(
            f"u has {m} columns that act on {n} coordinates by a learned matrix; "
            "torques are matched where u has one a coordinate. Match derivatives or "
            "trajectories."
        )
    if not _pushed(measured, inputs):
        raise ValueError(
            "all inputs u are zero, so that no Lagrangian at all matches them best; "
            "match derivatives or trajectories."
        )


def _pushed(measured: Sequence[Trajectories], inputs: str | None) -> bool:
    """Whether there are generalized forces that are not all zero."""
    return inputs == "direct" and any(np.any(each.u) for each in measured)


def _window(options: FitOptions, measured: Sequence[Trajectories], given: bool) -> int:
    """The smoothing window: as asked for, or the middle one of what the data want."""
    if options.window is not None:
        if options.window < 0 or (options.window and options.window % 2 == 0):
            raise ValueError(
                f"window is {options.window}; expected 0 or an odd number."
            )
        return options.window
    if given:
        return 0
    wanted = sorted(_wanted(each) or 0 for each in measured)
    return wanted[len(wanted) // 2]


#: Velocities are noisy where they are off by this part of their spread.
_OFF = 5e-3


def _wanted(each: Trajectories) -> int | None:
    """The window that one trajectory wants.

    Inputs that jump put corners into velocities, which look like noise to a polynomial.
    There the derivatives of clean positions say how noisy velocities are: at most times
    there is no corner.
    """
    q, other = each.y
    if each.u is None:
        return data.suggest_window(each.t, np.concatenate([q, other], axis=-1))
    window = data.suggest_window(each.t, q)
    if window is not None or len(each.t) < 11:
        return window
    apart = other - data.derivatives(each.t, q, window=5, order=4)
    usual = 1.48 * np.median(np.abs(apart), axis=(0, 1))
    noisy = usual > _OFF * np.std(other, axis=(0, 1))
    return data.suggest_window(each.t, other[..., noisy]) if noisy.any() else None


def recipe_of(model: str, options: FitOptions, ready: Prepared) -> Recipe:
    """How to train: the options, and the mode that the data were prepared for.

    Raises:
      ValueError: for invalid options.
    """
    seconds = options.seconds
    if seconds is None and options.steps is None:
        seconds = WHOLE_SECONDS if ready.mode == "whole" else USUAL_SECONDS
    if seconds is not None and ready.mode == "whole":
        seconds *= BEGINNING
    batch_size = options.batch_size
    if batch_size is None:
        batch_size = 256 if model == "lnn" else 64
    return Recipe(
        mode="derivatives" if ready.mode == "whole" else ready.mode,
        optimizer=options.optimizer,
        learning_rate=options.learning_rate,
        schedule=options.schedule,
        weight_decay=options.weight_decay,
        batch_size=batch_size,
        steps=options.steps,
        seconds=seconds,
        integrator=options.integrator,
        chunk=options.chunk,
        growth=options.growth,
        substeps=options.substeps or 1,
        patience=options.patience,
        look_every=_LOOK_EVERY.get(options.optimizer, 100),
    ).check()


def arguments_of(model: str, options: FitOptions, ready: Prepared) -> dict[str, Any]:
    """What the model's function is given: sizes, angles, and the units of the data."""
    hidden = options.hidden
    if not hidden and ready.mode != "whole":
        hidden = _USUAL_HIDDEN
    return arguments_for(
        model,
        ready.train,
        periodic=ready.periodic,
        hidden=hidden,
        activation=options.activation,
        inputs=ready.inputs,
        dissipation=options.dissipation,
        dtype=options.dtype,
    )
