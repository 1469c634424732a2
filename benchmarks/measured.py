"""Measured motions: constants with errors, laws told apart, networks from records.

The records are public, and not part of this repository. Put these files into a folder,
and name it in the variable MEASURED:

- real_pend_h_1.txt and real_double_pend_h_1.txt, in data/schmidt-lipson-exp-data of
  erwincoumans/tiny-differentiable-simulator;
- data_measured.csv, in results/control_method_energy_shaping of
  dfki-ric-underactuated-lab/torque_limited_simple_pendulum;
- SNLS80mV.csv, in data/Silverbox of biaslab/nsi-silverbox;
- dataBenchmark.csv, in examples/CTS_example/data of
  forgi86/sysid-neural-structures-fitting.

The first two are of M. Schmidt & H. Lipson (Science 324, 2009): one swing of a pendulum
with friction, 556 rows in 94.5 s, and two of a double pendulum. In smoke size a
simulated pendulum takes their place, and what needs the other files is left out.
"""

import os
import pathlib
import tempfile
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxphys import checkpoint, data, experiments, integrators, learning, models
from jaxphys.experiments import record
from jaxphys.experiments.experiment import RunOptions, Subject, Trained
from jaxphys.learning.constants import identify
from jaxphys.learning.shooting import Law, rollouts, starts_of
from jaxphys.motion import Motion
from jaxphys.names import check_known
from jaxphys.types import PhaseState, Trajectories

#: The constants of θ′ = s ω, ω′ = −a sin θ − b ω + c, and their errors, by a fit of the
#: whole record with SciPy.
PENDULUM = {
    "a": (1.2964, 0.0010),
    "s": (1.0454, 0.0009),
    "b": (0.01213, 0.00002),
    "c": (0.0109, 0.0005),
}

#: Laws that are told apart, and seconds for each.
LAWS, SECONDS = ("hnn", "dissipative", "port_hamiltonian", "neural_ode"), 60.0

#: Rows of a piece of the double pendulum's record: the search that leaves least is
#: taken.
PIECES = (8, 12, 20)

#: A rollout is valid until it is off by so many times the noise.
VALID = 3.0

#: Searches from several starts, of which the one that leaves least is taken.
STARTS = 3

#: Mass and length of the torque-limited pendulum, as its repository has them in
#: data/parameters/sp_parameters_energy.yaml.
LIMITED = {"mass": 0.6755, "length": 0.5}

#: Its viscous [N m s] and Coulomb friction [N m] as the files of data/parameters have
#: them: sp_parameters_energy, _trajectory and _openloop.
FRICTIONS = ((0.35, 0.0), (0.35, 1.3), (0.1, 1.3))

#: Root mean square errors of the cascaded tanks, medians of 20 networks, as published.
TANKS = {
    "neural ODE": 0.688,
    "port-Hamiltonian": 0.545,
    "the same with a convex H": 0.330,
    "stable": 0.321,
}


