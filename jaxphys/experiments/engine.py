"""One engine for all experiments: simulators, motions and sweeps alike.

An `Experiment` says what is its own: settings, data, rows of models and optimizers,
what is measured and drawn, what was published. `run` trains every row from every seed,
prints one table, and leaves results, checkpoints and figures in one directory.

    settings → rows → (built, Learner)          once a row
    seed     → Keys → samples → Fit → measures  once a row and seed
"""

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import optax

from jaxphys import data as datasets
from jaxphys import devices, learning, plots, trees
from jaxphys.experiments import record, resuming
from jaxphys.experiments.experiment import (
    USUAL_SECONDS,
    Experiment,
    Keys,
    Row,
    Run,
    RunOptions,
    Samples,
    Subject,
    Trained,
)
from jaxphys.learning import Learner, Recipe
from jaxphys.names import check_known
from jaxphys.training import Budget, Fit, Storage

__all__ = [
    "chosen_rows",
    "recipe_for",
    "run",
    "shortened",
    "subjects_of",
    "train_once",
    "train_row",
    "train_rows",
]


def train_once(
    subject: Subject,
    samples: Samples,
    keys: Keys,
    options: RunOptions,
    budget: Budget,
    storage: Storage | None,
    shown: str,
    start: optax.GradientTransformation | None = None,
) -> tuple[Fit, dict[str, Any]]:
    """Train a row from one seed; returns the fit, and what else is to be recorded.

    `start` is that of `Learner.fit`, for rows that differ in hyperparameters alone.
    """
    data = subject.sees(samples)
    sets = {"train_loss": data.train}
    if data.clean is not None:
        sets["test_loss"] = data.clean
    if subject.learner.recipe.patience is not None:
        train, held_out = datasets.split(data.train, 0.2, by="trajectory")
        sets |= {"train_loss": train, "validation_loss": held_out}
    fit = subject.learner.fit(
        sets,
        keys.network,
        keys.order if options.shuffle else None,
        budget=budget,
        start=start,
        monitor=subject.monitor,
        storage=storage,
        progress=shown if options.progress else False,
    )
    return fit, {}


def chosen_rows(wanted: Sequence[str], rows: Sequence[str]) -> list[str]:
    """The rows asked for, in the order of those there are."""
    if not wanted:
        raise ValueError(f"no method given; known: {', '.join(rows)}, all.")
    for name in wanted:
        check_known("method", name, [*rows, "all"])
    return [name for name in rows if "all" in wanted or name in wanted]


def recipe_for(row: Row, settings: Any, options: RunOptions) -> Recipe:
    """The recipe of a row as the settings and the options change it."""
    recipe = row.recipe(settings)
    if getattr(settings, "fast", False):
        recipe = shortened(recipe)
    changes: dict[str, Any] = {}
    if options.batch_size is not None and not row.own_batch:
        changes["batch_size"] = options.batch_size
    if options.memory_limit is not None:
        changes["memory_limit"] = int(options.memory_limit * 2**20)
    if options.steps is not None:
        changes |= {"steps": options.steps, "seconds": None}
    elif options.seconds is not None:
        changes |= {"steps": None, "seconds": options.seconds}
        if recipe.schedule in learning.ENDING:
            changes["schedule"] = "constant"
    return dataclasses.replace(recipe, **changes)


