"""What an experiment is made of: settings, keys, data, rows, and what is left of a run.

Records only; `engine` runs them.
"""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxphys import data as datasets
from jaxphys import devices, plots, trees
from jaxphys.checks import check_count, check_positive
from jaxphys.learning import Learner, Recipe
from jaxphys.problems import Target
from jaxphys.training import Budget, Fit
from jaxphys.types import Array, PyTree

__all__ = [
    "USUAL_SECONDS",
    "Experiment",
    "Keys",
    "Row",
    "Run",
    "RunOptions",
    "Samples",
    "Subject",
    "Trained",
    "in_precision",
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
      devices: over how many devices each batch is split; by default one, and all where
        several processes run together.
      out: directory of the results; `runs/EXPERIMENT-DATE-TIME` by default.
      resume: go on with the run in `out`, or with the newest where none is given, by
        the run's own settings; methods and budget may be added to.
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
    devices: int | None = None
    out: pathlib.Path | None = None
    resume: bool = False
    progress: bool = True

    def check(self) -> "RunOptions":
        """These options, or a ValueError where one is invalid."""
        trees.real_dtype(self.dtype)
        check_count("seeds", self.seeds)
        check_count("seed", self.seed, 0)
        if self.batch_size is not None:
            check_count("batch_size", self.batch_size)
        if self.memory_limit is not None:
            check_positive("memory_limit", self.memory_limit)
        if self.devices is not None:
            devices.mesh(check_count("devices", self.devices))
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
      test: the published test set, noise and all; None where there is none.
      clean: the test set without noise; the same where there is none.
    """

    train: Any
    test: Any
    clean: Any


def in_precision(data: Any, dtype: DTypeLike) -> Any:
    """A training or test set in a precision."""
    # Lists are of trajectories, whose notes no cast of arrays should meet.
    cast = datasets.cast if isinstance(data, list) else trees.cast
    return cast(data, dtype)


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
        seen = Samples(*(in_precision(x, self.dtype) for x in samples))
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
      written: whether there is anything in the directory.
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
    written: bool = True

    @property
    def built(self) -> Any:
        """What the first row trains; where all rows share it, what all of them do."""
        return next(iter(self.subjects.values())).built

    @property
    def best(self) -> str:
        """The row of the lowest test loss."""
        methods = self.results["methods"]
        return min(self.params, key=lambda row: methods[row]["final"]["test_loss"])


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
      train: how a row is trained from one seed, in place of `engine.train_once`.
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
    measures: Callable[[Trained], dict[str, Any]] = lambda trained: {}
    monitor: Callable[[Any, Any, Keys], Callable] | None = None
    milestones: Any = ()
    published: Any = dataclasses.field(default_factory=dict)
    figures: Callable[[Run], dict[str, plots.Figure]] = lambda run: {}
    finish: Callable[[Run], None] | None = None
    compared: Callable[[Run], plots.Figure] | None = None
    check: Callable[[Samples, Recipe], None] | None = None
    prepare: Callable[..., tuple["Experiment", Any, RunOptions]] | None = None
    train: Callable[..., tuple[Fit, dict[str, Any]]] | None = None
    keys: Callable[[int], Keys] = Keys.of_motions
    seconds: float | None = None
    options: RunOptions = RunOptions()

    def __post_init__(self) -> None:
        # On the command line both are options of one command.
        taken = {field.name for field in dataclasses.fields(RunOptions)}
        twice = taken.intersection(x.name for x in dataclasses.fields(self.settings))
        if twice:
            raise ValueError(
                f"settings of {self.name!r} are named {', '.join(sorted(twice))}, as "
                "options of every run are; expected other names."
            )

    def of(self, attribute: str, settings: Any) -> Any:
        """An attribute that may be a function of the settings."""
        value = getattr(self, attribute)
        return value(settings) if callable(value) else value