def run(
    *, smoke: bool, only: tuple[str, ...] = ()
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Measure all, or some of `PARTS`; returns (config, results)."""
    jax.config.update("jax_enable_x64", True)
    for name in only:
        check_known("part", name, tuple(PARTS))
    usual = SMOKE if smoke else tuple(PARTS)
    results = {}
    for name in only or usual:
        begun = time.perf_counter()
        results[name] = PARTS[name](smoke) | {"seconds": 0.0}
        results[name]["seconds"] = time.perf_counter() - begun
    return {"dtype": "float64", "seconds": SECONDS, "valid": VALID}, results


def _folder() -> pathlib.Path:
    return pathlib.Path(os.environ.get("MEASURED", "."))


def _read(name: str) -> pathlib.Path:
    path = _folder() / name
    if not path.exists():
        raise FileNotFoundError(
            f"{name} is not in the folder MEASURED={os.environ.get('MEASURED', '')}; "
            "see the first lines of benchmarks/measured.py for where it is."
        )
    return path


def _swing(smoke: bool) -> list[Trajectories]:
    if smoke:
        return _simulated()
    return data.read_trajectories(_read("real_pend_h_1.txt"))


def _field(t: Any, y: Any, c: dict[str, Any]) -> Any:
    """A pendulum with friction, a sensor of rates with a scale, and a bias."""
    angle, rate = y
    return jnp.stack([c["s"] * rate, -c["a"] * jnp.sin(angle) - c["b"] * rate + c["c"]])


def _simulated() -> list[Trajectories]:
    """A pendulum with the constants of the measured one, and noise."""
    truth = {name: value for name, (value, _) in PENDULUM.items()}
    path = integrators.rollout(
        integrators.rk4(_field),
        jnp.array([1.1, 0.9]),
        dt=0.17,
        num_steps=200,
        args=truth,
        substeps=4,
    )
    noisy = np.asarray(path) + 0.01 * np.random.default_rng(0).normal(size=path.shape)
    t = 0.17 * np.arange(len(noisy))
    return data.trajectories_from({"t": t, "q": noisy[:, 0], "v": noisy[:, 1]})


def _pendulum(smoke: bool) -> dict[str, Any]:
    """The constants of the field by `identify`, beside the known ones."""
    start = {"a": 1.2, "s": 1.0, "b": 0.02, "c": 0.0}
    found = identify(_field, _swing(smoke), start)
    rows = []
    for name, (value, error) in PENDULUM.items():
        own, spread = found.constants[name], found.standard_errors[name]
        apart = abs(own - value) / float(np.hypot(spread, error))
        row = {"constant": name, "found": own, "error": spread}
        rows.append(row | {"known": value, "known_error": error, "apart": apart})
    return {"rows": rows, "rms": found.rms}


def _laws(smoke: bool) -> dict[str, Any]:
    """Laws fitted without knowing which it is, and their rollouts of the record."""
    laws = ("hnn", "neural_ode") if smoke else LAWS
    seconds = 2.0 if smoke else SECONDS
    ranking = learning.which_law(_swing(smoke), laws=laws, seconds=seconds)
    report = ranking.report()
    return {"rows": report["laws"], "recommended": report["recommended"]}


def _two_pendula(c: dict[str, Any], q: Any, v: Any) -> Any:
    """A double pendulum in units of its first moment of inertia."""
    coupled = c["b"] * v[0] * v[1] * jnp.cos(q[0] - q[1])
    kinetic = v[0] ** 2 + c["a"] * v[1] ** 2 + coupled
    return (kinetic + c["c"] * jnp.cos(q[0]) + c["d"] * jnp.cos(q[1])) / 2


def _double_pendulum(smoke: bool) -> dict[str, Any]:
    """Constants of one trial, and networks: how long they predict the other one.

    They are learned from the faster one, which turns over and sees all that the other
    does. A prediction is judged by the other's own noise, and by what the law leaves of
    the record that it was found from.
    """
    del smoke
    trials = data.read_trajectories(_read("real_double_pend_h_1.txt"))
    other, one = data.look(trials).trajectories[:2]
    start, friction = _linear_fit(one), ["viscous"]
    searches = [
        identify(_two_pendula, [one], start, friction=friction, rows=rows)
        for rows in PIECES
    ]
    found = min(searches, key=lambda search: search.rms)

    own = data.noise_levels(np.asarray(other.t), np.concatenate(other.y, axis=2))
    units = {"noise": own, "left": np.asarray(found.noise)}
    law = found.law, found.every, found.substeps
    rows: list[dict[str, Any]] = [{"model": "identified"} | _valid(law, other, units)]
    both = learning.known_and_learned(
        _two_pendula, [one], start, learned="friction", steps=15
    )
    law = both.law.law, both.law.c, found.substeps
    rows.append({"model": "known, with a learned friction"} | _valid(law, other, units))
    for model in ("delan", "neural_ode"):
        whole = _network(model, one)
        law = whole.law, whole.c, whole.substeps
        rows.append({"model": model} | _valid(law, other, units))
    constants = {"constants": found.constants, "errors": found.standard_errors}
    return constants | {"joined": bool(found.joined), "rows": rows}


def _linear_fit(one: Trajectories) -> dict[str, float]:
    """Where the search of the double pendulum's constants begins.

    Lagrange's equations d/dt ∂L/∂v − ∂L/∂q = 0 are linear in them.
    """
    names = ("a", "b", "c", "d")
    smooth = data.smoothed_trajectories(one, 7)

    def missed(values: Any, q: Any, v: Any, a: Any) -> Any:
        def lagrangian(q: Any, v: Any) -> Any:
            return _two_pendula(dict(zip(names, values, strict=True)), q, v)

        _, change = jax.jvp(jax.grad(lagrangian, 1), (q, v), (v, a))
        return change - jax.grad(lagrangian)(q, v)

    rate: Any = smooth.rate
    seen = tuple(jnp.asarray(x[0]) for x in (*smooth.y, rate[1]))
    zero = jnp.zeros(len(names))
    constant = jax.vmap(missed, (None, 0, 0, 0))(zero, *seen).reshape(-1)
    slopes = jax.vmap(jax.jacfwd(missed), (None, 0, 0, 0))(zero, *seen)
    values = jnp.linalg.lstsq(slopes.reshape(len(constant), -1), -constant)[0]
    return dict(zip(names, values.tolist(), strict=True))


def _network(model: str, one: Trajectories) -> learning.Whole:
    """A network with friction by a whole record, begun by derivatives."""
    kind = type(one.y) if model == "delan" else PhaseState
    train = [one._replace(y=kind(*one.y))]
    smooth = [data.smoothed_trajectories(each, 7) for each in train]
    periodic = [True] * one.y.q.shape[2]
    made = learning.arguments_for(
        model, smooth, periodic=periodic, dissipation=model == "delan"
    )
    motion = checkpoint.build(model, made)
    recipe = learning.Recipe(optimizer="levenberg_marquardt", seconds=SECONDS)
    key = jax.random.key(0)
    begun = learning.learn(
        motion, recipe, smooth, key=key, normalized=True, progress=False
    )
    return learning.learn_whole(motion, train, begun.state.params, seconds=SECONDS)


def _valid(
    fitted: tuple[Law, np.ndarray, int],
    other: Trajectories,
    units: dict[str, np.ndarray],
) -> dict[str, list[float]]:
    """Unit → how long rollouts along another record stay within it, at most 2 s or so.

    One every half second, its start fitted to its first half period.
    """
    law, c, substeps = fitted
    parts = []
    for first in range(0, len(other.t) - 200, 50):
        rows = slice(first, first + 200)
        y = type(other.y)(*(x[:, rows] for x in other.y))
        parts.append(Trajectories(np.asarray(other.t)[rows], y))
    starts = starts_of(law, c, parts, substeps)
    paths = rollouts(law, c, starts, parts, substeps=substeps)[0]
    times: dict[str, list[float]] = {name: [] for name in units}
    for part, path in zip(parts, paths, strict=True):
        gap = path - np.concatenate(part.y, axis=2)[0]
        for name, unit in units.items():
            off = np.sqrt(np.mean((gap / unit) ** 2, axis=1))
            over = np.flatnonzero(~(off <= VALID))
            last = over[0] if len(over) else len(off) - 1
            times[name].append(float(part.t[last] - part.t[0]))
    return times


def _torque_limited(smoke: bool) -> dict[str, Any]:
    """A pendulum under a motor's torque: five seconds, every fifth row."""
    del smoke
    table = np.loadtxt(_read("data_measured.csv"), delimiter=",", skiprows=1)
    thin = len(table) // 5
    t, q = table[: 5 * thin : 5, 0], table[: 5 * thin : 5, 1]
    u = table[: 5 * thin, 3].reshape(thin, 5).mean(axis=1)
    part = t <= 5.0
    seen = data.trajectories_from({"t": t[part], "q": q[part], "u": u[part]})

    def lagrangian(c: dict[str, Any], q: Any, v: Any) -> Any:
        turned = c["inertia"] * v @ v / 2 + c["offset"] * q[0]
        return turned + c["moment"] * jnp.cos(q[0])

    start = {"inertia": 0.14, "moment": 2.8, "offset": 0.01}

    def identified(viscous: float, coulomb: float, fixed: tuple[str, ...]) -> Any:
        return identify(
            lagrangian,
            seen,
            start,
            fixed=fixed,
            friction={"viscous": viscous, "coulomb": coulomb},
            sensors={"delay_u": 0.01},
        )

    found = identified(0.05, 0.1, ())
    # How well the record is followed with the repository's frictions, all else fitted.
    given = [
        {"viscous": b, "coulomb": c}
        | {"rms": identified(b, c, ("viscous", "coulomb")).rms}
        for b, c in FRICTIONS
    ]
    mass, length = LIMITED["mass"], LIMITED["length"]
    known = {"inertia": mass * length**2, "moment": 9.81 * mass * length}
    rows = [
        {"constant": k, "found": x, "error": found.standard_errors[k]}
        | {"known": known.get(k)}
        for k, x in found.constants.items()
    ]
    return {"rows": rows, "rms": found.rms, "given": given}


def _silverbox(smoke: bool) -> dict[str, Any]:
    """Duffing's oscillator as a circuit: 1000 rows, then the test of 40 000."""
    del smoke
    u, y = np.genfromtxt(_read("SNLS80mV.csv"), delimiter=",", skip_header=1).T[:2]
    t = 1e3 / 610.3515625 * np.arange(len(y))  # ms
    part = slice(60_000, 61_000)
    seen = data.trajectories_from({"t": t[:1000], "q": y[part], "u": u[part]})

    def field(t: Any, state: Any, args: Any) -> Any:
        c, push = args
        x, v = state
        force = c["g"] * (push[0] - c["u0"]) - c["d"] * v
        return jnp.stack([v, force - c["k1"] * x - c["k2"] * x**2 - c["k3"] * x**3])

    start = {"g": 0.19, "u0": 0.006, "d": 0.02, "k1": 0.19, "k2": 0.0, "k3": 0.5}
    found = identify(field, seen, start, sensors=["offset_q"], inputs="linear")
    test = found.follow(t[:40_000], np.zeros(2), u=u[:40_000, None])
    off = 1e3 * (test.y.q[0, :, 0] - y[:40_000])
    return {
        "constants": found.constants,
        "errors": found.standard_errors,
        "rms_mv": 1e3 * found.rms,
        "test_mv": _rms(off),
        "within_mv": _rms(off[:25_000]),
    }


def _rms(x: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(x))))


