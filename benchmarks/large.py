"""Levenberg–Marquardt where outputs and parameters are both in the thousands.

Burgers' equation, a double pendulum's Lagrangian and nonlinear oscillators, each with
the same time for each way to a step: the batches of the experiment, which begin small;
its largest batch from the beginning, by a factorization, by products alone, and with
the columns of J sketched; the damping judged by the next batch in place of the step's
own; and float32 in place of float64. A batch is itself a sketch of the data's rows.
"""

import dataclasses
import functools
import os
import pathlib
import tempfile
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxphys import experiments, linalg, optim, trees
from jaxphys.experiments import Experiment, RunOptions
from jaxphys.experiments.control import burgers, nonlinear_oscillators
from jaxphys.experiments.motion import double_pendulum_box
from jaxphys.learning import Recipe
from jaxphys.names import check_known
from jaxphys.optim.weighted import roots_of
from jaxphys.types import Array, PyTree

#: Directions of a sketch, and products of Lanczos' method.
DIRECTIONS, PRODUCTS = 512, 100


class Large(NamedTuple):
    """What is trained.

    Attributes:
      experiment: whose row by Levenberg–Marquardt it is.
      row: its name.
      batch: samples an update where it does not begin small: 2048 outputs or so.
      growth: batches before it where it does.
      judged: what of a result is compared.
      options: of `optim.levenberg_marquardt`.
    """

    experiment: Experiment
    row: str
    batch: int
    growth: tuple[int, ...]
    judged: str
    options: dict[str, Any]


PROBLEMS = {
    "burgers": Large(
        burgers.EXPERIMENT,
        "levenberg_marquardt",
        2048,
        (256, 512, 1024),
        "relative_error",
        {"min_damping": 1e-15},
    ),
    "double_pendulum_box": Large(
        double_pendulum_box.EXPERIMENT,
        "lnn_levenberg_marquardt",
        1024,
        (64, 128, 256, 512),
        "acceleration_error",
        {"max_bend": optim.USUAL_BEND},
    ),
    "nonlinear_oscillators": Large(
        nonlinear_oscillators.EXPERIMENT,
        "levenberg_marquardt",
        512,
        (32, 64, 128, 256),
        "test_loss",
        {"min_damping": 1e-6},
    ),
}

#: Way → whether batches begin small, the route, and the dtype.
WAYS = {
    "batches that grow": (True, "gram", "float64"),
    "factorized": (False, "gram", "float64"),
    "products": (False, "lanczos", "float64"),
    "sketched": (False, "sketch", "float64"),
    "judged by the next batch": (True, "probe", "float64"),
    "float32": (True, "gram", "float32"),
}


