"""What every comparison of training methods does, whatever it trains.

A comparison is a problem, a model and a table of methods. This module trains each
method for the same budget, prints a table, and keeps `results.json`, figures and
checkpoints in one directory that an interrupted run can go on from.
"""

import dataclasses
import datetime
import functools
import importlib.metadata
import json
import math
import os
import pathlib
import platform
import statistics
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxphys import data, losses, optim, plots, problems, training
from jaxphys.names import check_known
from jaxphys.types import Model, Problem, PyTree

#: The losses to which the table gives the training time.
MILESTONES = (1e-4, 1e-6, 1e-8)
DTYPES = ("float32", "float64")


@dataclasses.dataclass(frozen=True)
class RunOptions:
    """What every `jaxphys run` understands.

    Attributes:
      method: which methods to train, or `all`.
      seconds: training time of each method, by default that of the experiment;
        compilation and evaluation come on top.
      steps: number of updates of each method, in place of seconds.
      seed: of the data, the network and the order of batches.
      seeds: how many seeds, counted up from `seed`, to repeat each method with.
      dtype: of data, network and physics, `float32` or `float64`.
      shuffle: whether each epoch has its own order of samples; the published runs
        keep one.
      batch_size: samples an update, for all methods; by default each its own.
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


class Method(NamedTuple):
    """How one method trains.

    Attributes:
      batch_size: samples an update.
      make: `make(batch_size) -> optax transformation`.
      proxy: for methods that train the network on an objective of its own,
        `proxy(problem, batch_size) -> objective(control, (inputs, targets))`.
      residual: whether the problem's residual is what is squared, of a problem that has
        one, for methods that read second derivatives off an objective.
      memory: (name, number) of what is set in the optimizer's memory before the first
        update, such as what `optax.inject_hyperparams` keeps there. Methods that differ
        in these alone share a compilation.
      starts: how many networks are trained side by side, all in the time of one; the
        one of the lowest training loss counts.
    """

    batch_size: int
    make: Callable[[int], optax.GradientTransformation]
    proxy: Callable[[Problem, int], Callable] | None = None
    residual: bool = False
    memory: tuple[tuple[str, float], ...] = ()
    starts: int = 1


class Trained(NamedTuple):
    """What a comparison leaves.

    Attributes:
      results: the contents of results.json.
      params: method → its trained parameters, of the first seed.
      out: the directory of the run.
      interrupted: whether it was ended by Ctrl-C.
    """

    results: dict[str, Any]
    params: dict[str, PyTree]
    out: pathlib.Path
    interrupted: bool


def compare(
    experiment: str,
    problem: Problem,
    model: Model,
    methods: dict[str, Method],
    options: RunOptions,
    *,
    settings: dict[str, Any],
    num_samples: int,
    milestones: Sequence[float] = MILESTONES,
    monitor: Callable[[PyTree], dict[str, Any]] | None = None,
    measures: Sequence[str] = (),
    seconds: float = 15.0,
) -> Trained:
    """Train each method on a problem for one budget, and keep what came of it.

    Args:
      experiment: its name, in results and directories.
      problem, model: what to train through, and what to train.
      methods: name → `Method`, in the order of the table.
      options: budget, seeds, output.
      settings: the experiment's own settings, recorded beside the options.
      num_samples: size of the training set, and of the fresh test set.
      milestones: the test losses to which the table gives the training time.
      monitor: `monitor(params) -> {name: number}`, what else to keep in the history.
      measures: which of these the table shows.
      seconds: the budget where the options have none.

    Raises:
      ValueError: for anything in the options that cannot be meant, or an output
        directory that holds another run; before compiling, with nothing written.
    """
    if options.seconds is None and options.steps is None:
        options = dataclasses.replace(options, seconds=seconds)
    _budget(options)
    if num_samples < 1:
        raise ValueError(f"num_samples is {num_samples}; expected a number ≥ 1.")
    for name in chosen_methods(options.method, methods):
        data.num_batches(np.zeros(num_samples), _batch_size(options, methods[name]))

    def train_one(name: str, seed: int, shown: str, directory: pathlib.Path):
        return train(
            methods[name],
            problem,
            model,
            options,
            seed=seed,
            num_samples=num_samples,
            name=shown,
            checkpoint_dir=directory,
            monitor=monitor,
        )

    return repeat(
        experiment,
        problem.name,
        methods,
        train_one,
        options,
        settings=settings,
        milestones=milestones,
        describe=lambda results: table(results, measures),
    )


def repeat(
    experiment: str,
    title: str,
    methods: Iterable[str],
    train_one: Callable[[str, int, str, pathlib.Path], training.Fit],
    options: RunOptions,
    *,
    settings: dict[str, Any],
    milestones: Sequence[float] = (),
    finish: Callable[[str, int, training.Fit], dict[str, Any]] | None = None,
    describe: Callable[[dict[str, Any]], str] | None = None,
    compared: Callable[[dict[str, Any]], plots.Figure] | None = None,
) -> Trained:
    """Train every chosen method from every seed; keep results, table and figure.

    Args:
      experiment: its name, in results and directories.
      title: above the figure.
      methods: the names there are, in the order of the table.
      train_one: `train_one(method, seed, shown, checkpoint_dir) -> Fit`; `shown` names
        the progress bar.
      options: methods, seeds, output.
      settings: the experiment's own settings, recorded beside the options.
      milestones: the test losses to which the table gives the training time.
      finish: `finish(method, seed, fit) -> {name: value}`, what is measured of a
        trained model, for its `final` record.
      describe: `describe(results) -> str`, the closing table.
      compared: `compared(results) -> Figure`, what comparison.png shows; by default all
        methods.

    Raises:
      ValueError: for anything in the options that cannot be meant, or an output
        directory that holds another run; before compiling, with nothing written.
    """
    methods = list(methods)
    chosen = chosen_methods(options.method, methods)
    if options.seeds < 1:
        raise ValueError(f"seeds is {options.seeds}; expected a number ≥ 1.")
    config = _config(options, settings)
    out = _output_directory(experiment, options)
    results = _open_results(out, experiment, title, config, options)
    print(f"{title}: {', '.join(chosen)}; results in {out}", flush=True)

    params: dict[str, PyTree] = {}
    interrupted = False
    for name in chosen:
        records: list[dict[str, Any]] = []
        try:
            for seed in range(options.seed, options.seed + options.seeds):
                shown = plots.label(name)
                shown += f" [{seed}]" if options.seeds > 1 else ""
                fit = train_one(
                    name, seed, shown, out / "checkpoints" / f"{name}-{seed}"
                )
                if fit.status != "finished":
                    print(
                        f"{name}, seed {seed}: {fit.status}, {fit.message}", flush=True
                    )
                params.setdefault(name, fit.state.params)
                record = _record(fit, seed, milestones)
                records.append(record)
                interrupted = fit.status == "interrupted"
                if finish is not None:
                    record["final"] |= finish(name, seed, fit)
                if interrupted:
                    break
        except KeyboardInterrupt:
            interrupted = True
        if records:
            results["methods"][name] = records[0] | (
                {"repeats": records[1:]} if records[1:] else {}
            )
            write_json(out / "results.json", results)
        if interrupted:
            print("interrupted: results and figures are of what was done", flush=True)
            break
    order = [name for name in methods if name in results["methods"]]
    results["methods"] = {name: results["methods"][name] for name in order}
    write_json(out / "results.json", results)
    if results["methods"]:
        print((describe or table)(results))
        figure = (
            compared(results) if compared else plots.comparison({out.name: results})
        )
        plots.save(figure, out / "comparison.png")
    return Trained(results, params, out, interrupted)


def train(
    method: Method,
    problem: Problem,
    model: Model,
    options: RunOptions,
    *,
    seed: int,
    num_samples: int,
    name: str = "fit",
    checkpoint_dir: pathlib.Path | None = None,
    monitor: Callable[[PyTree], dict[str, Any]] | None = None,
) -> training.Fit:
    """Train one method from one seed, which decides data, network and order.

    Training and test set, network and order come from keys of their own, so that
    methods see the same data and start from the same network. Seeds share one
    compilation.
    """
    batch_size = _batch_size(options, method)
    shared = method._replace(memory=())
    limit = limit_in_bytes(options)
    outputs, tx, step = _train_step(shared, problem, model, batch_size, limit)
    key = jax.random.key(seed)
    for_network, for_training, for_test, for_order = (
        jax.random.fold_in(key, purpose) for purpose in range(4)
    )
    inputs, targets = problem.sample(for_training, num_samples)
    if problem.check is not None:
        problem.check(targets)
    both = (inputs, targets)
    trained_on: tuple[PyTree, PyTree]
    if method.proxy is not None:
        trained_on = (inputs, both)
    elif method.residual and problem.residual is not None:
        trained_on = (both, targets)
    else:
        trained_on = both
    sets = {
        "train_loss": (inputs, targets),
        "test_loss": problem.sample(for_test, num_samples),
    }
    losses_of = training.make_evaluate(outputs, problem.objective, sets)

    def chosen(params: PyTree) -> PyTree:
        if method.starts == 1:
            return params
        return training.best_of(params, jax.vmap(losses_of)(params)["train_loss"])

    def evaluate(params: PyTree) -> dict[str, Any]:
        params = chosen(params)
        return losses_of(params) | (monitor(params) if monitor else {})

    if method.starts == 1:
        start = training.init_state(model.init(for_network), tx)
    else:
        keys = jax.random.split(for_network, method.starts)
        start = training.init_side_by_side(jax.vmap(model.init)(keys), tx)
    fit = training.fit(
        step,
        start._replace(
            opt_state=optim.set_memory(start.opt_state, **dict(method.memory))
        ),
        trained_on,
        batch_size=batch_size,
        **_budget(options),
        key=for_order if options.shuffle else None,
        evaluate=evaluate,
        name=name,
        progress=options.progress,
        checkpoint_dir=checkpoint_dir,
        resume=options.resume,
    )
    best = chosen(fit.state.params)
    return fit._replace(state=fit.state._replace(params=best))


@functools.lru_cache(maxsize=32)
def _train_step(
    method: Method, problem: Problem, model: Model, batch_size: int, limit: int | None
):
    """(outputs, tx, step): the same objects for all seeds, hence one compilation."""
    outputs = problems.outputs(problem, model)
    trained: Callable = outputs
    objective: Callable = problem.objective
    if method.proxy is not None:
        trained, objective = model.apply, method.proxy(problem, batch_size)
    elif method.residual and problem.residual is not None:
        trained, objective = problems.residuals(problem, model), losses.squared_size
    tx = method.make(batch_size)
    step = training.make_train_step(trained, objective, tx, memory_limit=limit)
    return outputs, tx, step if method.starts == 1 else training.side_by_side(step)


def limit_in_bytes(options: RunOptions) -> int | None:
    """The memory limit asked for, if any."""
    limit = options.memory_limit
    if limit is None:
        return None
    if not limit > 0:
        raise ValueError(f"memory_limit is {limit} MB; expected a number above zero.")
    return int(limit * 2**20)


def chosen_methods(wanted: tuple[str, ...], methods: Iterable[str]) -> list[str]:
    """The methods asked for, in the order of those there are."""
    methods = list(methods)
    if not wanted:
        raise ValueError(f"no method given; known: {', '.join(methods)}, all.")
    for name in wanted:
        check_known("method", name, [*methods, "all"])
    if "all" in wanted:
        return list(methods)
    return [name for name in methods if name in wanted]


def _batch_size(options: RunOptions, method: Method) -> int:
    return method.batch_size if options.batch_size is None else options.batch_size


def _budget(options: RunOptions) -> dict[str, Any]:
    budget = training.Budget(steps=options.steps, seconds=options.seconds)
    return budget.check()._asdict()


def model_dtype(options: RunOptions) -> jnp.dtype:
    """The dtype asked for, after checking that it is to be had."""
    check_known("dtype", options.dtype, DTYPES)
    if jax.dtypes.canonicalize_dtype(options.dtype) != options.dtype:
        raise ValueError(
            "dtype float64 needs jax.config.update('jax_enable_x64', True) first."
        )
    return jnp.dtype(options.dtype)


#: Options that may change from a run to its continuation.
_FREE = ("method", "seconds", "steps", "out", "resume", "progress")


def _config(options: RunOptions, settings: dict[str, Any]) -> dict[str, Any]:
    kept = dataclasses.asdict(options)
    config = {k: v for k, v in kept.items() if k not in ("out", "resume", "progress")}
    return json.loads(json.dumps(settings | config))


def _output_directory(experiment: str, options: RunOptions) -> pathlib.Path:
    if options.out is not None:
        return pathlib.Path(options.out)
    if options.resume:
        runs = sorted(pathlib.Path("runs").glob(f"{experiment}-*/results.json"))
        if not runs:
            raise ValueError(
                f"resume found no runs/{experiment}-*/results.json here; name the "
                "run's directory with out."
            )
        return runs[-1].parent
    return dated_directory(experiment)


def dated_directory(name: str) -> pathlib.Path:
    """Where results go that nobody named a place for: `runs/NAME-DATE-TIME`."""
    now = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    return pathlib.Path("runs") / f"{name}-{now}"


def check_empty(out: pathlib.Path, cure: str = "Choose another --out.") -> None:
    """A ValueError where writing results would mix them with what is there."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(
            f"{out} exists and is not empty; nothing was overwritten. {cure}"
        )


