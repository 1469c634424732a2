"""`jaxphys predict`: the motion of a fitted model or law from a state, as a table."""

import dataclasses
import math
import pathlib
from typing import Any, NamedTuple

import numpy as np

from jaxphys import checkpoint, data, plots
from jaxphys.commands.fitting.judge import Follower
from jaxphys.commands.laws import folder_of, load_law, report_of_law
from jaxphys.files import replacing
from jaxphys.learning.constants import BoundLaw
from jaxphys.types import State, TangentState, Trajectories

__all__ = ["PredictOptions", "Predicted", "predict"]

#: Rows of a table where nothing else is asked for.
_ROWS = 1000


@dataclasses.dataclass(frozen=True)
class PredictOptions:
    """Follow a fitted model, or a law with the constants found for it, from a state.

    Attributes:
      state: where to begin, q₁ … qₙ and then p₁ … pₙ, or v₁ … vₙ of a Lagrangian;
        of a law of `identify` as the sensors show it. Angles are in radians, also where
        the file had degrees.
      duration: how long; with input, by default as long as that.
      dt: time from one row of the table to the next; by default that of the data which
        the model was fitted to, or more for very long tables.
      input: a file with the columns t and u, or u1 … um, of models with inputs, which
        are zero without it; between two times as the data of the model were: each
        held until the next time, or linear to it.
      out: the table, .csv; RUN/prediction.csv by default.
      plot: whether to draw the motion beside it, as a .png.
    """

    state: tuple[float, ...]
    duration: float | None = None
    dt: float | None = None
    input: pathlib.Path | None = None
    out: pathlib.Path | None = None
    plot: bool = False


class Predicted(NamedTuple):
    """What `predict` leaves.

    Attributes:
      trajectories: the motion, N = 1, with its energy where the model has one.
      out: the table.
      errors: one standard deviation of q and of v or p, (T, 2n), by the errors of the
        constants of a law that was identified; None for a fitted model, and where
        their covariance was not kept.
    """

    trajectories: Trajectories
    out: pathlib.Path
    errors: np.ndarray | None = None


def predict(run: str | pathlib.Path, options: PredictOptions) -> Predicted:
    """Follow a fitted model, and write its motion as a table of t, q, p or v.

    Of a law whose constants were identified the table has one standard deviation of
    each column too, by the errors of the constants: q_error, and v_error or p_error.

    Args:
      run: the directory of a fit or of an identification, or the fit's model file.
      options: the state, and how long.

    Returns:
      A `Predicted`. A motion that runs away ends before it does, and that is said.

    Raises:
      ValueError: for options that do not fit the model.
      FileNotFoundError: where there is no such run.
    """
    report = report_of_law(run)
    if report is not None:
        found, errors = _followed_law(load_law(run), report, options)
    else:
        found, errors = _followed(checkpoint.load(run), options), None
    out = pathlib.Path(options.out or folder_of(run) / "prediction.csv")
    _write(found, errors, out)
    print(f"{len(found.t)} rows to t = {found.t[-1]:.6g} in {out}")
    if errors is not None:
        print(
            f"one standard deviation at the end, by the errors of the constants: "
            f"{', '.join(f'{x:.2g}' for x in errors[-1])}"
        )
    if options.plot:
        picture = out.with_suffix(".png")
        plots.save(plots.motion(found, bands=errors), picture)
        print(f"figure in {picture}")
    return Predicted(found, out, errors)


def _followed(learned: checkpoint.Learned, options: PredictOptions) -> Trajectories:
    """The motion of a fitted model."""
    dynamics = learned.dynamics
    notes = learned.notes or {}
    facts = notes.get("look", {})
    n = int(learned.arguments["num_coordinates"])
    _check_state(options, n, dynamics.state)
    _say_what_is_taken(options, facts, dynamics.state, dynamics.num_controls)
    between = notes.get("intersample", facts.get("intersample"))
    linear, what = between == "linear", f"a {learned.kind}"
    t, u = _times(options, what, facts.get("step"), dynamics.num_controls, linear)
    given = np.array(options.state, float).reshape(2, 1, 1, n)
    start = Trajectories(t, dynamics.state(*given), u=None if u is None else u[None])
    follower = Follower(dynamics)
    held = data.held_inputs(start, "linear" if linear else "held")
    found = _finite(follower.follow(learned.params, held)._replace(u=start.u))
    if dynamics.energy is not None:
        found = found._replace(
            energy=np.asarray(follower.energy(learned.params, found.y))
        )
    return found


def _followed_law(
    law: BoundLaw, report: dict[str, Any], options: PredictOptions
) -> tuple[Trajectories, np.ndarray | None]:
    """The motion of an identified law, and its errors."""
    measured = law.measured
    _check_state(options, measured.num_coordinates, measured.state)
    facts = report["data"]
    _say_what_is_taken(options, facts, measured.state, measured.num_controls)
    controls = measured.num_controls
    t, u = _times(options, "a law", facts.get("step"), controls, law.linear)
    found, errors = law.follow(t, np.array(options.state, float), u)
    found = _finite(found)
    # A covariance of very many unknowns is not kept.
    kept = bool(np.any(law.covariance))
    return found, errors[: len(found.t)] if kept else None


