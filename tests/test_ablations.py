"""One choice after another changed: what is compared is what is meant, and fairly."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxphys import cli, losses, optim, training
from jaxphys.experiments import ablations, runner
from jaxphys.experiments.runner import RunOptions

pytestmark = pytest.mark.x64


def outputs(params, x):
    return jnp.tanh(x @ params)


def updated(tx, opt_state=None):
    """A parameter matrix after two updates."""
    inputs = jax.random.normal(jax.random.key(0), (6, 3))
    targets = jax.random.normal(jax.random.key(1), (6, 2))
    state = training.init_state(jnp.ones((3, 2)) / 2, tx)
    state = state if opt_state is None else state._replace(opt_state=opt_state(state))
    step = jax.jit(training.make_train_step(outputs, losses.squared_error, tx))
    for _ in range(2):
        state, _ = step(state, (inputs, targets))
    return state.params


@pytest.mark.parametrize("power", [1.0, 0.0, -0.5, -1.0])
def test_a_step_of_numbers_in_memory_is_the_step_of_these_numbers(power):
    fixed = optax.chain(
        optim.scale_by_spectral(power=power, rcond=1e-3), optax.scale(-0.1)
    )
    memory = [("power", power), ("rcond", 1e-3), ("learning_rate", 0.1)]
    free = ablations._spectral(6)
    found = updated(free, lambda s: optim.set_memory(s.opt_state, **dict(memory)))
    np.testing.assert_allclose(found, updated(fixed), rtol=1e-8)


def test_spring_takes_its_numbers_from_memory():
    memory = [("damping", 1e-2), ("decay", 0.5)]
    free = ablations._spring(6)
    found = updated(free, lambda s: optim.set_memory(s.opt_state, **dict(memory)))
    fixed = optim.spring(damping=1e-2, decay=0.5)
    np.testing.assert_allclose(found, updated(fixed), rtol=1e-8)


def test_what_an_optimizer_does_not_remember_is_told():
    state = optax.sgd(0.1).init(jnp.ones(2))
    with pytest.raises(ValueError, match="no 'power' in its memory"):
        optim.set_memory(state, power=1.0)


@pytest.mark.parametrize("problem", ablations.PROBLEMS)
def test_every_sweep_passes_through_the_same_setting(problem):
    every = ablations.settings(ablations.Config(problem=problem))
    half = every["kappa_-0.5"]
    assert {"kappa", "rcond", "batch"} <= set(half.at)
    for setting in every.values():
        if setting.kind == "hig" and "kappa" not in setting.at:
            changed = setting._replace(at=half.at, rates=half.rates)
            same = [a == b for a, b in zip(changed, half, strict=True)]
            assert same.count(False) == 1
            assert setting.power == -0.5
    assert {"damping", "decay"} == set(every["spring"].at)


def test_the_name_of_a_sweep_is_all_of_its_settings():
    every = ablations.settings()
    assert ablations.chosen(("decay", "adam"), every) == (
        "spring",
        "spring_decay_0",
        "spring_decay_0.5",
        "spring_decay_0.99",
        "adam",
    )
    with pytest.raises(ValueError, match="Did you mean 'kappa'"):
        ablations.chosen(("kapa",), every)


def test_a_rate_of_one_is_the_true_step_of_gauss_newton():
    every = ablations.settings()
    bench = ablations.make_bench(ablations.Config(), every, RunOptions(), 4096)
    for name in ("kappa_1", "kappa_-1"):
        setting = every[name]
        bench.largest[setting.method.batch_size, setting.hidden] = 10.0
    assert ablations.rate_unit(bench, every["kappa_-1"]) == (16.0, 0.0)
    assert ablations.rate_unit(bench, every["kappa_1"]) == (0.16, 0.0)


def test_the_best_rate_did_not_diverge():
    ends = [
        {"status": "diverged", "train_loss": 0.1},
        {"status": "finished", "train_loss": 0.3},
        {"status": "finished", "train_loss": 0.2},
    ]
    assert ablations._best(ends) == 2
    assert ablations._best(ends[:1]) == 0


EXPONENTS = ["--method", "kappa", "--powers", 1, -1, "--rates", 0.3, 1]


def run(out, *more):
    arguments = ["run", "ablations", "--out", out, "--samples", 8, "--no-progress"]
    arguments += ["--problem", "poisson", "--batch-size", 2, *more]
    assert cli.main([str(x) for x in arguments]) == 0
    return json.loads((out / "results.json").read_text())


def test_exponents_share_a_compilation(tmp_path, capsys):
    out = tmp_path / "run"
    results = run(out, *EXPONENTS, "--steps", 2)
    assert list(results["methods"]) == ["kappa_1", "kappa_-0.5", "kappa_-1"]
    first, *others = results["methods"].values()
    assert all(
        each["compile_seconds"] < 0.3 * first["compile_seconds"] for each in others
    )
    for entry in (first, *others):
        final = entry["final"]
        assert [end["rate"] for end in final["rates"]] == [0.3, 1]
        assert final["train_loss"] == min(end["train_loss"] for end in final["rates"])
    assert "each rate: 2 updates" in capsys.readouterr().out
    assert {p.name for p in out.glob("*.png")} == {"ablations.png", "comparison.png"}


@pytest.mark.long
def test_a_run_goes_on_with_more_updates_and_other_sweeps(tmp_path):
    out = tmp_path / "run"
    first = run(out, *EXPONENTS, "--steps", 2)["methods"]
    assert [h["step"] for h in first["kappa_1"]["history"]] == [0, 1, 2]
    then = run(out, "--method", "spring", *EXPONENTS[1:], "--steps", 3, "--resume")[
        "methods"
    ]
    assert [h["step"] for h in then["kappa_1"]["history"]] == [0, 1, 2, 3]
    assert list(then) == [*first, "spring"]


@pytest.mark.long
def test_every_setting_runs(tmp_path):
    more = ["--steps", 2, "--batches", 2, 4, "--widths", 5]
    results = run(tmp_path / "run", "--method", "all", *more)
    for entry in results["methods"].values():
        assert np.isfinite(entry["final"]["test_loss"])
    config = ablations.Config(
        RunOptions(batch_size=2), "poisson", batches=(2, 4), widths=(5,)
    )
    assert set(results["methods"]) == set(ablations.settings(config))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"problem": "oscilators"}, "Did you mean 'oscillators'"),
        ({"rates": ()}, "expected one or more"),
        ({"near_rates": (-1.0,)}, "all > 0"),
        ({"batches": (24,)}, "does not divide"),
        ({"samples": 0}, "larger than the data"),
    ],
)
def test_what_cannot_be_meant_is_told_before_anything_is_written(
    change, message, tmp_path
):
    options = RunOptions(out=tmp_path / "run", progress=False)
    config = dataclasses.replace(ablations.Config(options=options), **change)
    with pytest.raises(ValueError, match=message):
        ablations.run(config)
    assert not (tmp_path / "run").exists()


@pytest.mark.long
def test_half_inverse_gradients_beat_gradient_descent_in_as_many_updates(tmp_path):
    """Each by the best of its rates; their updates take the same time."""
    options = RunOptions(
        method=("kappa_1", "kappa_-0.5"), steps=500, out=tmp_path, progress=False
    )
    config = ablations.Config(options=options, rates=(0.3, 1.0, 2.0))
    found = ablations.run(config).results["methods"]
    gradient, half = (
        found[name]["final"]["test_loss"] for name in ("kappa_1", "kappa_-0.5")
    )
    assert gradient < 1e-2
    assert half < 1e-3 * gradient
