"""Methods side by side on a problem of one's own: `jaxphys.compare`.

A simulator, outputs with an objective, or the residual of an equation becomes an
`Experiment` of one row a method, and is trained as the published ones are: from the
same first weights, on the same batches, for the same time.
"""

import dataclasses
import functools
import pathlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxphys import data as datasets
from jaxphys import losses, optim, problems, trees
from jaxphys._jaxpr.places import place_of
from jaxphys.checks import check_count, check_function, checked
from jaxphys.experiments import engine
from jaxphys.experiments.comparison import Comparison
from jaxphys.experiments.control.rows import searched
from jaxphys.experiments.experiment import (
    Experiment,
    Keys,
    Row,
    RunOptions,
    Samples,
    in_precision,
)
from jaxphys.learning import Recipe
from jaxphys.models.adapters import as_model
from jaxphys.names import check_known
from jaxphys.problems import Loss, Target
from jaxphys.types import Array, Model, Problem, PyTree

__all__ = ["METHODS", "compare"]

#: The methods that are known by name, with the rates that need no choice.
METHODS: dict[str, Callable[[], optax.GradientTransformation]] = {
    "adam": lambda: optax.adam(1e-3),
    "sip": lambda: optax.adam(1e-3),
    "hig": lambda: optim.hig(1.0, rcond=1e-8, relative=True),
    "gauss_newton": lambda: optim.gauss_newton(1.0, rcond=1e-6, relative=True),
    "levenberg_marquardt": lambda: optim.levenberg_marquardt(),
    "spring": lambda: optim.spring(),
}

#: Methods that figures know by another name.
_LOOKS = {"gauss_newton": "gauss_newton_true_step"}

#: Training and test samples of a problem, where no number is given.
_SAMPLES = 1024
#: Outputs of a batch, where no batch size is given; at least so many samples.
_OUTPUTS, _FEWEST = 256, 16
#: Updates in a row that may be left out, as a batch has a loss that is not finite.
_SKIPS = 5
#: Training seconds of each method, where no budget is given.
_SECONDS = 10.0

_PASS_ONE = (
    "pass objective=, of outputs and targets, such as jaxphys.losses.squared_error."
)


def _check_methods(name: str, methods: Any) -> None:
    if not isinstance(methods, Iterable):
        raise TypeError(f"{name} is {methods!r}; expected names, such as ('adam',).")


