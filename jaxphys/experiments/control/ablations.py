"""Why half-inverse gradients: one choice after another changed, the rest left alone.

The step V Λ^κ Uᵀ g runs from gradient descent, κ = 1, over HIG, κ = −1/2, to
Gauss–Newton, κ = −1. In function space it is δe = −η K^((κ+1)/2) g, so that of the
spread of singular values the power κ + 1 is left, and a rate that suits one exponent
suits no other. Each therefore has the same rates to choose from, in units of the step
that solves the direction of largest singular value, η = c (b/2) / σ_max^(κ+1), and all
have the same training time. At κ = −1 a rate c = 1 is the true step b/2 of
Gauss–Newton, and the published one is c = 2/b, down to which the rates go. What else is
changed, at κ = −1/2: rcond, batch size and width; and what damped methods have in its
place.

Exponents: Schnell, Holl & Thuerey, ICLR 2022, https://arxiv.org/abs/2203.10131.
"""

import dataclasses
import functools
import math
import pathlib
import statistics
from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import optax

from jaxphys import data, linalg, optim, plots, training
from jaxphys.experiments import (
    nonlinear_oscillators,
    oscillators,
    poisson,
    quantum_dipole,
    runner,
)
from jaxphys.experiments.runner import Method, RunOptions, Trained
from jaxphys.names import check_known
from jaxphys.types import Model, Problem

#: Problem → its experiment, and the rcond of HIG there.
PROBLEMS: dict[str, tuple[ModuleType, float]] = {
    "oscillators": (oscillators, 1e-10),
    "nonlinear_oscillators": (nonlinear_oscillators, 1e-6),
    "quantum_dipole": (quantum_dipole, 1e-5),
    "poisson": (poisson, 1e-5),
}

#: What is changed → the label of its axis.
SWEEPS = {
    "kappa": "exponent κ [1]",
    "rcond": "cut-off of singular values, rcond [1]",
    "batch": "batch size $b$ [samples]",
    "width": "width of each hidden layer [units]",
    "damping": "λ, relative to tr $K/m$ [1]",
    "decay": "1 − μ [1]",
}

#: Methods that the exponents are drawn beside.
REFERENCES = ("adam", "levenberg_marquardt", "spring")

#: The exponent of half-inverse gradients.
HALF = -0.5

#: Learning rates of Adam to choose from.
ADAM_RATES = (1e-3, 3e-3, 1e-2, 3e-2)

#: λ and μ of Levenberg–Marquardt and SPRING where they are not what is changed.
LM_DAMPING, SPRING_DAMPING, SPRING_DECAY = 1.0, 1e-7, 0.9


@dataclasses.dataclass(frozen=True)
class Config:
    """Change the exponent of the spectral step, and all else that a user may choose.

    A method is one setting; the name of a sweep, `kappa`, `rcond`, `batch`, `width`,
    `damping` or `decay`, stands for all of its settings. Seconds or steps are those of
    each learning rate that a setting tries.

    Attributes:
      options: what every run understands; its batch size is that of all settings but
        those of the sweep `batch`.
      problem: what is trained through: `oscillators`, `nonlinear_oscillators`,
        `quantum_dipole` or `poisson`.
      samples: size of the training set, and of the test set; by default those of the
        problem.
      rates: c, learning rates relative to the step that solves the direction of the
        largest singular value; beyond 2 a quadratic has no descent. The lowest train
        loss at the end decides between them.
      near_rates: those of settings at κ = −1/2 that change something else.
      powers: exponents κ; −1/2 is always among them.
      rconds: cut-offs of small singular values.
      batches: batch sizes.
      widths: units of each hidden layer.
      dampings: λ, of Levenberg–Marquardt at the start and of SPRING throughout.
      decays: momentum μ of SPRING.
    """

    options: RunOptions = RunOptions()
    problem: str = "oscillators"
    samples: int | None = None
    rates: tuple[float, ...] = (0.01, 0.03, 0.1, 0.3, 1.0, 2.0)
    near_rates: tuple[float, ...] = (0.1, 0.3, 1.0)
    powers: tuple[float, ...] = (1.0, 0.5, 0.0, -0.25, -0.5, -0.75, -1.0)
    rconds: tuple[float, ...] = (1e-2, 1e-4, 1e-6, 1e-8, 1e-10)
    batches: tuple[int, ...] = (8, 16, 32, 64, 128, 256)
    widths: tuple[int, ...] = (5, 10, 20, 40, 80)
    dampings: tuple[float, ...] = (1e-7, 1e-5, 1e-3, 1e-1, 1.0)
    decays: tuple[float, ...] = (0.0, 0.5, 0.9, 0.99)


