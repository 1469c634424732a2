"""How the time of a step grows: exponents over batch, outputs, parameters and physics.

A step is timed at several sizes along one axis, all else held, and t ~ size^p is fitted
by least squares of the logarithms. Small steps take what a call takes, whatever their
size, so that exponents begin below those of the operations: the exponent between the
two largest sizes is given as well.
"""

import statistics
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks import harness, hot
from jaxphys import losses, models, optim, problems, training


class Axis(NamedTuple):
    """What grows, its sizes by `--size`, and whose steps are timed."""

    sizes: dict[str, tuple[int, ...]]
    methods: tuple[str, ...]


_ALL = ("adam", "levenberg_marquardt", "hig")
_SIMULATED = ("adam", "levenberg_marquardt")
#: In order of worth.
AXES = {
    "batch": Axis(
        {"smoke": (2, 4), "cpu": (32, 64, 128, 256), "gpu": (64, 256, 1024)}, _ALL
    ),
    "outputs": Axis({"smoke": (1, 2), "cpu": (2, 4, 8, 16), "gpu": (4, 16, 64)}, _ALL),
    "parameters": Axis(
        {"smoke": (4, 8), "cpu": (32, 64, 128, 256), "gpu": (128, 512, 2048)}, _ALL
    ),
    "oscillators": Axis(
        {"smoke": (1, 2), "cpu": (2, 4, 8), "gpu": (2, 8, 32)}, _SIMULATED
    ),
    "horizon": Axis(
        {"smoke": (4, 8), "cpu": (24, 48, 96), "gpu": (24, 96, 384)}, _SIMULATED
    ),
}


def run(*, smoke: bool, gpu: bool = False) -> tuple[dict[str, Any], dict[str, Any]]:
    """Measure; returns (config, results)."""
    size = harness.size_of(smoke, gpu)
    seconds = 0.01 if smoke else 0.5
    found = {name: _axis(name, axis, size, seconds) for name, axis in AXES.items()}
    return {"size": size, "seconds": seconds}, {"axes": found}


def _axis(name: str, axis: Axis, size: str, seconds: float) -> dict[str, Any]:
    rows = {}
    for method in axis.methods[-1:] if size == "smoke" else axis.methods:
        points = []
        for length in axis.sizes[size]:
            extent, step = _step(name, length, method)
            _, times = hot.timed(step, seconds)
            points.append((extent, statistics.median(times)))
        rows[method] = {"points": points, **exponents(points)}
    return rows


def exponents(points: list[tuple[int, float]]) -> dict[str, float]:
    """p of t ~ size^p: of all points, and of the two largest."""
    x, t = np.log(np.array(points, float).T)
    slope = float(np.polyfit(x, t, 1)[0])
    return {"exponent": slope, "last": float((t[-1] - t[-2]) / (x[-1] - x[-2]))}


def _step(axis: str, length: int, method: str) -> tuple[int, hot.Hot]:
    """What the axis counts, and the step at that size."""
    tx = {
        "adam": lambda: optax.adam(1e-6),
        "levenberg_marquardt": lambda: optim.levenberg_marquardt(method="gram"),
        "hig": lambda: optim.hig(1e-6, rcond=1e-5, method="gram"),
    }[method]()
    if axis in ("oscillators", "horizon"):
        outputs, objective, params, batch = _simulated(axis, length)
    else:
        outputs, objective, params, batch = _regressed(axis, length)
    step = training.make_train_step(outputs, objective, tx)
    state = training.init_state(params, tx)
    count = sum(leaf.size for leaf in jax.tree.leaves(params))
    extent = count if axis == "parameters" else length
    return extent, hot.Hot(lambda state, *pair: step(state, pair)[0], state, batch)


def _regressed(axis: str, length: int) -> tuple:
    sizes = {"batch": 64, "outputs": 4, "parameters": 64} | {axis: length}
    units = sizes["parameters"]
    model = models.mlp((4, units, units, sizes["outputs"]))
    x = jax.random.normal(jax.random.key(1), (sizes["batch"], 4), jnp.float32)
    goal = jnp.sin(jnp.arange(1, sizes["outputs"] + 1) * x[:, :1])
    params = model.init(jax.random.key(0))
    return model.apply, losses.squared_error, params, (x, goal)


def _simulated(axis: str, length: int) -> tuple:
    number, horizon = (length, 24) if axis == "oscillators" else (2, length)
    problem = problems.oscillator_control(number, num_steps=horizon)
    model = models.mlp((2 * number, 20, 20, horizon))
    params = model.init(jax.random.key(0))
    batch = problem.sample(jax.random.key(1), 32)
    return problems.outputs(problem, model), problem.objective, params, batch
