"""What every experiment does that learns a motion from its trajectories.

A `Study` says what is special to one: its data, its rows (a model and a recipe each),
what is measured of a trained model, and what was published. This module trains every
row from every seed, prints the table beside the published figures, and draws.
"""

import dataclasses
import functools
import pathlib
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxphys import data, integrators, learning, mechanics, metrics, plots, training
from jaxphys.data import Trajectories
from jaxphys.data.samples import State
from jaxphys.experiments import runner
from jaxphys.experiments.runner import RunOptions, Trained
from jaxphys.learning import Recipe
from jaxphys.problems.matching import arguments, chart_of
from jaxphys.systems.record import like
from jaxphys.types import Array, Dynamics, PhaseState, PyTree, System, TangentState

#: Training seconds of a row that is to have another's time, where that was not run.
USUAL_SECONDS = 30.0


View = Callable[[list[Trajectories]], list[Trajectories]]


class Material(NamedTuple):
    """The data of one seed.

    Attributes:
      train: what is trained on, with the published noise.
      test: the published test set, noise and all.
      clean: the test set without noise.
      seed: what drew them.
    """

    train: list[Trajectories]
    test: list[Trajectories]
    clean: list[Trajectories]
    seed: int

    def cast(self, dtype) -> "Material":
        """The same in another precision."""
        train, test, clean = (
            data.cast(part, dtype) for part in (self.train, self.test, self.clean)
        )
        return Material(train, test, clean, self.seed)

    def seen_by(self, view: View) -> "Material":
        """The same as a row is told it."""
        train, test, clean = map(view, (self.train, self.test, self.clean))
        return Material(train, test, clean, self.seed)


class Row(NamedTuple):
    """A model, and how it is trained.

    Attributes:
      make: `make(config) -> Dynamics`.
      recipe: `recipe(config) -> Recipe`.
      dtype: of data and weights; None for the one asked for.
      time_of: the row whose training time this one has, in place of its own budget.
      observe: what of a state is matched, where trajectories are.
      view: the trajectories as this row is told them.
    """

    make: Callable[[Any, jnp.dtype], Dynamics]
    recipe: Callable[[Any], Recipe]
    dtype: str | None = None
    time_of: str | None = None
    observe: learning.Observe = learning.everything
    view: View = list


class Study(NamedTuple):
    """An experiment that learns a motion.

    Attributes:
      name, title: of the experiment.
      rows: name → `Row`, in the order of the table.
      material: `material(config, seed) -> Material`, in double precision.
      measure: `measure(config, motion, params, Material) -> {metric: number}`.
      columns: metric → its heading in the table.
      published: row → metric → the published figure.
      draw: `draw(config, models, Material, directory) -> {file: figure}`, models a
        dict of row → (motion, params).
    """

    name: str
    title: str
    rows: dict[str, Row]
    material: Callable[[Any, int], Material]
    measure: Callable[[Any, Dynamics, PyTree, Material], dict[str, float]]
    columns: dict[str, str]
    published: dict[str, dict[str, float]]
    draw: Callable[
        [Any, dict[str, tuple[Dynamics, PyTree]], Material, pathlib.Path],
        dict[str, plots.Figure],
    ]


def run(study: Study, config: Any) -> Trained:
    """Train every chosen row, print the table, write results and figures."""
    options: RunOptions = config.options
    settings = dataclasses.asdict(config)
    settings.pop("options")
    material = functools.cache(functools.partial(study.material, config))
    motions = {
        name: row.make(config, dtype_of(row, options))
        for name, row in study.rows.items()
    }
    spent: dict[tuple[str, int], float] = {}

    def train_one(
        name: str, seed: int, shown: str, directory: pathlib.Path
    ) -> training.Fit:
        row = study.rows[name]
        time = None
        if row.time_of is not None:
            time = spent.get((row.time_of, seed), USUAL_SECONDS)
        recipe = budgeted(row.recipe(config), options, time)
        dtype = dtype_of(row, options)
        found = material(seed).cast(dtype).seen_by(row.view)
        train, others = found.train, {"test_loss": found.clean}
        if recipe.patience is not None:
            train, others["validation_loss"] = data.split(train, 0.2, by="trajectory")
        fit = learning.learn(
            motions[name],
            recipe,
            train,
            key=jax.random.key(seed),
            others=others,
            observe=row.observe,
            shuffle=options.shuffle,
            name=shown,
            progress=options.progress,
            checkpoint_dir=directory,
            resume=options.resume,
        )
        spent[name, seed] = fit.seconds
        return fit

    def finish(name: str, seed: int, fit: training.Fit) -> dict[str, Any]:
        dtype = dtype_of(study.rows[name], options)
        found = material(seed).cast(dtype).seen_by(study.rows[name].view)
        return study.measure(config, motions[name], fit.state.params, found)

    trained = runner.repeat(
        study.name,
        study.title,
        study.rows,
        train_one,
        options,
        settings=settings,
        finish=finish,
        describe=lambda results: table(study, results),
    )
    if trained.params:
        models = {name: (motions[name], p) for name, p in trained.params.items()}
        figures = study.draw(config, models, material(options.seed), trained.out)
        for file, figure in figures.items():
            plots.save(figure, trained.out / f"{file}.png")
    return trained