def _check_state(options: PredictOptions, n: int, state: type[State]) -> None:
    if len(options.state) != 2 * n or not all(map(math.isfinite, options.state)):
        raise ValueError(
            f"state has {len(options.state)} values; expected {2 * n} finite ones, "
            f"{n} positions q and then {n} of {state._fields[1]}."
        )


def _say_what_is_taken(
    options: PredictOptions, facts: dict[str, Any], state: type[State], controls: int
) -> None:
    """One line of what the options do not say: inputs, units, a start far off."""
    n = len(options.state) // 2
    said = []
    if controls and options.input is None:
        said.append("the input is zero (--input FILE gives one)")
    units = facts.get("units")
    if isinstance(units, list) and len(units) == n:
        rates = [f"{x}/s" if x else "" for x in units]
        every = [*units, *(rates if state is TangentState else ["momenta"])]
        said.append(f"states in {', '.join(map(str, every))}")
    if _is_outside(options.state, facts):
        said.append("the start lies outside of the data")
    if said:
        print("; ".join(said))


def _is_outside(state: tuple[float, ...], facts: dict[str, Any]) -> bool:
    """Whether a start is beyond what was measured, angles by whole turns aside."""
    ranges = facts.get("ranges")
    rows = [x for field in ranges.values() for x in field] if ranges else []
    if len(rows) != len(state):
        return False
    low, high = np.array(rows, float).T
    x, n = np.array(state, float), len(state) // 2
    angles = np.array([*facts.get("periodic", [])[:n], *[False] * n], bool)
    if len(angles) == len(x):
        turns = np.round((x - (low + high) / 2) / (2 * np.pi))
        x = np.where(angles, x - 2 * np.pi * turns, x)
    return bool(np.any((x < low) | (x > high)))


def _finite(found: Trajectories) -> Trajectories:
    """A motion as far as it is finite."""
    (whole,) = data.separate(found)
    if len(whole.t) < len(found.t):
        print(f"the motion is not finite after t = {whole.t[-1]:.6g}; it ends there")
    return whole


def _times(
    options: PredictOptions,
    what: str,
    step: float | None,
    controls: int,
    linear: bool,
) -> tuple[np.ndarray, np.ndarray | None]:
    """The times of the rows, and the inputs there."""
    for name in ("duration", "dt"):
        value = getattr(options, name)
        if value is not None and not (math.isfinite(value) and value > 0):
            raise ValueError(f"{name} is {value}; expected a finite time > 0.")
    given = None
    if options.input is not None:
        if not controls:
            raise ValueError(f"{what} without inputs takes no input file.")
        given = data.read_inputs(options.input)
        if given[1].shape[1] != controls:
            raise ValueError(
                f"{options.input} has {given[1].shape[1]} columns u; the model takes "
                f"{controls}."
            )
    if options.duration is None and given is None:
        raise ValueError("duration is missing: say how long to follow the motion.")
    first = 0.0 if given is None else float(given[0][0])
    duration = options.duration
    if duration is None and given is not None:
        duration = float(given[0][-1]) - first
    duration = float(duration or 0.0)
    dt = options.dt or max(step or duration / _ROWS, duration / 1e5)
    count = max(math.ceil(duration / dt - 1e-9), 1)
    t = first + duration * np.arange(count + 1) / count
    if not controls:
        return t, None
    if given is None:
        return t, np.zeros((len(t), controls))
    times, values = given
    if t[-1] > times[-1] * (1 + 1e-9) + dt:
        raise ValueError(
            f"{options.input} ends at t = {times[-1]:g}, before the motion does, at "
            f"{t[-1]:g}; lower the duration to {times[-1] - first:g}."
        )
    if linear:
        return t, np.stack([np.interp(t, times, x) for x in values.T], axis=1)
    # The input of a row is the one that was set last.
    rows = np.searchsorted(times, t + 1e-9 * dt, side="right") - 1
    return t, values[np.clip(rows, 0, len(times) - 1)]


def _write(found: Trajectories, errors: np.ndarray | None, out: pathlib.Path) -> None:
    """The table, whole or not at all."""
    names, columns = ["t"], [found.t[:, None]]
    arrays = {**found.y._asdict()} | ({} if found.u is None else {"u": found.u})
    for name, x in arrays.items():
        m = x.shape[2]
        names += [name] if m == 1 else [f"{name}{i + 1}" for i in range(m)]
        columns.append(x[0])
    if errors is not None:
        n = found.y.q.shape[2]
        names += [f"{name}_error" for name in names[1 : 1 + 2 * n]]
        columns.append(errors)
    if found.energy is not None:
        names.append("energy")
        columns.append(found.energy[0][:, None])
    out.parent.mkdir(parents=True, exist_ok=True)
    rows = np.concatenate(columns, axis=1)
    with replacing(out) as file:
        np.savetxt(file, rows, "%.9g", ",", header=",".join(names), comments="")
