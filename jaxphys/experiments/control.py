"""What the experiments that train through a simulator have in common."""

import dataclasses
import pathlib
from collections.abc import Callable
from typing import Any

import jax
import optax

from jaxphys import optim, plots, training
from jaxphys.experiments import runner
from jaxphys.experiments.runner import Method, Trained
from jaxphys.types import Array, Model, Problem, PyTree

#: `draw(config, model, params, best) -> figures`, of methods' parameters and the best.
Draw = Callable[[Any, Model, dict[str, PyTree], str], dict[str, plots.Figure]]


def proxy(step_size: Callable[[int], float]) -> Callable[[Problem, int], Callable]:
    """Scale-invariant physics by the first-order inverse, η a function of b."""

    def objective(problem: Problem, batch_size: int) -> Callable:
        eta = step_size(batch_size)
        return optim.sip(problem.simulate, problem.objective, step_size=eta)

    return objective


def searched(problem: Problem, batch_size: int) -> Callable:
    """Scale-invariant physics by the problem's own inverse, or a search for one."""
    del batch_size
    invert = problem.invert
    if invert is None:
        invert = optim.local_inverse(problem.simulate, residual=problem.residual)
    return optim.sip(problem.simulate, problem.objective, invert=invert)


def usual(
    adam: tuple[int, float],
    hig: tuple[int, float, float],
    damped: int,
    *,
    curvature: float = 2.0,
    min_damping: float = 1e-12,
    small: int | None = None,
    truncated: tuple[int, float] | None = None,
) -> dict[str, Method]:
    """Every method with an experiment's own batch sizes and rates.

    Args:
      adam: batch size and learning rate of Adam, by itself and on SIP's proxy.
      hig: batch size, learning rate and rcond of HIG and of Gauss–Newton.
      damped: batch size of Levenberg–Marquardt and SPRING.
      curvature: c of the objective, 2 for squares and 1 for half squares; the true step
        of Gauss–Newton is b/c for the mean over a batch of b.
      min_damping: of Levenberg–Marquardt. A network that has more parameters than its
        batches have outputs fits each of them as closely as this lets it.
      small: a batch size at which HIG is compared besides, with the same rate: its
        eigenvectors cost b³.
      truncated: batch size and rcond at which the true step of Gauss–Newton is compared
        besides, where a pseudo-inverse that keeps all it resolves steps too far.
    """
    batch, rate = adam
    few, eta, rcond = hig
    half_inverse = Method(few, lambda b: optim.hig(eta, rcond=rcond))

    def true_step(batch_size: int, rcond: float) -> Method:
        return Method(
            batch_size,
            lambda b: optim.gauss_newton(b / curvature, rcond=rcond),
            residual=True,
        )

    smaller, cut = {}, {}
    if small is not None:
        smaller = {"hig_small": half_inverse._replace(batch_size=small)}
    if truncated is not None:
        cut = {"gauss_newton_truncated": true_step(*truncated)}
    return {
        "adam": Method(batch, lambda b: optax.adam(rate)),
        "sip": Method(batch, lambda b: optax.adam(rate), searched),
        "hig": half_inverse,
        **smaller,
        "gauss_newton": Method(few, lambda b: optim.gauss_newton(eta, rcond=rcond)),
        "gauss_newton_true_step": true_step(few, rcond),
        **cut,
        "levenberg_marquardt": Method(
            damped,
            lambda b: optim.levenberg_marquardt(min_damping=min_damping),
            residual=True,
        ),
        "spring": Method(damped, lambda b: optim.spring(), residual=True),
    }


#: Samples on which `control_error` judges.
_JUDGED = 1024


def control_error(
    built: tuple[Problem, Model], size: Callable[[Array], Array], seed: int
) -> Callable[[PyTree], dict[str, Array]]:
    """How far controls are from solutions, which losses in y may hardly show.

    Args:
      built: a problem that has an inverse, and its network.
      size: of u − P⁻¹(y*; u), the way to the nearest solution, (d,) → scalar.
      seed: of the run; the samples are fresh ones.

    Returns:
      `monitor(params) -> {"control_error": mean size}`.
    """
    problem, model = built
    invert = problem.invert
    if invert is None:
        raise ValueError(f"{problem.name} has no inverse to tell solutions by.")

    def missed(control: Array, both: tuple[Array, Array]) -> Array:
        return size(control - invert(control, *both))

    key = jax.random.fold_in(jax.random.key(seed), 5)
    both = problem.sample(key, _JUDGED)
    sets = {"control_error": (both[0], both)}
    return training.make_evaluate(model.apply, missed, sets)


def run(
    name: str,
    built: tuple[Problem, Model],
    methods: dict[str, Method],
    config: Any,
    draw: Draw,
    **rest: Any,
) -> Trained:
    """Train every chosen method, print the table, write results and figures.

    Args:
      name: of the experiment.
      built: its problem and network.
      methods: name → `Method`.
      config: its `options` and `samples`, and whatever else is to be recorded.
      draw: the experiment's own figures.
      rest: of `runner.compare`.
    """
    problem, model = built
    settings = dataclasses.asdict(config)
    settings.pop("options")
    trained = runner.compare(
        name,
        problem,
        model,
        methods,
        config.options,
        settings=settings,
        num_samples=config.samples,
        **rest,
    )
    if trained.params:
        finals = {
            name: trained.results["methods"][name]["final"] for name in trained.params
        }
        best = min(finals, key=lambda name: finals[name]["test_loss"])
        _save(draw(config, model, trained.params, best), trained.out)
    return trained


def _save(figures: dict[str, plots.Figure], out: pathlib.Path) -> None:
    for name, figure in figures.items():
        plots.save(figure, out / f"{name}.png")
