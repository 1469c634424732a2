"""Published numbers, and what the toolkit promises beyond them."""

import jax
import pytest

from jaxphys import optim, problems, training
from jaxphys.experiments import oscillators
from jaxphys.experiments.runner import RunOptions

pytestmark = [pytest.mark.long, pytest.mark.x64]


def start(dtype, seed):
    config = oscillators.Config(options=RunOptions(dtype=dtype))
    problem, model = oscillators.build(config)
    outputs = problems.outputs(problem, model)
    key = jax.random.key(seed)
    train, test = (problem.sample(jax.random.fold_in(key, i), 4096) for i in (1, 2))
    evaluate = training.make_evaluate(
        outputs, problem.objective, {"train_loss": train, "test_loss": test}
    )
    return problem, outputs, model.init(jax.random.fold_in(key, 0)), train, evaluate


@pytest.fixture(scope="module")
def hig_step():
    problem, outputs, *_ = start("float32", 0)
    tx = optim.hig(1.0, rcond=1e-10)
    return tx, training.make_train_step(outputs, problem.objective, tx)


@pytest.mark.parametrize("seed", range(5))
def test_hig_reaches_the_published_losses_by_epochs(seed, hig_step):
    """Published: 5.4e-5, 1.1e-5 and 1.2e-6 after 1, 2 and 4 epochs in stored order."""
    tx, step = hig_step
    _, _, params, train, evaluate = start("float32", seed)
    result = training.fit(
        step,
        training.init_state(params, tx),
        train,
        batch_size=32,
        epochs=4,
        evaluate=evaluate,
        progress=False,
    )
    looks = {h["epoch"]: h for h in result.history}
    for epoch, bound in ((1, 2e-4), (2, 3e-5), (4, 5e-6)):
        assert looks[epoch]["train_loss"] <= bound
        assert looks[epoch]["test_loss"] <= 2 * looks[epoch]["train_loss"]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_levenberg_marquardt_reaches_one_in_a_billion_on_fresh_data(dtype):
    """By updates, not by the clock: 80 epochs, some 6 s on two cores."""
    problem, outputs, params, train, evaluate = start(dtype, 0)
    tx = optim.levenberg_marquardt()
    step = training.make_train_step(outputs, problem.objective, tx)
    result = training.fit(
        step,
        training.init_state(params, tx),
        train,
        batch_size=32,
        epochs=80,
        key=jax.random.key(3),
        evaluate=evaluate,
        progress=False,
    )
    best = min(h["test_loss"] for h in result.history)
    assert best <= 1e-9
    assert result.history[-1]["test_loss"] <= 2e-9