def run(
    *, smoke: bool, only: tuple[str, ...] = ()
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Measure; returns (config, results)."""
    for name in only:
        check_known("problem", name, PROBLEMS)
    seconds = 0.3 if smoke else 30.0
    before = os.getloadavg()[0]
    results = {
        name: _trained(PROBLEMS[name], seconds, smoke)
        for name in only or tuple(PROBLEMS)[: 1 if smoke else None]
    }
    load = {"before": before, "after": os.getloadavg()[0]}
    config: dict[str, Any] = {"seconds": seconds}
    config |= {"directions": DIRECTIONS, "products": PRODUCTS}
    config["dtype"] = "float64"
    return config | {"smoke": smoke, "load": load}, results


def _trained(large: Large, seconds: float, smoke: bool) -> dict[str, Any]:
    """Way → how a training of so many seconds ended."""
    settings = large.experiment.settings()
    row = large.experiment.of("rows", settings)[large.row]
    found: dict[str, Any] = {}
    ways = WAYS
    if smoke:
        ways = {way: WAYS[way] for way in ("sketched", "judged by the next batch")}
    for way, (small, route, dtype) in ways.items():
        batch, growth = (8, ()) if smoke else (large.batch, large.growth)
        recipe = dataclasses.replace(
            row.recipe(settings),
            optimizer=functools.partial(_optimizer, route, large.options),
            batch_size=batch,
            batch_growth=growth if small else (),
            max_bend=None,
        )
        chosen = dataclasses.replace(
            row, recipe=functools.partial(_always, recipe), dtype=dtype, time_of=None
        )
        experiment = dataclasses.replace(large.experiment, rows={large.row: chosen})
        with tempfile.TemporaryDirectory() as scratch:
            options = RunOptions(
                seconds=seconds,
                dtype=dtype,
                progress=False,
                out=pathlib.Path(scratch) / "run",
            )
            done = experiments.run(experiment, options)
        entry = done.results["methods"][large.row]
        final = entry["final"]
        found[way] = {
            "updates": final["step"],
            "compile_seconds": entry["compile_seconds"],
            "test_loss": final["test_loss"],
            "judged": final[large.judged],
            "verdict": final["verdict"],
        }
    return found


def _always(recipe: Recipe, settings: Any) -> Recipe:
    """The recipe of a row, whatever its settings."""
    del settings
    return recipe


def _optimizer(route: str, options: dict[str, Any], batch_size: int) -> Any:
    """Levenberg–Marquardt by a route, for batches of any size."""
    del batch_size
    if route == "sketch":
        return sketched(DIRECTIONS, options.get("min_damping", 1e-12))
    if route == "probe":
        return judged_by_the_next(**options)
    return optim.levenberg_marquardt(method=route, iterations=PRODUCTS, **options)


class _Sketched(NamedTuple):
    """Damping of the next step, and steps so far."""

    damping: Array
    taken: Array
    info: optim.StepInfo


def sketched(
    directions: int, min_damping: float, max_damping: float = 1e6
) -> optax.GradientTransformationExtraArgs:
    """Levenberg–Marquardt in the span of random directions, new ones in each step.

    δ = S z with z = −(AᵀA + μ I)⁻¹ Aᵀ r̃ and A = J̃ S (m × k), where S has normal entries
    of variance 1/k, so that A Aᵀ is J̃ J̃ᵀ on average; k products by J make A.
    """

    def init(params: PyTree) -> _Sketched:
        one = jnp.ones((), trees.check_one_dtype(params))
        info = optim.StepInfo(damping=one, accepted=jnp.array(True))
        return _Sketched(one, jnp.zeros((), int), info)

    def update(
        updates: PyTree,
        state: _Sketched,
        params: PyTree = None,
        *,
        linearisation: Any,
        cotangent: Array,
        curvature_fn: Any,
        value: Array,
        value_fn: Any,
        **extras: Any,
    ) -> tuple[PyTree, _Sketched]:
        del updates, extras
        flat, unravel = trees.ravel(params)
        wide = linalg.double(flat.dtype)
        roots = roots_of(curvature_fn(), cotangent, wide)
        r = roots.inverse.apply(cotangent.astype(wide)).reshape(-1)
        key = jax.random.fold_in(jax.random.key(0), state.taken)
        S = jax.random.normal(key, (directions, flat.size), flat.dtype)
        S = S / directions**0.5

        def column(direction: Array) -> Array:
            change = linearisation.jvp(unravel(direction)).astype(wide)
            return (
                roots.root.apply(change).reshape(-1) if roots.root else change.ravel()
            )

        A = jax.vmap(column)(S).T
        normal = A.T @ A
        shift = state.damping.astype(wide) * jnp.trace(normal) / r.size
        z = -linalg.damped_solver(normal, shift)(A.T @ r)
        change = A @ z
        predicted = -(r @ change + 0.5 * change @ change)
        step = unravel((z.astype(flat.dtype)) @ S)
        trial = value_fn(optax.apply_updates(params, step))
        ratio = (value - trial).astype(wide) / predicted
        accepted = jnp.isfinite(trial) & (ratio > 0) & (predicted > 0)
        factor = jnp.where(ratio > 0.75, 1 / 3.0, jnp.where(ratio < 0.25, 2.0, 1.0))
        factor = jnp.where(accepted, factor, 4.0)
        damping = jnp.clip(state.damping * factor, min_damping, max_damping)
        damping = damping.astype(flat.dtype)
        step = trees.select(accepted, step, jax.tree.map(jnp.zeros_like, step))
        info = optim.StepInfo(damping=damping, accepted=accepted)
        return step, _Sketched(damping, state.taken + 1, info)

    return optax.GradientTransformationExtraArgs(init, update)


class _Probed(NamedTuple):
    """Levenberg–Marquardt's memory, its last step, and what that promised."""

    inner: Any
    before: PyTree
    predicted: Array
    info: optim.StepInfo


def judged_by_the_next(**options: Any) -> optax.GradientTransformationExtraArgs:
    """Levenberg–Marquardt whose damping follows what a step gains on the next batch.

    Its own batch still rejects a step that does not gain there.
    """
    inner = optim.levenberg_marquardt(**options)
    least = options.get("min_damping", 1e-12)

    def init(params: PyTree) -> _Probed:
        first = inner.init(params)
        still = jax.tree.map(jnp.zeros_like, params)
        return _Probed(first, still, jnp.zeros_like(first.damping), first.info)

    def update(
        updates: PyTree,
        state: _Probed,
        params: PyTree = None,
        *,
        value: Array,
        value_fn: Any,
        **extras: Any,
    ) -> tuple[PyTree, _Probed]:
        judged = state.predicted > 0
        was = jax.tree.map(jnp.subtract, params, state.before)
        gain = (value_fn(was) - value) / jnp.where(judged, state.predicted, 1)
        factor = jnp.where(gain > 0.75, 1 / 3, jnp.where(gain < 0.25, 2.0, 1.0))
        factor = jnp.where(judged, jnp.where(gain > 0, factor, 4.0), 1.0)
        damping = jnp.clip(state.inner.damping * factor, least, 1e6)
        damping = damping.astype(value.dtype)
        step, new = inner.update(
            updates,
            state.inner._replace(damping=damping),
            params,
            value=value,
            value_fn=value_fn,
            **extras,
        )
        taken = new.info.accepted
        gained = value - value_fn(optax.apply_updates(params, step))
        promised = gained / jnp.where(new.gain_ratio > 0, new.gain_ratio, 1)
        promised = jnp.where(taken, promised, 0).astype(value.dtype)
        kept = jnp.where(taken, damping, new.damping)
        info = new.info._replace(damping=kept)
        return step, _Probed(new._replace(damping=kept), step, promised, info)

    return optax.GradientTransformationExtraArgs(init, update)
