"""`jaxphys fit`: learn a motion from trajectories that somebody measured.

Read, look for what is wrong, smooth what is noisy, hold some out, train, and judge the
model by following the motions that were held out. What is left is a report, figures,
and a model file that `jaxphys.checkpoint.load` makes a Hamiltonian of again, or a
Lagrangian.
"""

import dataclasses
import functools
import pathlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxphys import (
    checkpoint,
    data,
    integrators,
    learning,
    metrics,
    models,
    plots,
    training,
)
from jaxphys.data import Chunk, Trajectories
from jaxphys.experiments import runner
from jaxphys.experiments.dynamics import finite
from jaxphys.learning import Recipe
from jaxphys.names import check_known
from jaxphys.problems.matching import follow
from jaxphys.types import Array, Dynamics, PhaseState, PyTree, TangentState

#: What can be fitted, and what each is, for people.
MODELS = {
    "hnn": "a Hamiltonian H(q, p)",
    "separable": "a Hamiltonian T(p) + V(q)",
    "structured": "a Hamiltonian ½ pᵀ M⁻¹(q) p + V(q)",
    "dissipative": "a Hamiltonian, and what the motion loses",
    "neural_ode": "a vector field of q and p, without an energy",
    "lnn": "a Lagrangian L(q, v)",
    "delan": "a Lagrangian ½ vᵀ M(q) v − V(q)",
    "second_order": "an acceleration of q and v, without an energy",
}

#: Those that know of inputs and friction.
LAGRANGIANS = ("lnn", "delan")

#: What may be matched.
MODES = ("auto", "derivatives", "trajectories", "torques")

#: How inputs may act.
INPUTS = ("auto", "direct", "learned")

#: A rollout counts as valid until its relative error passes this.
THRESHOLD = 0.1

#: Updates between two looks at the held-out loss; a damped step is worth many others.
_LOOK_EVERY = {"levenberg_marquardt": 5, "hig": 5, "gauss_newton": 5, "spring": 5}

#: A step of the integrator that judges is at most this part of the data's median one.
_SUBSTEPS = 4


@dataclasses.dataclass(frozen=True)
class FitOptions:
    """Learn a motion from measured trajectories.

    Attributes:
      data: an .npz or .csv file of trajectories: t, q, and p or v; for lnn and delan
        also the inputs u, where there are some.
      mass: makes momenta of velocities, p = m v; one number, or one a coordinate.
      periodic: which coordinates are angles [rad], true or false for each; by default
        what the file says, else none.
      mode: match `derivatives` or `trajectories`, or the `torques` that accelerations
        take; `auto` takes derivatives for lnn and delan, or the torques for delan if
        there are any, and for other models derivatives where the file has them or the
        data are smooth, and trajectories where data are noisy.
      inputs: how the u of a file act on lnn and delan: `direct`, as generalized forces,
        or by a `learned` matrix; `auto` takes forces where there is one a coordinate.
      dissipation: whether lnn and delan learn a friction beside the Lagrangian.
      window: points of the local polynomial that smooths noisy data, odd; 0 for none,
        and by default what the data ask for.
      hold_out: the part of the data that is kept for the test.
      hold_out_by: `trajectory` or `time`: whole motions, or the end of each; `auto`
        takes motions where there are several.
      chunk: steps of the data followed from one start, where trajectories are matched.
      integrator: what follows them.
      optimizer: what trains.
      learning_rate, schedule, weight_decay: of adam.
      batch_size: samples an update; by default 64, and 256 for lnn, whose mass matrix
        no construction keeps regular where a small batch does not look.
      seconds: training time.
      steps: number of updates, in place of seconds.
      patience: looks without progress on the held-out loss before training ends.
      noise: standard deviation of noise to add to the training states, in units of
        their spread.
      hidden: units of each hidden layer.
      activation: of the network; by default softplus for lnn and delan, else tanh.
      dtype: of the weights, `float32` or `float64`.
      seed: of the first weights, the hold-out and the order of samples.
      out: directory of the results; `runs/fit-DATE-TIME` by default.
      resume: go on with the training in `out`.
      progress: whether to show a progress bar.
    """

    data: pathlib.Path
    mass: tuple[float, ...] = ()
    periodic: tuple[bool, ...] = ()
    mode: str = "auto"
    inputs: str = "auto"
    dissipation: bool = False
    window: int | None = None
    hold_out: float = 0.2
    hold_out_by: str = "auto"
    chunk: int = 10
    integrator: str = "rk4"
    optimizer: str = "levenberg_marquardt"
    learning_rate: float = 1e-3
    schedule: str = "constant"
    weight_decay: float = 0.0
    batch_size: int | None = None
    seconds: float | None = None
    steps: int | None = None
    patience: int = 40
    noise: float = 0.0
    hidden: tuple[int, ...] = (32, 32)
    activation: str | None = None
    dtype: str = "float64"
    seed: int = 0
    out: pathlib.Path | None = None
    resume: bool = False
    progress: bool = True