class Setting(NamedTuple):
    """One choice of everything.

    Attributes:
      method: how it trains.
      hidden: units of each hidden layer.
      kind: the optimizer's name in figures.
      at: sweep → the value that this setting has in it.
      rates: learning rates to choose from; none where the method finds its own step.
      power: κ, to which the rates are relative; None where they are absolute.
    """

    method: Method
    hidden: tuple[int, ...]
    kind: str
    at: dict[str, float]
    rates: tuple[float, ...] = ()
    power: float | None = None


def _step(learning_rate, power, rcond) -> optax.GradientTransformationExtraArgs:
    return optax.chain(
        optim.scale_by_spectral(power=power, rcond=rcond),
        optax.scale_by_learning_rate(learning_rate),
    )


def _spectral(batch_size: int) -> optax.GradientTransformationExtraArgs:
    """The step of every κ, rate and rcond, which are numbers in its memory."""
    del batch_size
    make = optax.inject_hyperparams(_step)
    return make(learning_rate=0.0, power=HALF, rcond=0.0)


def _adam(batch_size: int) -> optax.GradientTransformationExtraArgs:
    del batch_size
    fixed = ("b1", "b2", "eps", "eps_root")
    return optax.inject_hyperparams(optax.adam, static_args=fixed)(learning_rate=0.0)


def _spring(batch_size: int) -> optax.GradientTransformationExtraArgs:
    del batch_size
    fixed = ("learning_rate", "max_step", "iterations", "tolerance")
    make = optax.inject_hyperparams(optim.spring, static_args=fixed)
    return make(damping=SPRING_DAMPING, decay=SPRING_DECAY)


def settings(config: Config = Config()) -> dict[str, Setting]:
    """All settings by name, each once: where sweeps cross, they have one in common."""
    module, rcond = PROBLEMS[check_known("problem", config.problem, PROBLEMS)]
    published = module.METHODS
    hidden = module.Config().hidden

    def size(method: str) -> int:
        own = config.options.batch_size
        return published[method].batch_size if own is None else own

    def spectral(
        at: dict[str, float],
        power: float = HALF,
        rcond: float = rcond,
        batch: int = size("hig"),
        hidden: tuple[int, ...] = hidden,
    ) -> Setting:
        memory = (("power", power), ("rcond", rcond))
        method = Method(batch, _spectral, memory=memory)
        rates = config.rates if "kappa" in at else config.near_rates
        return Setting(method, hidden, "hig", at, rates, power)

    found: dict[str, Setting] = {}
    for power in sorted({*config.powers, HALF}, reverse=True):
        at: dict[str, float] = {"kappa": power}
        if power == HALF:
            at |= {"rcond": rcond, "batch": size("hig")}
            at |= {"width": hidden[0]} if len(set(hidden)) == 1 else {}
        found[f"kappa_{power:g}"] = spectral(at, power)
    here = found[f"kappa_{HALF:g}"].at
    for cut in config.rconds:
        if cut != rcond:
            found[f"rcond_{cut:g}"] = spectral({"rcond": cut}, rcond=cut)
    for batch in config.batches:
        if batch != here["batch"]:
            found[f"batch_{batch}"] = spectral({"batch": batch}, batch=batch)
    for width in config.widths:
        if width != here.get("width"):
            layers = (width,) * len(hidden)
            found[f"width_{width}"] = spectral({"width": width}, hidden=layers)
    adam = Method(size("adam"), _adam)
    found["adam"] = Setting(adam, hidden, "adam", {}, ADAM_RATES)
    return found | _damped(config, published, size, hidden)