def dtype_of(row: Row, options: RunOptions) -> jnp.dtype:
    """The precision of a row: its own, or the one asked for."""
    wanted = (
        options if row.dtype is None else dataclasses.replace(options, dtype=row.dtype)
    )
    return runner.model_dtype(wanted)


def budgeted(recipe: Recipe, options: RunOptions, seconds: float | None) -> Recipe:
    """The recipe with the budget asked for, if any, or with so many seconds."""
    changes: dict[str, Any] = {}
    if options.batch_size is not None:
        changes["batch_size"] = options.batch_size
    if options.memory_limit is not None:
        changes["memory_limit"] = runner.limit_in_bytes(options)
    if options.steps is not None:
        changes |= {"steps": options.steps, "seconds": None}
    elif options.seconds is not None or seconds is not None:
        changes |= {"steps": None, "seconds": options.seconds or seconds}
        if recipe.schedule in learning.ENDING:
            changes["schedule"] = "constant"
    return dataclasses.replace(recipe, **changes)


def shortened(recipe: Recipe) -> Recipe:
    """A twentieth of the updates, or of the time."""
    if recipe.steps is None:
        assert recipe.seconds is not None
        return dataclasses.replace(recipe, seconds=recipe.seconds / 20)
    return dataclasses.replace(recipe, steps=max(recipe.steps // 20, 1))


def table(study: Study, results: dict[str, Any]) -> str:
    """The closing table: medians over seeds, quartiles, and what was published."""
    header = ["model", "updates", "train s"]
    for heading in study.columns.values():
        header += [heading, "published"]
    rows = [header]
    for name, entry in results["methods"].items():
        ends = runner.finals(entry)
        cells = [name]
        for key, form in (("step", "{:.0f}"), ("seconds", "{:.1f}")):
            cells.append(form.format(np.median([end[key] for end in ends])))
        for metric in study.columns:
            values = [end[metric] for end in ends if metric in end]
            cells.append(_spread(values) if values else "–")
            known = study.published.get(name, {}).get(metric)
            cells.append("" if known is None else f"{known:.3g}")
        status = {end["status"] for end in ends} - {"finished"}
        rows.append([*cells, ", ".join(sorted(status))])
    rows[0].append("")
    several = max(len(runner.finals(e)) for e in results["methods"].values())
    note = (
        f"\nmedians over {several} seeds, quartiles in brackets" if several > 1 else ""
    )
    return runner.aligned(rows) + note


def _spread(values: list[float]) -> str:
    low, middle, high = (float(x) for x in metrics.quartiles(jnp.asarray(values)))
    if len(values) == 1:
        return f"{middle:.2e}"
    return f"{middle:.2e} [{low:.1e}, {high:.1e}]"


def paths(
    motion: Dynamics,
    params: PyTree,
    starts: PyTree,
    ts: np.ndarray,
    *,
    longest: float = 0.02,
    u: Array | None = None,
) -> PyTree:
    """Motions from a batch of states at even times, by RK4 with steps ≤ `longest`.

    Of a motion with an input it is the same `u` throughout.

    Returns:
      States with leading axes (N, T), the starts included; not finite where a learned
      field ran away.
    """
    dt = float(ts[1] - ts[0])
    substeps = int(np.ceil(dt / longest - 1e-9))
    return _paths(motion, substeps, len(ts) - 1)(params, starts, dt, u)


@functools.lru_cache(maxsize=64)
def _paths(motion: Dynamics, substeps: int, num_steps: int) -> Callable:
    chart = chart_of(motion)
    step = integrators.rk4(chart.vector_field)

    @jax.jit
    def run(params: PyTree, starts: PyTree, dt: float, u: Array | None) -> PyTree:
        args = arguments(params, u)

        def one(y: PyTree) -> PyTree:
            z = chart.enter(params, y)
            path = integrators.rollout(
                step, z, dt=dt, num_steps=num_steps, args=args, substeps=substeps
            )
            return jax.vmap(chart.leave, (None, 0))(params, path)

        return jax.vmap(one)(starts)

    return run


def finite(value: Any) -> float:
    """A number that JSON can hold, as in the history of a training."""
    return float(value) if np.isfinite(value) else training.NOT_FINITE


def truth(system: System, kind: State = PhaseState) -> Dynamics:
    """The system's own motion as a Dynamics; its weights are the system's constants."""
    if kind is PhaseState:
        return Dynamics(
            lambda key: system.params,
            mechanics.vector_field(system),
            energy=system.hamiltonian,
            conservative=True,
        )
    assert system.lagrangian is not None
    field = mechanics.lagrangian_vector_field(
        system.lagrangian, force=system.force, dissipation=system.dissipation
    )
    return Dynamics(
        lambda key: system.params,
        field,
        TangentState,
        mechanics.energy(system.lagrangian),
        inverse=mechanics.inverse_dynamics(
            system.lagrangian, dissipation=system.dissipation
        ),
    )


def energies(system: System, states: PyTree) -> Array:
    """The true energy of states with any leading axes."""
    energy = truth(system, type(states)).energy
    assert energy is not None
    flat = jax.tree.map(lambda x: x.reshape(-1, x.shape[-1]), states)
    params = like(system.params, flat[0])
    each = jax.jit(jax.vmap(energy, (None, 0, 0)))(params, *flat)
    return each.reshape(states[0].shape[:-1])