def shortened(recipe: Recipe) -> Recipe:
    """A twentieth of the updates or of the time, and one batch size to compile."""
    batch_size = (*recipe.batch_growth, recipe.batch_size)[0]
    changes: dict[str, Any] = {"batch_size": batch_size, "batch_growth": ()}
    if recipe.steps is not None:
        changes["steps"] = max(recipe.steps // 20, 1)
    if recipe.seconds is not None:
        changes["seconds"] = recipe.seconds / 20
    return dataclasses.replace(recipe, **changes)


def subjects_of(
    experiment: Experiment, settings: Any, options: RunOptions, names: Sequence[str]
) -> dict[str, Subject]:
    """The rows of these names, built; nothing is compiled yet."""
    rows = experiment.of("rows", settings)
    keys = experiment.keys(options.seed)
    built: dict[Any, Any] = {}
    learners: dict[Any, Learner] = {}
    found = {}
    for name in names:
        row = rows[name]
        dtype = trees.real_dtype(row.dtype or options.dtype)
        if (row.build, dtype) not in built:
            built[row.build, dtype] = row.build(settings, dtype)
        thing = built[row.build, dtype]
        recipe = recipe_for(row, settings, options)
        monitor = experiment.monitor and experiment.monitor(settings, thing, keys)
        which = (row.build, dtype, row.target, recipe)
        if which not in learners:
            learners[which] = Learner(row.target(thing, recipe), recipe)
        found[name] = Subject(name, row, thing, learners[which], dtype, monitor)
    return found


def train_row(
    experiment: Experiment, name: str, settings: Any, options: RunOptions
) -> tuple[Subject, Fit]:
    """One row from one seed, as `run` trains it, with nothing printed or written."""
    subject = subjects_of(experiment, settings, options, [name])[name]
    keys = experiment.keys(options.seed)
    dtype = trees.real_dtype(options.dtype)
    samples = experiment.sample(settings, keys, dtype)
    budget = _budget(subject, options, None)
    shown = plots.looks({name: subject.row.named})[name].label
    train = experiment.train or train_once
    fit, _ = train(subject, samples, keys, options, budget, None, shown)
    return subject, fit


def run(
    experiment: Experiment, settings: Any = None, options: RunOptions | None = None
) -> Run:
    """Train every chosen row from every seed; print the table, write all results.

    Raises:
      ValueError: for invalid settings or options, or an output directory that holds
        another run; before compiling, with nothing written.
    """
    options = experiment.options if options is None else options
    if options.resume:
        own, before = resuming.stored(experiment, options.out)
        settings = own if settings is None else settings
        options = resuming.one_budget(options, before)
        options = dataclasses.replace(options, out=before.out)
    settings = experiment.settings() if settings is None else settings
    options = options.check()
    if options.seconds is None and options.steps is None:
        options = dataclasses.replace(options, seconds=experiment.seconds)
    if experiment.prepare is not None:
        experiment, settings, options = experiment.prepare(
            experiment, settings, options
        )
    with devices.across(options.devices):
        done = train_rows(experiment, settings, options, written=True)
        trained = bool(done.results["methods"])
        if done.interrupted:
            what = "what was trained is saved" if trained else "nothing was trained"
            print(f"interrupted: {what}, and --resume goes on", flush=True)
        if trained:
            _close(experiment, done)
            if done.interrupted:
                print("table and figures are of what was done", flush=True)
    return done


def train_rows(
    experiment: Experiment, settings: Any, options: RunOptions, *, written: bool
) -> Run:
    """Train every chosen row from every seed, without table and figures.

    Args:
      experiment, settings, options: what is trained.
      written: whether results and checkpoints go to a directory, and each thing that
        happens is printed.
    """
    rows = experiment.of("rows", settings)
    names = chosen_rows(options.method, list(rows))
    subjects = subjects_of(experiment, settings, options, names)
    dtype = trees.real_dtype(options.dtype)

    @functools.cache
    def samples_of(seed: int) -> Samples:
        return experiment.sample(settings, experiment.keys(seed), dtype)

    title = experiment.of("title", settings)
    config = dataclasses.asdict(settings) | dataclasses.asdict(options)
    for name in ("out", "resume", "progress", "devices"):
        config.pop(name)
    first = samples_of(options.seed)
    if experiment.check is not None:
        for subject in subjects.values():
            experiment.check(first, subject.learner.recipe)
    if experiment.train is None:
        for subject in subjects.values():
            subject.learner.check_batches(subject.sees(first).train)
    out = record.output_directory(experiment.name, options.out, resume=options.resume)
    if options.resume:
        _, before = resuming.stored(experiment, out)
        resuming.check_budget(options, before, resuming.reached(out, names), out)
    if written:
        results = record.open_results(
            out, experiment.name, title, config, resume=options.resume
        )
        print(f"{title}: {', '.join(names)}; results in {out}", flush=True)
    else:
        results = record.new_results(experiment.name, title, config)
    keys = experiment.keys(options.seed)
    looks = plots.looks({name: row.named for name, row in rows.items()})
    done = Run(
        settings,
        options,
        results,
        subjects,
        {},
        first,
        keys,
        looks,
        out,
        interrupted=False,
        written=written,
    )
    # Where it ends without having finished, the file says so.
    ends = record.said_where_it_ends(out / "results.json", results)
    with ends if written else contextlib.nullcontext():
        interrupted = _train_all(experiment, done, samples_of)
    done = done._replace(interrupted=interrupted)
    methods = results["methods"]
    results["methods"] = {name: methods[name] for name in rows if name in methods}
    results["status"] = "interrupted" if interrupted else "finished"
    _write(done)
    return done


def _write(done: Run) -> None:
    """Bring results.json up to date, where there is one."""
    if done.written:
        record.write_json(done.out / "results.json", done.results)


def _train_all(
    experiment: Experiment, done: Run, samples_of: Callable[[int], Samples]
) -> bool:
    """Train row by row and seed by seed; returns whether a signal ended it."""
    spent: dict[tuple[str, int], float] = {}
    for name, subject in done.subjects.items():
        for seed in range(done.options.seed, done.options.seed + done.options.seeds):
            budget = _budget(
                subject, done.options, spent.get((subject.row.time_of or "", seed))
            )
            interrupted, spent[name, seed] = True, 0.0
            try:
                samples = samples_of(seed)
                fit = _train_one(experiment, done, name, seed, samples, budget)
                spent[name, seed] = fit.seconds
                interrupted = fit.status == "interrupted"
            except KeyboardInterrupt:
                pass
            if interrupted:
                return True
    return False


def _train_one(
    experiment: Experiment,
    done: Run,
    name: str,
    seed: int,
    samples: Samples,
    budget: Budget,
) -> Fit:
    """Train a row from one seed; its entry is in results.json before it is measured."""
    subject, options, keys = done.subjects[name], done.options, experiment.keys(seed)
    shown = done.looks[name].label
    shown += f" [{seed}]" if options.seeds > 1 else ""
    storage = None
    if done.written:
        directory = done.out / "checkpoints" / f"{name}-{seed}"
        storage = Storage(directory, options.resume, of=f"{experiment.name}, {name}")
    train = experiment.train or train_once
    fit, more = train(subject, samples, keys, options, budget, storage, shown)
    if fit.message and done.written:
        # It was interrupted, as the message says, or diverged, of which it has the why.
        told = [fit.status] if fit.status not in fit.message else []
        print(f"{shown}: {', '.join([*told, fit.message])}", flush=True)
    done.params.setdefault(name, fit.state.params)
    milestones = experiment.of("milestones", done.settings)
    entry = record.entry_of(fit, seed, more, milestones)
    _enter(done, subject, entry, fit.status)
    trained = Trained(
        done.settings, subject, fit.state.params, subject.sees(samples), keys
    )
    entry["final"] |= experiment.measures(trained)
    _enter(done, subject, entry, fit.status)
    return fit


def _enter(done: Run, subject: Subject, entry: dict[str, Any], status: str) -> None:
    """Put the entry of one seed into results.json, in the place of an earlier one."""
    old = done.results["methods"].get(subject.name)
    entries = [] if old is None else [old, *old.get("repeats", [])]
    by_seed = {each["seed"]: each for each in entries} | {entry["seed"]: entry}
    first, *rest = (by_seed[seed] for seed in sorted(by_seed))
    first = {key: x for key, x in first.items() if key != "repeats"}
    repeats = {"repeats": rest} if rest else {}
    done.results["methods"][subject.name] = subject.row.named | first | repeats
    if status == "interrupted":
        done.results["status"] = status
    _write(done)


def _budget(subject: Subject, options: RunOptions, spent: float | None) -> Budget:
    """The budget of one training: its own, or the time that another row took."""
    recipe = subject.learner.recipe
    asked = options.seconds is not None or options.steps is not None
    if subject.row.time_of is None or asked:
        return Budget(steps=recipe.steps, seconds=recipe.seconds)
    return Budget(seconds=USUAL_SECONDS if spent is None else spent)


def _close(experiment: Experiment, done: Run) -> None:
    """The table, the figures, and what else the experiment has to say."""
    published = experiment.of("published", done.settings)
    milestones = experiment.of("milestones", done.settings)
    methods = done.results["methods"]
    print(record.table(methods, experiment.columns, published, milestones))
    if experiment.compared is None:
        figure = plots.comparison(done, looks=done.looks)
    else:
        figure = experiment.compared(done)
    plots.save(figure, done.out / "comparison.png")
    if experiment.finish is not None:
        experiment.finish(done)
    if done.params:
        for file, figure in experiment.figures(done).items():
            plots.save(figure, done.out / f"{file}.png")