def _damped(
    config: Config,
    published: dict[str, Method],
    size: Callable[[str], int],
    hidden: tuple[int, ...],
) -> dict[str, Setting]:
    """Levenberg–Marquardt and SPRING, by λ and by μ."""

    def marquardt(damping: float) -> Setting:
        method = published[name := "levenberg_marquardt"]._replace(
            batch_size=size(name), memory=(("damping", damping),)
        )
        return Setting(method, hidden, name, {"damping": damping})

    def spring(damping: float, decay: float, at: dict[str, float]) -> Setting:
        method = published["spring"]._replace(
            batch_size=size("spring"),
            make=_spring,
            memory=(("damping", damping), ("decay", decay)),
        )
        return Setting(method, hidden, "spring", at)

    found = {
        "levenberg_marquardt": marquardt(LM_DAMPING),
        "spring": spring(
            SPRING_DAMPING,
            SPRING_DECAY,
            {"damping": SPRING_DAMPING, "decay": 1 - SPRING_DECAY},
        ),
    }
    for damping in config.dampings:
        if damping != LM_DAMPING:
            found[f"levenberg_marquardt_damping_{damping:g}"] = marquardt(damping)
    for damping in config.dampings:
        if damping != SPRING_DAMPING:
            found[f"spring_damping_{damping:g}"] = spring(
                damping, SPRING_DECAY, {"damping": damping}
            )
    for decay in config.decays:
        if decay != SPRING_DECAY:
            found[f"spring_decay_{decay:g}"] = spring(
                SPRING_DAMPING, decay, {"decay": 1 - decay}
            )
    return found


METHODS = settings()


def chosen(wanted: tuple[str, ...], every: dict[str, Setting]) -> tuple[str, ...]:
    """The names of settings, with the name of a sweep written out as its settings.

    Example:
      >>> chosen(("decay", "adam"), settings())[:2]
      ('spring', 'spring_decay_0')
    """
    names: list[str] = []
    for name in wanted:
        swept = [each for each, setting in every.items() if name in setting.at]
        if name not in SWEEPS and name not in every:
            check_known("method", name, [*SWEEPS, *every, "all"])
        names += swept or [name]
    return tuple(dict.fromkeys(names))


class Bench(NamedTuple):
    """What all settings of a run have in common.

    Attributes:
      every: name → `Setting`.
      options: of the run, without a batch size, which settings have.
      build: `build(hidden) -> (problem, model)`, the same objects for the same size.
      samples: size of the training set, and of the test set.
      largest: (batch size, hidden) → σ_max of a first Jacobian, as far as it is known.
      tried: (setting, seed) → its learning rates, and where each ended.
    """

    every: dict[str, Setting]
    options: RunOptions
    build: Callable[[tuple[int, ...]], tuple[Problem, Model]]
    samples: int
    largest: dict[tuple[int, tuple[int, ...]], float]
    tried: dict[tuple[str, int], list[dict[str, Any]]]


def make_bench(
    config: Config, every: dict[str, Setting], options: RunOptions, samples: int
) -> Bench:
    """A `Bench` on which nothing was trained yet."""
    module, _ = PROBLEMS[config.problem]
    options = dataclasses.replace(options, batch_size=None)

    @functools.cache
    def build(hidden: tuple[int, ...]) -> tuple[Problem, Model]:
        return module.build(module.Config(options=options, hidden=hidden))

    return Bench(every, options, build, samples, {}, {})


def fit(
    bench: Bench,
    setting: Setting,
    options: RunOptions,
    seed: int,
    learning_rate: float | None = None,
    **rest: Any,
) -> training.Fit:
    """Train a setting by one learning rate; `rest` is of `runner.train`."""
    problem, model = bench.build(setting.hidden)
    memory = setting.method.memory
    if learning_rate is not None:
        memory = (*memory, ("learning_rate", learning_rate))
    method = setting.method._replace(memory=memory)
    samples = bench.samples
    return runner.train(
        method, problem, model, options, seed=seed, num_samples=samples, **rest
    )