def _tanks(smoke: bool) -> dict[str, Any]:
    """Two tanks, one above the other: a law and a network, 20 times each.

    Each time the law begins at `STARTS` constants; the one that fits its record best is
    taken, as more than half of them end in a poor minimum, which a warning tells.
    """
    del smoke
    table = np.genfromtxt(_read("dataBenchmark.csv"), delimiter=",", skip_header=1)
    train, test = (_tank(table[:1024, i], table[:1024, i + 2]) for i in (0, 1))
    random = np.random.default_rng(0)
    rows: dict[str, list[float]] = {"law": [], "neural_ode": []}
    single: list[float] = []
    for seed in range(20):
        ends = []
        for _ in range(STARTS):
            start = {k: x * np.exp(0.1 * random.normal()) for k, x in _TANK.items()}
            found = identify(_tank_field, [train], start, bounds={"share": (0.0, 1.2)})
            path = found.follow(
                test.t,
                starts_of(found.law, found.every, [test], found.substeps)[0],
                u=table[:1024, [1]],
            )
            ends.append((found.rms, _rms(path.y.q - test.y.q)))
        rows["law"].append(min(ends)[1])
        single += [off for _, off in ends]
        whole = _tank_network(train, seed)
        own = _in_phase(test)
        (path,) = whole.rollouts([own], whole.starts_of([own]))
        rows["neural_ode"].append(_rms(path.y.q - test.y.q))
    return {"rows": rows, "single": single}