@checked(objective=check_function, batch_size=check_count, methods=_check_methods)
def compare(
    problem: Any = None,
    model: Any = None,
    data: Any = None,
    *,
    outputs: Callable[[Any, PyTree], Array] | None = None,
    objective: Callable[[Array, PyTree], Array] | None = None,
    methods: Any = ("adam", "levenberg_marquardt"),
    seconds: float | None = None,
    steps: int | None = None,
    seeds: int = 1,
    batch_size: int | None = None,
    out: str | pathlib.Path | None = None,
    progress: bool = True,
) -> Comparison:
    """Train by several methods, and see which of them pays.

    Every method begins with the same weights and sees the same batches in the same
    order. All are functions of one sample; batches are made here.

    Args:
      problem: a `Problem`, such as those of `jaxphys.problems`; or `outputs`; or the
        residual of an equation, `residual(params, sample) -> (k,)`, whose sum of
        squares is lowered; or a `Target`, such as `learning.matching` makes.
      model: the network: a `Model`; a module of equinox, flax nnx or flax linen; or
        `(params, apply)`; or, without a network, first parameters alone. With a module,
        `outputs` and `residual` are handed the module itself in place of `params`.
      data: what is trained on. Arrays with a leading sample axis: a pair (inputs,
        targets), of a residual any pytree of samples. Or `sampler(key) -> arrays`,
        which draws a test set, too. Or `{"train": arrays, "test": arrays}`. Of a
        `Problem` the number of samples to draw, by default 1024.
      outputs: `outputs(params, inputs) -> (d,)`, in place of `problem`.
      objective: `objective(outputs, targets) -> scalar`, of `outputs`. Second-order
        methods take what it is convex in; HIG knows sums of squares.
      methods: names of `METHODS`, "all" of them, or optax transformations; or a dict
        name → one of these. `sip` needs a `Problem` whose network acts once.
      seconds, steps: the budget of each method, one of them; by default 10 s. Seconds
        are of training: compilation and evaluation come on top.
      seeds: how many, each with its own weights, data of a sampler, and order.
      batch_size: samples an update; by default as many as have 256 outputs, and 16 at
        least.
      out: a directory for results.json, checkpoints and the figure; by default nothing
        is written.
      progress: whether to show progress bars.

    Returns:
      A `Comparison`: `print` it, `.plot()` it, or take the trained `.params[name]`.
      A method that diverges is named, and the others go on; so does Ctrl-C leave what
      is done.

    Raises:
      TypeError: for a network or a method that is none.
      ValueError: for unknown names, and shapes that do not fit; before compiling, with
        nothing written.

    Example:
      >>> from jaxphys import models
      >>> spring = lambda w, q: w["k"] * q + w["c"] * q**3
      >>> q = jnp.linspace(-1.0, 1.0, 64)[:, None]
      >>> start = {"k": jnp.ones(1), "c": jnp.zeros(1)}
      >>> found = compare(
      ...     spring, start, (q, 2 * q - q**3), objective=losses.squared_error,
      ...     methods=("adam", "levenberg_marquardt"), steps=20, progress=False,
      ... )
      >>> found.best, found.loss("levenberg_marquardt") < 1e-6
      ('levenberg_marquardt', True)
      >>> print(found.params["levenberg_marquardt"]["k"].round(3))
      [2.]
    """
    if (problem is None) == (outputs is None):
        raise ValueError(
            "expected either a problem (or a residual) or outputs, not both or none."
        )
    if outputs is not None and objective is None:
        raise ValueError(f"outputs has no objective; {_PASS_ONE}")
    task = _task(problem if outputs is None else outputs, model, objective)
    chosen = _chosen(methods, task)
    weights = jax.eval_shape(task.init, jax.random.key(0))
    options = RunOptions(
        seconds=_SECONDS if seconds is None and steps is None else seconds,
        steps=steps,
        seeds=seeds,
        out=None if out is None else pathlib.Path(out),
        progress=progress,
        dtype=str(trees.check_one_dtype(weights)),
    ).check()
    sample = functools.partial(_sample, task, data)
    size = batch_size or _usual_batch(task, sample, options)
    experiment = Experiment(
        name="compare",
        summary="methods side by side",
        title=task.title,
        settings=_Settings,
        sample=sample,
        rows={name: _row(task, name, method, size) for name, method in chosen.items()},
        columns={},
        keys=Keys.folded,
    )
    done = engine.train_rows(
        experiment, _Settings(size), options, written=out is not None
    )
    if done.interrupted:
        what = "the result is of what was trained" if done.params else "nothing trained"
        print(f"interrupted: {what}", flush=True)
    found = Comparison(done.results, done.params)
    if out is not None and done.params:
        found.plot(done.out / "comparison.png")
    return found


@dataclasses.dataclass(frozen=True)
class _Settings:
    """What results.json says of a comparison.

    Attributes:
      samples_an_update: the batch size.
    """

    samples_an_update: int


class _Task(NamedTuple):
    """What is trained by every method.

    Attributes:
      title: above the table.
      target: `target(method, batch_size) -> Target`.
      problem: the simulator, or None.
      init: `init(key) -> params`.
      paired: whether data are pairs of inputs and targets.
    """

    title: str
    target: Callable[[str, int], Target]
    problem: Problem | None
    init: Callable[[Array], PyTree]
    paired: bool