def rate_unit(bench: Bench, setting: Setting) -> tuple[float, float]:
    """η for c = 1, and the time to compile what tells; a cache holds it thereafter.

    σ_max is that of the first batch's Jacobian. An update of rate zero shows it, by the
    loop that trains.
    """
    if setting.power is None:
        return 1.0, 0.0
    compiling = 0.0
    which = (setting.method.batch_size, setting.hidden)
    if which not in bench.largest:
        once = dataclasses.replace(
            bench.options, steps=1, seconds=None, progress=False, resume=False
        )
        still = fit(bench, setting, once, once.seed, 0.0)
        compiling = still.compile_seconds
        largest = optax.tree.get(still.state.opt_state, "largest")
        bench.largest[which] = float(largest)
    scale = bench.largest[which] ** (setting.power + 1)
    return setting.method.batch_size / 2 / scale, compiling


def train(
    bench: Bench, name: str, seed: int, shown: str, directory: pathlib.Path
) -> training.Fit:
    """Train a setting by each of its rates, and keep the best by its train loss."""
    setting, options = bench.every[name], bench.options
    if not setting.rates:
        return fit(bench, setting, options, seed, name=shown, checkpoint_dir=directory)
    unit, compiling = rate_unit(bench, setting)
    ends: list[dict[str, Any]] = []
    fits = []
    bench.tried[name, seed] = ends
    for rate in setting.rates:
        one = fit(
            bench,
            setting,
            options,
            seed,
            rate * unit,
            name=f"{shown}, rate {rate:g}",
            checkpoint_dir=directory.with_name(f"{directory.name}-rate-{rate:g}"),
        )
        if one.status == "interrupted":
            return one
        fits.append(one)
        compiling += one.compile_seconds
        relative = {} if setting.power is None else {"rate": rate}
        last = one.history[-1]
        ends.append(
            relative
            | {"learning_rate": rate * unit, "status": one.status}
            | {key: last[key] for key in ("step", "train_loss", "test_loss")}
        )
    return fits[_best(ends)]._replace(compile_seconds=compiling)


def rates_of(bench: Bench, name: str, seed: int) -> dict[str, Any]:
    """The learning rates that were tried, and the one that was kept."""
    ends = bench.tried.get((name, seed), [])
    if not ends:
        return {}
    kept = ends[_best(ends)]
    named = ("rate", "learning_rate")
    return {key: kept[key] for key in named if key in kept} | {"rates": ends}


def _best(ends: list[dict[str, Any]]) -> int:
    """Which of them ended lowest, of those that did not diverge if there are any."""

    def rank(number: int) -> tuple[bool, float]:
        return ends[number]["status"] != "finished", ends[number]["train_loss"]

    return min(range(len(ends)), key=rank)


def run(config: Config = Config()) -> Trained:
    """Train every chosen setting, print the table, write results and figures."""
    every = settings(config)
    options = config.options
    options = dataclasses.replace(options, method=chosen(options.method, every))
    if options.seconds is None and options.steps is None:
        options = dataclasses.replace(options, seconds=5.0)
    training.Budget(steps=options.steps, seconds=options.seconds).check()
    for rates in (config.rates, config.near_rates):
        if not rates or min(rates) <= 0:
            raise ValueError(f"rates are {rates}; expected one or more, all > 0.")
    module, _ = PROBLEMS[config.problem]
    count = module.Config().samples if config.samples is None else config.samples
    for name in runner.chosen_methods(options.method, every):
        data.num_batches(np.zeros(count), every[name].method.batch_size)
    bench = make_bench(config, every, options, count)
    recorded = dataclasses.asdict(config) | {"samples": count}
    recorded.pop("options")
    problem, _ = bench.build(module.Config().hidden)
    trained = runner.repeat(
        "ablations",
        problem.name,
        every,
        functools.partial(train, bench),
        options,
        settings=recorded,
        finish=lambda name, seed, fit: rates_of(bench, name, seed),
        describe=describe,
        compared=compared,
    )
    if trained.params:
        rows = every["kappa_-0.5"].method.batch_size * problem.num_outputs
        figure = draw(every, trained.results, rows)
        if figure is not None:
            plots.save(figure, trained.out / "ablations.png")
    return trained


