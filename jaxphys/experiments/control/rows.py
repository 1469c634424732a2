"""What the experiments that train through a simulator have in common.

A network and a simulator are trained by every method from the same first weights, on
the same data; `usual_rows` has the methods of the published comparisons.
"""

import functools
from collections.abc import Callable, Collection
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxphys import data, models, optim, problems, training
from jaxphys.experiments.experiment import Experiment, Keys, Row, Samples
from jaxphys.learning import Recipe
from jaxphys.types import Array, Model, Problem, required

__all__ = [
    "MILESTONES",
    "Steering",
    "control_error",
    "row",
    "searched",
    "steering",
    "stepped",
    "usual_rows",
]

#: The test losses to which the table gives the training time.
MILESTONES = (1e-4, 1e-6, 1e-8)

#: Samples on which `control_error` judges.
_JUDGED = 1024


class Steering(NamedTuple):
    """A simulator, and the network that is trained through it."""

    problem: Problem
    model: Model

    @classmethod
    def perceptron(
        cls, problem: Problem, settings: Any, dtype: jnp.dtype, **options: Any
    ) -> "Steering":
        """The perceptron that reads a simulator's inputs and gives its controls.

        Args:
          problem: the simulator.
          settings: with `hidden`, the units of each hidden layer.
          dtype: of the weights.
          options: of `models.mlp`.
        """
        sizes = (problem.num_inputs, *settings.hidden, problem.num_controls)
        return cls(problem, models.mlp(sizes, dtype=dtype, **options))


_Build = Callable[[Any, jnp.dtype], Steering]
_Proxy = Callable[[Problem, int], Callable]
_Make = Callable[[int], optax.GradientTransformation]


def stepped(step_size: Callable[[int], float]) -> _Proxy:
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


def row(
    build: _Build,
    optimizer: str,
    batch_size: int,
    make: _Make,
    *,
    model: str = "mlp",
    residual: bool = False,
    proxy: _Proxy | None = None,
    starts: int = 1,
    batch_growth: tuple[int, ...] = (),
) -> Row:
    """One method of a comparison.

    Args:
      build: the experiment's simulator and network.
      optimizer, model: the two names of the row.
      batch_size: samples an update.
      make: `make(batch_size) -> optax transformation`.
      residual: whether the problem's residual is what is squared, for methods that read
        second derivatives off an objective.
      proxy: `proxy(problem, batch_size) -> objective`, of methods that train the
        network on an objective of its own.
      starts: how many networks are trained side by side.
      batch_growth: smaller batches to begin with.
    """

    def target(built: Steering, recipe: Recipe) -> problems.Target:
        own = proxy and proxy(built.problem, recipe.batch_size or batch_size)
        return problems.steered(*built, residual=residual, proxy=own)

    recipe = Recipe(
        optimizer=make,
        batch_size=batch_size,
        batch_growth=batch_growth,
        skips=0,
        starts=starts,
    )
    return Row(
        model=model,
        optimizer=optimizer,
        build=build,
        target=target,
        recipe=lambda settings: recipe,
    )


def usual_rows(
    build: _Build,
    adam: tuple[int, float],
    hig: tuple[int, float, float],
    damped: int,
    *,
    model: str = "mlp",
    curvature: float = 2.0,
    min_damping: float = 1e-12,
    small: int | None = None,
    truncated: tuple[int, float] | None = None,
    left_out: Collection[str] = (),
) -> dict[str, Row]:
    """Every method with an experiment's own batch sizes and rates.

    Args:
      build, model: the experiment's, and the name of its network.
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
      left_out: methods that were seen to end no better here than they began.
    """
    batch, rate = adam
    few, eta, rcond = hig
    rows: dict[str, Row] = {}

    def add(optimizer: str, size: int, make: _Make, **options: Any) -> None:
        rows[optimizer] = row(build, optimizer, size, make, model=model, **options)

    def true_step(rcond: float) -> _Make:
        return lambda b: optim.gauss_newton(b / curvature, rcond=rcond)

    add("adam", batch, lambda b: optax.adam(rate))
    add("sip", batch, lambda b: optax.adam(rate), proxy=searched)
    add("hig", few, lambda b: optim.hig(eta, rcond=rcond))
    if small is not None:
        add("hig_small", small, lambda b: optim.hig(eta, rcond=rcond))
    published = functools.partial(optim.gauss_newton, eta, rcond=rcond, weighted=False)
    add("gauss_newton", few, lambda b: published())
    add("gauss_newton_true_step", few, true_step(rcond), residual=True)
    if truncated is not None:
        size, cut = truncated
        add("gauss_newton_truncated", size, true_step(cut), residual=True)
    add(
        "levenberg_marquardt",
        damped,
        lambda b: optim.levenberg_marquardt(min_damping=min_damping),
        residual=True,
    )
    add("spring", damped, lambda b: optim.spring(), residual=True)
    return {name: made for name, made in rows.items() if name not in left_out}


def steering(
    name: str,
    summary: str,
    settings: type,
    build: _Build,
    rows: Any,
    *,
    measured: tuple[str, ...] = (),
    **rest: Any,
) -> Experiment:
    """The `Experiment` of a simulator: fresh training and test sets from each seed.

    Args:
      name, summary, settings, rows: as in `Experiment`.
      build: `build(settings, dtype) -> Steering`; the settings have `samples`, the size
        of the training set and of the test set.
      measured: numbers of the history that the table shows.
      rest: further fields of `Experiment`.
    """

    def title(settings: Any) -> str:
        return build(settings, jnp.zeros(()).dtype).problem.name

    def sample(settings: Any, keys: Keys, dtype: jnp.dtype) -> Samples:
        problem, count = build(settings, dtype).problem, settings.samples
        if count < 1:
            raise ValueError(f"samples is {count}; expected a number ≥ 1.")
        train, test = (problem.sample(key, count) for key in (keys.train, keys.test))
        if problem.check is not None:
            problem.check(train[1])
        return Samples(train, test, test)

    columns = {"train_loss": "train loss", "test_loss": "test loss"}
    columns |= {name: name.replace("_", " ") for name in measured}
    usual: dict[str, Any] = {
        "milestones": MILESTONES,
        "seconds": 15.0,
        "keys": Keys.folded,
    }
    fields = usual | {"columns": columns} | rest
    return Experiment(
        name=name,
        summary=summary,
        title=title,
        settings=settings,
        sample=sample,
        rows=rows,
        check=_check_batches,
        **fields,
    )


def _check_batches(samples: Samples, recipe: Recipe) -> None:
    """A ValueError where the training set is not whole batches."""
    data.num_batches(samples.train, recipe.batch_size or 1)


def control_error(size: Callable[[Array], Array]) -> Callable:
    """How far controls are from solutions, which losses in y may hardly show.

    Args:
      size: of u − P⁻¹(y*; u), the way to the nearest solution, (d,) → scalar.

    Returns:
      A monitor of an `Experiment`: `{"control_error": mean size}` on fresh samples, of
      a problem that has an inverse.
    """

    def monitor(settings: Any, built: Steering, keys: Keys) -> Callable:
        problem, model = built
        invert = required(problem, "invert")

        def missed(control: Array, both: tuple[Array, Array]) -> Array:
            return size(control - invert(control, *both))

        key = jax.random.fold_in(jax.random.key(keys.seed), 5)
        both = problem.sample(key, _JUDGED)
        evaluate = training.make_evaluate(model.apply, missed)
        return lambda params: evaluate(params, {"control_error": (both[0], both)})

    return monitor