class Prepared(NamedTuple):
    """Data that are ready to be learned from.

    Attributes:
      measured: as they were read.
      raw: what is held out of these, as it was read.
      train, held_out: smoothed where that was asked for, with derivatives, and inputs
        as these see them.
      periodic: which coordinates are angles.
      window: the smoothing that was used; 0 for none.
      mode: what is matched.
      held_out_by: trajectory or time.
      inputs: how inputs act, direct or learned; None where there are none.
    """

    measured: list[Trajectories]
    raw: list[Trajectories]
    train: list[Trajectories]
    held_out: list[Trajectories]
    periodic: tuple[bool, ...]
    window: int
    mode: str
    held_out_by: str
    inputs: str | None = None


class Fitted(NamedTuple):
    """What a fit leaves: the report, the model, and the directory."""

    report: dict[str, Any]
    model: checkpoint.Learned
    out: pathlib.Path
    interrupted: bool


def run(kind: str, options: FitOptions) -> Fitted:
    """Fit one kind of model, print the report, write it with figures and the model.

    Raises:
      ValueError: for data and options that do not fit, with nothing written.
      FileNotFoundError: where there is no such file.
    """
    check_known("model", kind, MODELS)
    dtype = runner.model_dtype(runner.RunOptions(dtype=options.dtype))
    ready = prepare(kind, options)
    recipe = recipe_of(kind, options, ready)
    arguments = arguments_of(kind, options, ready)
    motion = checkpoint.build(kind, arguments)
    if recipe.mode == "trajectories":
        learning.step_maker(motion, recipe.integrator)
    for length in recipe.lengths:
        for part in (ready.train, ready.held_out):
            learning.samples(motion, recipe, part, length)
    out = options.out or runner.dated_directory("fit")
    if not options.resume:
        runner.check_empty(out, "Choose another --out, or go on with --resume.")
    out.mkdir(parents=True, exist_ok=True)
    print(_introduced(kind, options, ready, out), flush=True)

    for_noise, for_fit = jax.random.split(jax.random.key(options.seed))
    train = data.cast(ready.train, dtype)
    if options.noise:
        train = _noisy(train, options.noise, for_noise)
    fit = learning.learn(
        motion,
        recipe,
        train,
        key=for_fit,
        others={"validation_loss": data.cast(ready.held_out, dtype)},
        normalized=True,
        name=f"fit {kind}",
        progress=options.progress,
        checkpoint_dir=out / "checkpoints" / "fit",
        resume=options.resume,
    )
    params = fit.state.params
    report = _report(kind, options, ready, motion, fit, params)
    path = checkpoint.save_model(
        out / "model.npz", kind, arguments | {"dtype": dtype}, params, report["data"]
    )
    runner.write_json(out / "report.json", report)
    print(told(report))
    _draw(ready, motion, params, fit, out, kind)
    print(f"model, report and figures in {out}")
    return Fitted(report, checkpoint.load(path), out, fit.status == "interrupted")