def _open_results(
    out: pathlib.Path, experiment: str, title: str, config: dict, options: RunOptions
) -> dict[str, Any]:
    """New results in an empty directory, or those of the run that is continued."""
    path = out / "results.json"
    if path.exists():
        old = json.loads(path.read_text())
        if not options.resume:
            raise ValueError(
                f"{out} holds another run, of {old['experiment']}; nothing was "
                "overwritten. Choose another --out, or go on with --resume."
            )
        fixed = {k: v for k, v in config.items() if k not in _FREE}
        changed = [
            f"{k} {old['config'].get(k)!r} → {v!r}"
            for k, v in fixed.items()
            if old["config"].get(k) != v
        ]
        if old["experiment"] != experiment or changed:
            raise ValueError(
                f"cannot resume {out}: {'; '.join(changed) or old['experiment']}. Only "
                "methods and budget may change; choose another --out."
            )
        return old | {"config": config}
    check_empty(out)
    out.mkdir(parents=True, exist_ok=True)
    results = {
        "experiment": experiment,
        "title": title,
        "config": config,
        "versions": versions(),
        "device": device(),
        "methods": {},
    }
    write_json(path, results)
    return results


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that numbers depend on."""
    packages = ("jaxphys", "jax", "jaxlib", "flax", "optax", "numpy")
    found = {"python": platform.python_version()}
    for name in packages:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def device() -> dict[str, Any]:
    """What computes: platform, kind, and the number of processors."""
    first = jax.devices()[0]
    return {
        "platform": first.platform,
        "kind": first.device_kind,
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
    }


def _processor() -> str:
    info = pathlib.Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def write_json(path: pathlib.Path, value: Any) -> None:
    """Write JSON whole or not at all."""
    partial = path.with_name(path.name + ".part")
    partial.write_text(json.dumps(value, indent=1))
    os.replace(partial, path)


def time_to(history: list[dict], loss: float, name: str = "test_loss") -> float | None:
    """Training seconds at which a loss was first seen at or below a value."""
    reached = (h["seconds"] for h in history if h.get(name, math.inf) <= loss)
    return next(reached, None)


def _final(fit: training.Fit, milestones: Sequence[float]) -> dict[str, Any]:
    last = fit.history[-1]
    return last | {
        "status": fit.status,
        "message": fit.message,
        "time_to": {f"{x:g}": time_to(fit.history, x) for x in milestones},
    }


def _record(
    fit: training.Fit, seed: int, milestones: Sequence[float]
) -> dict[str, Any]:
    return {
        "seed": seed,
        "compile_seconds": fit.compile_seconds,
        "history": fit.history,
        "final": _final(fit, milestones),
    }


def finals(entry: dict[str, Any]) -> list[dict[str, Any]]:
    """The final records of a method in a results.json, one a seed."""
    return [each["final"] for each in (entry, *entry.get("repeats", []))]


def table(results: dict[str, Any], measures: Sequence[str] = ()) -> str:
    """The closing table of a run; medians where there are several seeds.

    Args:
      results: the contents of results.json.
      measures: what else to show of each method's last record.
    """
    milestones = list(next(iter(results["methods"].values()))["final"]["time_to"])
    header = ["method", "updates", "compile s", "train loss", "test loss"]
    header += [name.replace("_", " ") for name in measures]
    header += [f"s to {x}" for x in milestones]
    rows = [header]
    for name, entry in results["methods"].items():
        ends = finals(entry)

        def median(key: str, ends=ends) -> float:
            return statistics.median(f[key] for f in ends)

        row = [name, f"{median('step'):.0f}", f"{entry['compile_seconds']:.1f}"]
        row += [f"{median('train_loss'):.2e}", f"{median('test_loss'):.2e}"]
        row += [f"{median(name):.2e}" for name in measures]
        for x in milestones:
            times = [f["time_to"].get(x) for f in ends]
            reached = [math.inf if t is None else t for t in times]
            middle = statistics.median(reached)
            row.append("–" if math.isinf(middle) else f"{middle:.2f}")
        status = {f["status"] for f in ends} - {"finished"}
        rows.append([*row, ", ".join(sorted(status))])
    rows[0].append("")
    return aligned(rows)


def aligned(rows: list[list[str]]) -> str:
    """Rows of cells as text in columns, the first row a header above a line.

    Example:
      >>> print(aligned([["name", "loss"], ["adam", "0.5"]]))
      name  loss
      ----------
      adam   0.5
    """
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])