#: Where the search of the tanks' law begins: levels in V, time in 100 s. The unit of
#: the upper level, which nobody measures, is such that its outflow is 5 √level.
_TANK = {
    **{"pump": 4.0, "in2": 5.0, "out2": 5.0, "share": 0.3},
    **{"top": 10.0, "leak1": 0.01, "leak2": 0.01},
}


def _tank(u: np.ndarray, level: np.ndarray) -> Trajectories:
    t = 0.04 * np.arange(len(level))  # 100 s
    return data.trajectories_from({"t": t, "q": level, "u": u})[0]


def _tank_field(t: Any, state: Any, args: Any) -> Any:
    """Torricelli's law of both tanks, of which the upper spills into the lower.

    The state is the lower level, which is measured, and the upper one less 5.
    """
    c, u = args
    low, up = state[0], state[1] + 5.0

    def root(x: Any) -> Any:
        return jnp.sqrt(jnp.maximum(x, 0.0) + 0.01)

    def above(x: Any, top: Any) -> Any:
        return 5.0 * jax.nn.softplus((x - top) / 0.1)

    spill = above(up, c["top"])
    upper = c["pump"] * u[0] - 5.0 * root(up) + c["leak1"] * up - spill
    lower = c["in2"] * root(up) - c["out2"] * root(low) + c["leak2"] * low
    return jnp.stack([lower + c["share"] * spill - above(low, 10.0), upper])