def _task(problem: Any, network: Any, objective: Callable | None) -> _Task:
    """The problem in whatever form it is handed over."""
    if isinstance(problem, Problem | Target) and objective is not None:
        raise ValueError(
            "a problem has an objective of its own; expected objective=None."
        )
    if isinstance(problem, Target):
        return _Task("methods", lambda *_: problem, None, problem.init, False)
    if isinstance(problem, Problem):
        net = problems.network_for(problem, network)

        def steered(method: str, batch_size: int) -> Target:
            proxy = searched(problem, batch_size) if method == "sip" else None
            return problems.steered(problem, net, residual=method != "hig", proxy=proxy)

        return _Task(problem.name, steered, problem, net.init, True)
    if not callable(problem):
        raise TypeError(
            f"the problem is a {type(problem).__name__}; expected a Problem, "
            "outputs(params, inputs) or residual(params, sample)."
        )
    net = _parameters(network)
    whole = None if isinstance(network, Model) else net.parts.get("module")

    def applied(params: PyTree, inputs: PyTree) -> Array:
        return problem(params if whole is None else whole(params), inputs)

    loss = Loss(applied, losses.squared_size if objective is None else objective)
    paired = objective is not None

    def samples(data: PyTree, length: int) -> tuple[PyTree, PyTree]:
        del length
        return tuple(data) if paired else (data, data)

    name = getattr(problem, "__name__", type(problem).__name__)
    title = "methods" if name == "<lambda>" else name.replace("_", " ")
    target = Target(net.init, loss, loss, samples, samples)
    return _Task(title, lambda *_: target, None, net.init, paired)


def _parameters(network: Any) -> Model:
    """A network, or parameters alone, as a `Model`."""
    leaves = jax.tree.leaves(network)
    arrays = leaves and all(
        isinstance(x, jax.Array | np.ndarray | float) for x in leaves
    )
    if arrays and not callable(network) and not isinstance(network, Model):
        return as_model((network, lambda params, *inputs: params))
    return as_model(network, what="the network")


class _Method(NamedTuple):
    """A method: its name in `METHODS`, or a transformation of one's own."""

    kind: str
    transformation: optax.GradientTransformation


def _chosen(methods: Any, task: _Task) -> dict[str, _Method]:
    """Name → method."""
    # What SIP inverts is a control that is given once.
    once = task.problem is not None and task.problem.follow is None
    known = [name for name in METHODS if name != "sip" or once]
    if isinstance(methods, str | optax.GradientTransformation):
        methods = (methods,)
    if isinstance(methods, Mapping):
        named = dict(methods)
    else:
        named = {}
        for number, method in enumerate(methods):
            for each in known if method == "all" else [method]:
                named[_name_of(each, number, named)] = each
    if not named:
        raise ValueError(f"no method given; known: {', '.join(known)}, all.")
    found: dict[str, _Method] = {}
    for name, method in named.items():
        if isinstance(method, str):
            check_known("method", method, known)
            found[name] = _Method(method, METHODS[method]())
        elif isinstance(method, optax.GradientTransformation):
            found[name] = _Method(name, method)
        else:
            raise TypeError(
                f"the method {name} is a {type(method).__name__}; expected one of "
                f"{', '.join(known)}, or an optax transformation."
            )
    return found


def _name_of(method: Any, number: int, taken: Mapping[str, Any]) -> str:
    """A row's name: the method's own, or that of the function that made it."""
    if isinstance(method, str):
        return method
    made_by = getattr(getattr(method, "update", None), "__qualname__", "").split(".")[0]
    name = made_by if made_by in METHODS else f"method {number + 1}"
    return f"{name} {number + 1}" if name in taken else name


