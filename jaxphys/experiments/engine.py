"""One engine for all experiments: simulators, motions and sweeps alike.

An `Experiment` says what is its own: settings, data, rows of models and optimizers,
what is measured and drawn, what was published. `run` trains every row from every seed,
prints one table, and leaves results, checkpoints and figures in one directory.

    settings → rows → (built, Learner)          once a row
    seed     → Keys → samples → Fit → measures  once a row and seed
"""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxphys import data as datasets
from jaxphys import learning, plots, trees
from jaxphys.experiments import record
from jaxphys.learning import Learner, Recipe
from jaxphys.names import check_known
from jaxphys.problems import Target
from jaxphys.training import Budget, Fit, Storage
from jaxphys.types import Array, PyTree

__all__ = [
    "Experiment",
    "Keys",
    "Row",
    "Run",
    "RunOptions",
    "Samples",
    "Subject",
    "Trained",
    "run",
    "train_once",
    "train_row",
]

#: Training seconds of a row that is to have another's time, where that was not run.
USUAL_SECONDS = 30.0


@dataclasses.dataclass(frozen=True)
class RunOptions:
    """What every `jaxphys run` understands.

    Attributes:
      method: which rows to train, or `all`.
      seconds: training time of each row, by default that of the experiment;
        compilation and evaluation come on top.
      steps: number of updates of each row, in place of seconds.
      seed: of the data, the network and the order of batches.
      seeds: how many seeds, counted up from `seed`, to repeat each row with.
      dtype: of data, network and physics, `float32` or `float64`.
      shuffle: whether each epoch has its own order of samples; the published runs
        keep one.
      batch_size: samples an update, for all rows; by default each its own.
      memory_limit: MB that a second-order step may take for matrices, or for a basis in
        place of one; by default its sizes decide.
      out: directory of the results; `runs/EXPERIMENT-DATE-TIME` by default.
      resume: go on with the run in `out`, or with the newest where none is given.
      progress: whether to show progress bars.
    """

    method: tuple[str, ...] = ("all",)
    seconds: float | None = None
    steps: int | None = None
    seed: int = 0
    seeds: int = 1
    dtype: str = "float32"
    shuffle: bool = True
    batch_size: int | None = None
    memory_limit: float | None = None
    out: pathlib.Path | None = None
    resume: bool = False
    progress: bool = True

    def check(self) -> "RunOptions":
        """These options, or a ValueError where one is invalid."""
        trees.real_dtype(self.dtype)
        if self.seeds < 1:
            raise ValueError(f"seeds is {self.seeds}; expected a number ≥ 1.")
        if self.memory_limit is not None and not self.memory_limit > 0:
            raise ValueError(
                f"memory_limit is {self.memory_limit} MB; expected a number above zero."
            )
        if self.seconds is not None or self.steps is not None:
            Budget(steps=self.steps, seconds=self.seconds).check()
        return self


class Keys(NamedTuple):
    """One seed, split by what is drawn.

    Attributes:
      seed: the number itself.
      network, order: of the first weights, and of the order of samples.
      train, test: of the data.
      draw: of whatever else is drawn, such as the starts of rollouts.
    """

    seed: int
    network: Array
    order: Array
    train: Array
    test: Array
    draw: Array

    @classmethod
    def folded(cls, seed: int) -> "Keys":
        """A key for each purpose, as training through simulators has them."""
        root = jax.random.key(seed)
        network, train, test, order, draw = (
            jax.random.fold_in(root, purpose) for purpose in range(5)
        )
        return cls(seed, network, order, train, test, draw)

    @classmethod
    def of_motions(cls, seed: int) -> "Keys":
        """Those of learned motions, whose data are drawn by the keys of the weights."""
        root = jax.random.key(seed)
        first, second = jax.random.split(root)
        return cls(seed, first, second, first, second, jax.random.fold_in(root, 4))


class Samples(NamedTuple):
    """The data of one seed: pairs of (inputs, targets), or lists of trajectories.

    Attributes:
      train: what is trained on, with the published noise.
      test: the published test set, noise and all.
      clean: the test set without noise; the same where there is none.
    """

    train: Any
    test: Any
    clean: Any


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """A model and an optimizer, two names in two fields, and how it is trained.

    Attributes:
      model, optimizer: their names, which carry labels and colors in `jaxphys.plots`.
      build: `build(settings, dtype)`, what is trained: a motion, or a simulator with
        its network. Rows with the same function share what it makes.
      target: `target(built, recipe) -> Target`. Rows that share this function too, and
        have equal recipes, share what is compiled.
      recipe: `recipe(settings) -> Recipe`.
      own_batch: whether `RunOptions.batch_size` leaves its batch size as it is.
      dtype: of data and weights, in place of the one asked for.
      time_of: the row whose training time this one has, in place of its own budget.
      view: the data as this row sees them.
    """

    model: str
    optimizer: str
    build: Callable[[Any, jnp.dtype], Any]
    target: Callable[[Any, Recipe], Target]
    recipe: Callable[[Any], Recipe]
    own_batch: bool = False
    dtype: str | None = None
    time_of: str | None = None
    view: Callable[[Any], Any] | None = None

    @property
    def named(self) -> dict[str, str]:
        """Its two names, as results.json has them."""
        return {"model": self.model, "optimizer": self.optimizer}