def _in_phase(seen: Trajectories) -> Trajectories:
    return seen._replace(y=PhaseState(*seen.y), rate=None)


def _tank_network(train: Trajectories, seed: int) -> learning.Whole:
    """A vector field of level and rate, a network, by the whole record."""
    one = _in_phase(train)
    smooth = [data.averaged_inputs(data.smoothed_trajectories(one, 9), 9)]
    made = learning.arguments_for(
        "neural_ode", smooth, periodic=[False], hidden=(8,), inputs="direct"
    )
    motion = checkpoint.build("neural_ode", made)
    recipe = learning.Recipe(optimizer="levenberg_marquardt", steps=100)
    key = jax.random.key(seed)
    begun = learning.learn(
        motion, recipe, smooth, key=key, normalized=True, progress=False
    )
    return learning.learn_whole(motion, [one], begun.state.params, seconds=20.0)


def _mass_spring(smoke: bool) -> dict[str, Any]:
    """Noisy states with rates: by derivatives, and by whole records with both."""
    seeds = 1 if smoke else 8
    rows: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        options = RunOptions(
            method=("hnn", "hnn_levenberg_marquardt"),
            steps=3 if smoke else None,
            seeds=seeds,
            out=pathlib.Path(scratch) / "run",
            progress=False,
        )
        done = experiments.run("mass_spring", options, fast=smoke)
    for name, entry in done.results["methods"].items():
        rows[name] = [end["energy_mse"] for end in record.finals(entry)]
    rows["whole"] = [_by_whole(seed, smoke) for seed in range(seeds)]
    return {"rows": rows}


def _by_whole(seed: int, smoke: bool) -> float:
    """The energy's error of a small network, by whole records with their rates.

    Of several first weights those are taken that leave least of the records.
    """
    experiment = experiments.get("mass_spring")
    small = {"trajectories": 5, "fast": True} if smoke else {}
    settings, keys = experiment.settings(**small), experiment.keys(seed)
    samples = experiment.sample(settings, keys, jnp.dtype("float64"))
    model = models.hnn(1, hidden=(8,), kernel_init="glorot_normal", dtype="float64")
    motion = models.dynamics(model)
    recipe = learning.Recipe(optimizer="levenberg_marquardt", steps=30)
    # To begin with, states that their rates integrate to: they are less noisy.
    smooth = [data.integrated(each) for each in samples.train]
    train = [part for each in samples.train for part in data.separate(each)]
    found = []
    for key in jax.random.split(keys.network, 1 if smoke else STARTS):
        begun = learning.learn(motion, recipe, smooth, key=key, progress=False)
        steps = 2 if smoke else 30
        found.append(
            learning.learn_whole(
                motion, train, begun.state.params, rates=True, steps=steps
            )
        )
    whole = min(found, key=lambda each: each.rms)
    row = experiment.of("rows", settings)["hnn_levenberg_marquardt"]
    nothing: Any = None
    subject = Subject("whole", row, Motion(motion), nothing, jnp.dtype(float), None)
    trained = Trained(settings, subject, whole.params, samples, keys)
    return float(experiment.measures(trained)["energy_mse"])


PARTS: dict[str, Callable[[bool], dict[str, Any]]] = {
    "pendulum": _pendulum,
    "laws": _laws,
    "double_pendulum": _double_pendulum,
    "torque_limited": _torque_limited,
    "silverbox": _silverbox,
    "tanks": _tanks,
    "mass_spring": _mass_spring,
}

#: Those that need no file.
SMOKE = ("pendulum", "laws", "mass_spring")