def prepare(kind: str, options: FitOptions) -> Prepared:
    """Read the file, check it, smooth it, and hold some of it out."""
    state = _state(kind)
    check_known("mode", options.mode, MODES)
    check_known("inputs", options.inputs, INPUTS)
    check_known("hold_out_by", options.hold_out_by, ("auto", "trajectory", "time"))
    mass = None
    if options.mass:
        mass = options.mass[0] if len(options.mass) == 1 else np.array(options.mass)
    measured = data.read_trajectories(options.data, mass=mass)
    n = measured[0].q.shape[2]
    periodic = _periodic(options, measured, n)
    data.check_angles(measured, periodic)
    if state is PhaseState and any(each.p is None for each in measured):
        raise ValueError(
            f"{options.data} has velocities and no momenta; give --mass, or fit "
            "lnn, delan or second_order, which need none."
        )
    if state is TangentState and any(each.v is None for each in measured):
        raise ValueError(
            f"{options.data} has momenta and no velocities, which {kind} needs; "
            "fit hnn, or add columns v."
        )
    inputs = _inputs(kind, options, measured)
    given = all(_has_rates(each, state) for each in measured)
    window = _window(options, measured, given)
    mode = options.mode
    if mode == "auto":
        mode = "derivatives"
        if kind == "delan" and _pushed(measured, inputs):
            mode = "torques"
        elif kind not in LAGRANGIANS and window and not given:
            mode = "trajectories"
    whole = [_smoothed(each, window) for each in measured]
    if mode != "trajectories":
        whole = [
            _averaged(each, window) if before.dv is None else each
            for each, before in zip(whole, measured, strict=True)
        ]
    by = options.hold_out_by
    if by == "auto":
        by = "trajectory" if len(whole) > 1 else "time"
    key = jax.random.key(options.seed) if by == "trajectory" else None
    train, held_out = data.split(whole, options.hold_out, by=by, key=key)
    _, raw = data.split(measured, options.hold_out, by=by, key=key)
    return Prepared(measured, raw, train, held_out, periodic, window, mode, by, inputs)


def _state(kind: str) -> type[PhaseState] | type[TangentState]:
    return TangentState if kind in (*LAGRANGIANS, "second_order") else PhaseState


def _inputs(kind: str, options: FitOptions, measured: list[Trajectories]) -> str | None:
    """How inputs act, None where there are none; or what does not fit in them."""
    u, n = measured[0].u, measured[0].q.shape[2]
    if kind not in LAGRANGIANS:
        if options.mode == "torques" or options.inputs != "auto" or options.dissipation:
            raise ValueError(
                f"mode torques, inputs and dissipation are for lnn and delan; {kind} "
                "knows none of them: leave them out."
            )
        if u is not None:
            raise ValueError(
                f"{options.data} has inputs u, and {kind} knows only of motions that "
                "are left alone; fit lnn or delan, or leave u out of the file."
            )
        return None
    if u is None:
        if options.mode == "torques" or options.inputs != "auto":
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
    if options.mode == "torques" and inputs == "learned":
        raise ValueError(
            f"u has {m} columns that act on {n} coordinates by a learned matrix; "
            "torques are matched where u has one a coordinate. Match derivatives or "
            "trajectories."
        )
    if options.mode == "torques" and not _pushed(measured, inputs):
        raise ValueError(
            "all inputs u are zero, so that no Lagrangian at all matches them best; "
            "match derivatives or trajectories."
        )
    return inputs


def _pushed(measured: Sequence[Trajectories], inputs: str | None) -> bool:
    """Whether there are generalized forces that are not all zero."""
    return inputs == "direct" and any(np.any(each.u) for each in measured)


def _periodic(options: FitOptions, measured: list[Trajectories], n: int):
    given = options.periodic or measured[0].meta.get("periodic") or (False,) * n
    if len(given) != n:
        raise ValueError(
            f"periodic has {len(given)} entries; the data have {n} coordinates."
        )
    return tuple(map(bool, given))


def _has_rates(each: Trajectories, state: type) -> bool:
    if state is PhaseState:
        return each.dq is not None and each.dp is not None
    return each.dv is not None