class Subject(NamedTuple):
    """A row in one run, with what was built and compiled of it."""

    name: str
    row: Row
    built: Any
    learner: Learner
    dtype: jnp.dtype
    monitor: Callable[[PyTree], Mapping[str, Any]] | None

    def sees(self, samples: Samples) -> Samples:
        """The data in this row's precision, as this row sees them."""
        # Lists are of trajectories, whose notes no cast of arrays should meet.
        seen = Samples(
            *(
                datasets.cast(x, self.dtype)
                if isinstance(x, list)
                else trees.cast(x, self.dtype)
                for x in samples
            )
        )
        return seen if self.row.view is None else Samples(*map(self.row.view, seen))


class Trained(NamedTuple):
    """A row trained from one seed, with the data as this row sees them."""

    settings: Any
    subject: Subject
    params: PyTree
    samples: Samples
    keys: Keys


class Run(NamedTuple):
    """What a run leaves.

    Attributes:
      settings, options: what it was asked.
      results: the contents of results.json.
      subjects: row → what was trained.
      params: row → its trained parameters, of the first seed.
      samples: of the first seed.
      keys: of the first seed.
      looks: label and color of each row, whichever of the table are trained.
      out: the directory.
      interrupted: whether it was ended by Ctrl-C.
    """

    settings: Any
    options: RunOptions
    results: dict[str, Any]
    subjects: dict[str, Subject]
    params: dict[str, PyTree]
    samples: Samples
    keys: Keys
    looks: dict[str, plots.Look]
    out: pathlib.Path
    interrupted: bool

    @property
    def built(self) -> Any:
        """What the first row trains; where all rows share it, what all of them do."""
        return next(iter(self.subjects.values())).built

    @property
    def best(self) -> str:
        """The row of the lowest test loss."""
        methods = self.results["methods"]
        return min(self.params, key=lambda row: methods[row]["final"]["test_loss"])


def no_figures(run: Run) -> dict[str, plots.Figure]:
    """For an experiment that draws none of its own."""
    del run
    return {}


def no_measures(trained: Trained) -> dict[str, Any]:
    """For an experiment whose losses say all."""
    del trained
    return {}


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
    sets = {"train_loss": data.train, "test_loss": data.clean}
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


@dataclasses.dataclass(frozen=True, kw_only=True)
class Experiment:
    """What is one experiment's own. Where it says "of settings" a plain value will do.

    Attributes:
      name, summary: as `jaxphys list` shows them.
      title: above figures and tables; of settings.
      settings: a frozen dataclass of its settings, with defaults and docstring.
      sample: `sample(settings, keys, dtype) -> Samples`.
      rows: name → `Row`, in the order of the table; of settings.
      measures: `measures(trained) -> {name: number}`.
      monitor: `monitor(settings, built, keys) -> (params -> {name: number})`, what else
        the history records.
      columns: name in the final records → its heading in the table.
      milestones: the test losses to which the table gives the training time; of
        settings.
      published: row → name → the published figure; of settings.
      finish: `finish(run)`, whatever else it prints or writes after the table; before
        the figures, which may read what it adds to the results.
      figures: `figures(run) -> {file: figure}`.
      compared: `compared(run) -> Figure`, in place of the losses of all rows.
      check: `check(samples, recipe)` raises a ValueError where data and recipe do not
        fit; called before anything is compiled or written.
      prepare: `prepare(experiment, settings, options)`, the same three as they are run:
        with rows that depend on options, or names that stand for several rows.
      train: how a row is trained from one seed.
      keys: how a seed is split.
      seconds: the budget where the options have none, of rows without their own.
      options: what is asked where nothing else is.
    """

    name: str
    summary: str
    title: Any
    settings: type
    sample: Callable[[Any, Keys, jnp.dtype], Samples]
    rows: Any
    columns: Mapping[str, str]
    measures: Callable[[Trained], dict[str, Any]] = no_measures
    monitor: Callable[[Any, Any, Keys], Callable] | None = None
    milestones: Any = ()
    published: Any = dataclasses.field(default_factory=dict)
    figures: Callable[[Run], dict[str, plots.Figure]] = no_figures
    finish: Callable[[Run], None] | None = None
    compared: Callable[[Run], plots.Figure] | None = None
    check: Callable[[Samples, Recipe], None] | None = None
    prepare: Callable[..., tuple["Experiment", Any, RunOptions]] | None = None
    train: Callable[..., tuple[Fit, dict[str, Any]]] = train_once
    keys: Callable[[int], Keys] = Keys.of_motions
    seconds: float | None = None
    options: RunOptions = RunOptions()

    def of(self, attribute: str, settings: Any) -> Any:
        """An attribute that may be a function of the settings."""
        value = getattr(self, attribute)
        return value(settings) if callable(value) else value


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
    fit, _ = experiment.train(subject, samples, keys, options, budget, None, shown)
    return subject, fit