def _sample(
    task: _Task, data: Any, settings: Any, keys: Keys, dtype: jnp.dtype
) -> Samples:
    """Training and test data of one seed."""
    del settings, dtype
    train: Any
    test: Any
    if data is None or isinstance(data, int):
        if task.problem is None:
            raise ValueError(
                f"data is {data}; expected arrays with a leading sample axis, or "
                "sampler(key) -> arrays."
            )
        count = _SAMPLES if data is None else data
        train, test = (task.problem.sample(k, count) for k in (keys.train, keys.test))
    elif callable(data):
        train, test = data(keys.train), data(keys.test)
    elif isinstance(data, Mapping) and set(data) in ({"train"}, {"train", "test"}):
        train, test = data["train"], data.get("test")
    else:
        train, test = data, None
    for each in (train, test):
        is_pair = isinstance(each, tuple | list) and len(each) == 2
        if task.paired and each is not None and not is_pair:
            raise ValueError(
                f"data are a {type(each).__name__}; expected a pair (inputs, targets), "
                "each with a leading sample axis."
            )
    if task.problem is not None and task.problem.check is not None:
        task.problem.check(train[1])
    return Samples(train, test, test)


def _usual_batch(task: _Task, sample: Callable, options: RunOptions) -> int:
    """As many samples as have `_OUTPUTS` outputs; checks what one sample gives."""
    keys = Keys.folded(options.seed)
    train = sample(None, keys, None).train
    train = in_precision(train, options.dtype)
    target = task.target("adam", _FEWEST)
    pair = target.judged_samples(train, 0)
    total = datasets.num_samples(pair)
    params = jax.eval_shape(target.init, keys.network)
    one = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), pair)
    values = _shape_of_outputs(task, target, params, one[0])
    if getattr(values, "ndim", None) != 1:
        shape = jax.tree.map(lambda x: x.shape, values)
        raise ValueError(
            f"one sample has outputs of shape {shape}; expected one vector, (d,). "
            "Ravel or stack them; batches are made by compare."
        )
    loss = jax.eval_shape(target.judged.objective, values, one[1])
    if getattr(loss, "shape", None) != ():
        shape = jax.tree.map(lambda x: x.shape, loss)
        raise ValueError(
            f"the objective of one sample has shape {shape}; expected a scalar. Sum "
            "over components."
        )
    return min(total, max(_FEWEST, _OUTPUTS // values.size))


def _shape_of_outputs(task: _Task, target: Target, params: PyTree, one: PyTree) -> Any:
    """What one sample gives, as a shape; a clear error where it gives nothing."""
    try:
        return jax.eval_shape(target.judged.outputs, params, one)
    except Exception as error:
        guessed = task.problem is None and not task.paired
        if isinstance(error, ValueError) and not guessed:
            raise  # It says what to do, as those of our own networks do.
        lines = str(error).strip().splitlines()[:1]
        told = ": ".join([type(error).__name__, *lines]).rstrip(".")
        where = place_of(error)
        got = jax.tree.map(lambda x: x.shape, one)
        if guessed:
            raise ValueError(
                f"no objective is given, so that {task.title} is taken for a residual "
                f"of params and a sample of shapes {got}, and fails: {told}, at "
                f"{where}. For a function of params and inputs {_PASS_ONE}"
            ) from error
        shapes = [x.shape for x in jax.tree.leaves(params) if x.ndim > 1]
        first = f", whose first weights have shape {shapes[0]}," if shapes else ""
        raise ValueError(
            f"one sample, whose inputs have shape {got}, fails: {told}, at {where}. "
            f"Expected a network{first} that takes such inputs, and functions of one "
            "sample: batches are made by compare."
        ) from error


def _row(task: _Task, name: str, method: _Method, batch_size: int) -> Row:
    recipe = Recipe(
        optimizer=lambda b: method.transformation,
        batch_size=batch_size,
        seconds=1.0,
        skips=_SKIPS,
    )
    return Row(
        model="network",
        optimizer=_LOOKS.get(method.kind, name),
        build=lambda settings, dtype: task,
        target=lambda built, recipe: built.target(method.kind, batch_size),
        recipe=lambda settings: recipe,
    )