def _window(options: FitOptions, measured: list[Trajectories], given: bool) -> int:
    """The smoothing window: as asked for, or the middle one of what the data want."""
    if options.window is not None:
        if options.window < 0 or (options.window and options.window % 2 == 0):
            raise ValueError(
                f"window is {options.window}; expected 0 or an odd number."
            )
        return options.window
    if given:
        return 0
    wanted = sorted(data.suggest_window(each.t, each.q) or 0 for each in measured)
    return wanted[len(wanted) // 2]


def _own_window(each: Trajectories, window: int) -> int | None:
    """The window as far as it fits in a trajectory; None for no smoothing."""
    own = min(window, len(each.t) - (1 - len(each.t) % 2))
    return own if own >= 5 else None


def _smoothed(each: Trajectories, window: int) -> Trajectories:
    """States and their derivatives by the same local polynomials."""
    own = _own_window(each, window)
    if own is None:
        # A motion that is left alone is smooth, and five times tell more of it than
        # three; one that is pushed may have corners.
        smooth = each.u is None and len(each.t) >= 5
        degree = {"window": 5, "order": 4} if smooth else {}
        return data.with_derivatives(each, **degree)
    rates = data.with_derivatives(each, window=own)
    found: dict[str, Any] = {
        name: data.smoothed(each.t, x, window=own)
        for name in ("q", "p", "v")
        if (x := getattr(each, name)) is not None
    }
    return rates._replace(**found)


def _averaged(each: Trajectories, window: int) -> Trajectories:
    """Inputs as accelerations that were found from velocities see them.

    An input is held until the next time, so its integral is known at every time; what
    makes accelerations of velocities makes of it the input that belongs to them.
    """
    if each.u is None:
        return each
    given = each.u[:, :-1] * np.diff(each.t)[:, None]
    total = np.concatenate([np.zeros_like(each.u[:, :1]), np.cumsum(given, 1)], axis=1)
    own = _own_window(each, window)
    return each._replace(u=data.derivatives(each.t, total, window=own))


def recipe_of(kind: str, options: FitOptions, ready: Prepared) -> Recipe:
    """How to train, of the options."""
    seconds = options.seconds
    if seconds is None and options.steps is None:
        seconds = 20.0
    batch_size = options.batch_size
    if batch_size is None:
        batch_size = 256 if kind == "lnn" else 64
    return Recipe(
        mode=ready.mode,
        optimizer=options.optimizer,
        learning_rate=options.learning_rate,
        schedule=options.schedule,
        weight_decay=options.weight_decay,
        batch_size=batch_size,
        steps=options.steps,
        seconds=seconds,
        integrator=options.integrator,
        chunk=options.chunk,
        patience=options.patience,
        look_every=_LOOK_EVERY.get(options.optimizer, 100),
    ).check()


def arguments_of(kind: str, options: FitOptions, ready: Prepared) -> dict[str, Any]:
    """What the model's function is given: sizes, angles, and the units of the data."""
    second = "p" if _state(kind) is PhaseState else "v"
    parts: dict[str, np.ndarray] = {}
    for name, field in (("q", "q"), ("p", second), ("dq", "dq"), ("dp", f"d{second}")):
        rows = [getattr(each, field) for each in ready.train]
        if field == "dq" and rows[0] is None:
            rows = [each.v for each in ready.train]
        parts[name] = np.concatenate([x.reshape(-1, x.shape[-1]) for x in rows])
    units = models.normalization(**parts, periodic=ready.periodic)
    lagrangian = kind in LAGRANGIANS
    arguments: dict[str, Any] = {
        "num_coordinates": parts["q"].shape[1],
        "hidden": list(options.hidden),
        "activation": options.activation or ("softplus" if lagrangian else "tanh"),
        "kernel_init": "glorot_normal",
        "periodic": list(ready.periodic),
        "normalization": units,
        "dtype": options.dtype,
    }
    if ready.inputs is not None:
        rows = [np.asarray(each.u) for each in ready.train]
        u = np.concatenate([x.reshape(-1, x.shape[-1]) for x in rows])
        mass = _size(u) / _size(parts["dp"])
        rates = {"q_rate": mass * units.q_rate, "p_rate": mass * units.p_rate}
        arguments["normalization"] = units._replace(**rates)
        arguments |= {"num_controls": u.shape[1], "inputs": ready.inputs}
    if options.dissipation:
        arguments["dissipation"] = True
    return arguments


def _size(x: np.ndarray) -> float:
    """The typical size of rows, whatever the units of each column; one for zeros."""
    root = np.sqrt(np.mean(x**2, axis=0))
    root = root[root > 0]
    return float(np.exp(np.mean(np.log(root)))) if len(root) else 1.0


def _noisy(train: list[Trajectories], part: float, key: Array) -> list[Trajectories]:
    """Noise on the states, in units of each one's spread."""
    found = []
    for number, each in enumerate(train):
        own = jax.random.fold_in(key, number)
        for index, name in enumerate(("q", "p", "v")):
            x = getattr(each, name)
            if x is not None:
                draw = jax.random.normal(jax.random.fold_in(own, index), x.shape)
                size = part * np.std(x, axis=(0, 1))
                each = each._replace(**{name: x + size * np.asarray(draw, x.dtype)})
        found.append(each)
    return found


def _introduced(
    kind: str, options: FitOptions, ready: Prepared, out: pathlib.Path
) -> str:
    points = sum(each.q.shape[0] * len(each.t) for each in ready.measured)
    smooth = f"smoothed over {ready.window} points" if ready.window else "not smoothed"
    what = MODELS[kind] + ", with a friction" * options.dissipation
    pushed = f"{ready.inputs} inputs, " if ready.inputs is not None else ""
    return (
        f"{kind}, {what}: {len(ready.measured)} trajectories, {points} points, "
        f"{ready.measured[0].q.shape[2]} coordinates, {pushed}{smooth}; matching "
        f"{ready.mode}, holding out {options.hold_out:g} by {ready.held_out_by}; "
        f"results in {out}"
    )


def followed(
    motion: Dynamics, params: PyTree, each: Trajectories
) -> tuple[np.ndarray, np.ndarray]:
    """The model's motion from the first state of a trajectory, at all its times.

    Where the motion takes inputs they are those of the trajectory, each held until the
    next time.

    Returns:
      q and p (or v), each (T, n).
    """
    second = each.p if motion.state is PhaseState else each.v
    assert second is not None
    dtype = jax.tree.leaves(params)[0].dtype
    y = motion.state(*(jnp.asarray(x[0, 0], dtype) for x in (each.q, second)))
    u = None if each.u is None else jnp.asarray(each.u[0, :-1], dtype)
    path = _follower(motion)(params, Chunk(jnp.asarray(each.t, dtype), y, u))
    q, x = (
        np.concatenate([np.asarray(a)[None], np.asarray(b)])
        for a, b in zip(y, path, strict=True)
    )
    return q, x


@functools.lru_cache(maxsize=8)
def _follower(motion: Dynamics) -> Callable[[PyTree, Chunk], PyTree]:
    """The motion at all times, compiled once for trajectories of one length."""
    step = functools.partial(integrators.rk4, rolled=True)
    return jax.jit(follow(motion, step, substeps=_SUBSTEPS))


@functools.lru_cache(maxsize=8)
def _energy_along(motion: Dynamics) -> Callable[..., Array]:
    assert motion.energy is not None
    return jax.jit(jax.vmap(motion.energy, (None, 0, 0)))


def judge(
    motion: Dynamics,
    params: PyTree,
    held_out: Sequence[Trajectories],
    *,
    kept: bool = True,
) -> dict[str, Any]:
    """Rollouts from held-out starts: errors, valid times, and the learned energy.

    Args:
      motion, params: the model.
      held_out: what it is compared with, inputs as they were held.
      kept: whether the motion should keep its energy.
    """
    rows = []
    for each in held_out:
        q, x = followed(motion, params, each)
        second = each.p if motion.state is PhaseState else each.v
        assert second is not None
        errors = metrics.relative_error((q, x), (each.q[0], second[0]))
        times = jnp.asarray(each.t)
        row = {
            "duration": float(each.t[-1] - each.t[0]),
            "valid_time": float(metrics.valid_time(times, errors, THRESHOLD)),
            "rollout_error": float(metrics.geometric_mean(errors, times)),
        }
        if motion.energy is not None and kept:
            row |= _energies(motion, params, (q, x), (each.q[0], second[0]))
        rows.append({k: finite(v) for k, v in row.items()})
    return {
        name: dict(
            zip(
                ("low", "median", "high"),
                (
                    float(v)
                    for v in metrics.quartiles(jnp.array([r[name] for r in rows]))
                ),
                strict=True,
            )
        )
        for name in rows[0]
    }


def _energies(motion: Dynamics, params: PyTree, path, measured) -> dict[str, float]:
    """How the learned energy keeps along the rollout, and along what was measured."""
    energy = _energy_along(motion)
    along, seen = (
        np.asarray(energy(params, *map(jnp.asarray, y))) for y in (path, measured)
    )
    unit = float(np.max(seen) - np.min(seen)) or 1.0
    dtype = jax.tree.leaves(params)[0].dtype
    # The unit is what the energy changes by over states as far apart as these.
    q, x = (jnp.asarray(y, dtype) for y in measured)
    spread = np.asarray(energy(params, q, jnp.zeros_like(x)))
    unit = max(unit, float(np.max(spread) - np.min(spread)))
    return {
        "energy_drift": float(np.max(np.abs(along - along[0]))) / unit,
        "measured_energy_spread": float(np.std(seen)) / unit,
    }


def _report(
    kind: str,
    options: FitOptions,
    ready: Prepared,
    motion: Dynamics,
    fit: training.Fit,
    params: PyTree,
) -> dict[str, Any]:
    shown = {
        k: str(v) if isinstance(v, pathlib.Path) else v
        for k, v in dataclasses.asdict(options).items()
        if k not in ("out", "resume", "progress")
    }
    return {
        "model": kind,
        "options": shown,
        "versions": runner.versions(),
        "device": runner.device(),
        "data": {
            "file": options.data.name,
            "trajectories": len(ready.measured),
            "points": sum(len(each.t) for each in ready.measured),
            "coordinates": ready.measured[0].q.shape[2],
            "periodic": list(ready.periodic),
            "window": ready.window,
            "mode": ready.mode,
            "inputs": ready.inputs,
            "held_out_by": ready.held_out_by,
        },
        "training": {
            "status": fit.status,
            "message": fit.message,
            "updates": fit.history[-1]["step"],
            "seconds": fit.seconds,
            "compile_seconds": fit.compile_seconds,
            "history": fit.history,
        },
        "losses": _losses(fit),
        "held_out": judge(
            motion,
            params,
            _followable(ready),
            kept=ready.inputs is None and not options.dissipation,
        ),
    }


def _followable(ready: Prepared) -> list[Trajectories]:
    """What is held out, with the inputs that were held between its times."""
    return [
        each._replace(u=raw.u)
        for each, raw in zip(ready.held_out, ready.raw, strict=True)
    ]


def _losses(fit: training.Fit) -> dict[str, float]:
    """At the state that was kept: the look with the lowest held-out loss."""
    best = min(fit.history, key=lambda h: h["validation_loss"])
    return {k: best[k] for k in ("train_loss", "validation_loss")}


def told(report: dict[str, Any]) -> str:
    """The report for people."""
    losses, train = report["losses"], report["training"]
    lines = [
        f"{train['updates']} updates in {train['seconds']:.1f} s "
        f"({train['compile_seconds']:.1f} s to compile); {train['status']}"
        + (f", {train['message']}" if train["message"] else ""),
        f"loss, each component in units of its own size: train "
        f"{losses['train_loss']:.3g}, held out {losses['validation_loss']:.3g}",
        "rollouts from held-out starts:",
    ]
    names = {
        "valid_time": f"valid time (relative error ≤ {THRESHOLD:g})",
        "duration": "of a duration of",
        "rollout_error": "relative error, geometric mean",
        "energy_drift": "drift of the learned energy, of its range",
        "measured_energy_spread": "learned energy along the data, spread of its range",
    }
    found = report["held_out"]
    rows = [["", "median", "quartiles"]]
    for key, name in names.items():
        if key in found:
            x = found[key]
            rows.append(
                [name, f"{x['median']:.3g}", f"{x['low']:.2g} to {x['high']:.2g}"]
            )
    return "\n".join([*lines, runner.aligned(rows)])


def _draw(ready, motion, params, fit, out: pathlib.Path, kind: str) -> None:
    history = {"methods": {kind: {"history": _renamed(fit.history)}}}
    figure = plots.comparison({out.name: history | {"experiment": f"fit {kind}"}})
    plots.save(figure, out / "losses.png")
    each = _followable(ready)[0]
    q, x = followed(motion, params, each)
    symbol = "p" if motion.state is PhaseState else "v"
    seen = ready.raw[0]
    figure = plots.followed_motion(
        each.t,
        (seen.q[0], getattr(seen, symbol)[0]),
        (q, x),
        symbol=symbol,
        kind=kind,
    )
    plots.save(figure, out / "motion.png")
    if each.q.shape[2] == 1 and motion.energy is not None:
        dots = [(t.q[0, :, 0], getattr(t, symbol)[0, :, 0]) for t in ready.measured]
        figure = plots.energy_levels(
            lambda a, b: _levels(motion, params, a, b), dots, symbol=symbol
        )
        plots.save(figure, out / "energy.png")


def _levels(motion: Dynamics, params: PyTree, q: np.ndarray, p: np.ndarray):
    """The learned energy on a grid of one coordinate, (len(p), len(q))."""
    assert motion.energy is not None
    energy = motion.energy
    dtype = jax.tree.leaves(params)[0].dtype
    qs, ps = (jnp.asarray(x, dtype) for x in np.meshgrid(q, p))

    def one(q: Array, p: Array) -> Array:
        return energy(params, q[None], p[None])

    return np.asarray(jax.jit(jax.vmap(jax.vmap(one)))(qs, ps))


def _renamed(history: list[dict[str, float]]) -> list[dict[str, float]]:
    return [h | {"test_loss": h["validation_loss"]} for h in history]