def run(
    experiment: Experiment, settings: Any = None, options: RunOptions | None = None
) -> Run:
    """Train every chosen row from every seed; print the table, write all results.

    Raises:
      ValueError: for invalid settings or options, or an output directory that holds
        another run; before compiling, with nothing written.
    """
    settings = experiment.settings() if settings is None else settings
    options = (experiment.options if options is None else options).check()
    if options.seconds is None and options.steps is None:
        options = dataclasses.replace(options, seconds=experiment.seconds)
    if experiment.prepare is not None:
        experiment, settings, options = experiment.prepare(
            experiment, settings, options
        )
    rows = experiment.of("rows", settings)
    names = chosen_rows(options.method, list(rows))
    subjects = subjects_of(experiment, settings, options, names)
    dtype = trees.real_dtype(options.dtype)
    samples: dict[int, Samples] = {}

    def samples_of(seed: int) -> Samples:
        if seed not in samples:
            samples[seed] = experiment.sample(settings, experiment.keys(seed), dtype)
        return samples[seed]

    title = experiment.of("title", settings)
    config = dataclasses.asdict(settings) | dataclasses.asdict(options)
    for name in ("out", "resume", "progress"):
        config.pop(name)
    first = samples_of(options.seed)
    if experiment.check is not None:
        for subject in subjects.values():
            experiment.check(first, subject.learner.recipe)
    out = record.output_directory(experiment.name, options.out, resume=options.resume)
    results = record.open_results(
        out, experiment.name, title, config, resume=options.resume
    )
    print(f"{title}: {', '.join(names)}; results in {out}", flush=True)
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
    )
    interrupted = _train_all(experiment, done, samples_of)
    done = done._replace(interrupted=interrupted)
    methods = results["methods"]
    results["methods"] = {name: methods[name] for name in rows if name in methods}
    record.write_json(out / "results.json", results)
    if results["methods"]:
        _close(experiment, done)
    return done


def _train_all(
    experiment: Experiment, done: Run, samples_of: Callable[[int], Samples]
) -> bool:
    """Train row by row and seed by seed; returns whether Ctrl-C ended it."""
    options, spent = done.options, {}
    milestones = experiment.of("milestones", done.settings)
    for name, subject in done.subjects.items():
        entries: list[dict[str, Any]] = []
        interrupted = False
        try:
            for seed in range(options.seed, options.seed + options.seeds):
                budget = _budget(
                    subject, options, spent.get((subject.row.time_of, seed))
                )
                shown = done.looks[name].label
                shown += f" [{seed}]" if options.seeds > 1 else ""
                directory = done.out / "checkpoints" / f"{name}-{seed}"
                fit, more = experiment.train(
                    subject,
                    samples_of(seed),
                    experiment.keys(seed),
                    options,
                    budget,
                    Storage(directory, options.resume),
                    shown,
                )
                spent[name, seed] = fit.seconds
                if fit.status != "finished":
                    print(f"{shown}: {fit.status}, {fit.message}", flush=True)
                done.params.setdefault(name, fit.state.params)
                entry = record.entry_of(fit, seed, more, milestones)
                entries.append(entry)
                interrupted = fit.status == "interrupted"
                trained = Trained(
                    done.settings,
                    subject,
                    fit.state.params,
                    subject.sees(samples_of(seed)),
                    experiment.keys(seed),
                )
                entry["final"] |= experiment.measures(trained)
                if interrupted:
                    break
        except KeyboardInterrupt:
            interrupted = True
        if entries:
            repeats = {"repeats": entries[1:]} if entries[1:] else {}
            done.results["methods"][name] = subject.row.named | entries[0] | repeats
            record.write_json(done.out / "results.json", done.results)
        if interrupted:
            print("interrupted: results and figures are of what was done", flush=True)
            return True
    return False


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
        figure = plots.comparison({done.out.name: done.results}, looks=done.looks)
    else:
        figure = experiment.compared(done)
    plots.save(figure, done.out / "comparison.png")
    if experiment.finish is not None:
        experiment.finish(done)
    if done.params:
        for file, figure in experiment.figures(done).items():
            plots.save(figure, done.out / f"{file}.png")