def describe(results: dict[str, Any]) -> str:
    """The budget, and a row a setting; medians where there are several seeds."""
    rows = [
        ["method", "rate c", "rate η", "updates", "seconds", "train loss", "test loss"]
    ]
    rows[0].append("")
    for name, entry in results["methods"].items():
        ends = runner.finals(entry)

        def median(key: str, ends=ends) -> float:
            return statistics.median(end[key] for end in ends)

        cells = [
            f"{median(key):{form}}" if all(key in end for end in ends) else "–"
            for key, form in (("rate", "g"), ("learning_rate", ".2e"))
        ]
        cells += [f"{median('step'):.0f}", f"{median('seconds'):.1f}"]
        cells += [f"{median(key):.2e}" for key in ("train_loss", "test_loss")]
        status = {end["status"] for end in ends} - {"finished"}
        rows.append([name, *cells, ", ".join(sorted(status))])
    note = f"each rate: {budget(results['config'])}; the lowest train loss is shown"
    return f"{note}\n{runner.aligned(rows)}"


def budget(config: dict[str, Any]) -> str:
    """What each training had, in words."""
    if config["steps"] is not None:
        return f"{config['steps']} updates"
    return f"{config['seconds']:g} s of training"


def titled(results: dict[str, Any]) -> str:
    """The problem and the budget, for the head of a figure."""
    return f"{results['title']}: {budget(results['config'])} for each rate"


def compared(results: dict[str, Any]) -> plots.Figure:
    """Loss against time of each exponent, beside Adam and the damped methods."""
    trained = results["methods"]
    powers = [name for name in trained if name.startswith("kappa_")]
    colors = dict(zip(powers, plots.power_colors(len(powers)), strict=True))
    colors |= {name: plots.COLORS[name] for name in REFERENCES}
    shown = {name: trained[name] for name in trained if name in colors} or trained
    run = results | {"methods": shown, "title": titled(results)}
    return plots.comparison({results["experiment"]: run}, colors=colors)


def losses_of(entry: dict[str, Any]) -> list[float]:
    """The last test loss of each seed; infinity where every rate diverged."""
    return [reached(end) for end in runner.finals(entry)]


def reached(end: dict[str, Any]) -> float:
    """The test loss of a training that did not diverge."""
    return math.inf if end["status"] == "diverged" else end["test_loss"]


def draw(
    every: dict[str, Setting], results: dict[str, Any], rows: int
) -> plots.Figure | None:
    """A panel a sweep, and how each exponent's loss depends on its rate.

    A sweep of a single value is none, and None is returned where there is no other.
    """
    trained = {name: every[name] for name in results["methods"] if name in every}
    sweeps = {}
    for sweep, label in SWEEPS.items():
        losses: dict[str, dict[float, list[float]]] = {}
        for name, setting in trained.items():
            if sweep in setting.at:
                of_kind = losses.setdefault(setting.kind, {})
                of_kind[setting.at[sweep]] = losses_of(results["methods"][name])
        if any(len(of_kind) > 1 for of_kind in losses.values()):
            sweeps[sweep] = plots.Sweep(
                label,
                losses,
                log=sweep != "kappa",
                floor=linalg.gram_rcond("float64", rows) if sweep == "rcond" else None,
            )
    rates: dict[float, dict[float, list[float]]] = {}
    for name, setting in trained.items():
        if "kappa" in setting.at and setting.power is not None:
            by_rate = rates.setdefault(setting.power, {})
            for final in runner.finals(results["methods"][name]):
                for end in final.get("rates", []):
                    by_rate.setdefault(end["rate"], []).append(reached(end))
    beside = {
        name: losses_of(results["methods"][name])
        for name in REFERENCES
        if name in trained
    }
    if not sweeps:
        return None
    return plots.ablations(sweeps, rates, beside, title=titled(results))
