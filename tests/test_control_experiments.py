"""The experiments that train through a simulator, in small sizes and by all methods."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxphys import cli, experiments, losses, problems, training
from jaxphys.experiments import nonlinear_oscillators, quantum_dipole, runner
from jaxphys.experiments.runner import RunOptions

pytestmark = pytest.mark.x64

SMALL = {
    "nonlinear_oscillators": ["--control-steps", "24", "--dt", "0.25"],
    "quantum_dipole": ["--points", "6", "--time-steps", "24", "--controls", "12"],
    "poisson": ["--size", "4", "--hidden", "16"],
    "waves": ["--scale", "0.1"],
    "rotated_sine": ["--hidden", "8", "--conditioning", "2"],
    "exponential": ["--hidden", "8"],
    "heat": ["--size", "8", "--channels", "2"],
}


def run(name, out, *more):
    arguments = ["run", name, "--out", out, "--samples", 32, "--batch-size", 16]
    arguments += ["--steps", 2, "--no-progress", *SMALL[name], *more]
    assert cli.main([str(x) for x in arguments]) == 0
    return json.loads((out / "results.json").read_text())


def check(results, out, methods):
    assert list(results["methods"]) == methods
    for entry in results["methods"].values():
        assert entry["final"]["status"] == "finished"
        assert np.isfinite(entry["final"]["test_loss"])
    assert (out / "comparison.png").exists()
    assert len(list(out.glob("*.png"))) == 2


@pytest.mark.parametrize("name", SMALL)
def test_an_experiment_runs_by_two_methods(name, tmp_path):
    methods = ["adam", "levenberg_marquardt"]
    results = run(name, tmp_path / "run", "--method", *methods)
    check(results, tmp_path / "run", methods)


@pytest.mark.long
@pytest.mark.parametrize("name", SMALL)
def test_an_experiment_runs_by_every_method(name, tmp_path):
    results = run(name, tmp_path / "run", "--method", "all")
    check(results, tmp_path / "run", list(experiments.get(name).METHODS))


def test_published_settings_are_the_defaults():
    problem, model = nonlinear_oscillators.build()
    params = model.init(jax.random.key(0))
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == 2956
    # Left alone, the oscillators are some 0.8 away.
    states, targets = problem.sample(jax.random.key(1), 4096)
    ends = jax.vmap(problem.simulate, (None, 0))(jnp.zeros(96, jnp.float32), states)
    missed = jnp.mean(jax.vmap(losses.squared_error)(ends, targets))
    assert 0.7 < missed < 0.9
    problem, model = quantum_dipole.build()
    assert (problem.num_inputs, problem.num_controls) == (28, 384)


def test_the_residual_lets_levenberg_marquardt_lower_the_infidelity():
    config = quantum_dipole.Config(
        options=RunOptions(dtype="float64", steps=30, progress=False),
        points=6,
        time_steps=96,
        controls=48,
        hidden=(16,),
        samples=32,
    )
    problem, model = quantum_dipole.build(config)
    method = quantum_dipole.METHODS["levenberg_marquardt"]
    fit = runner.train(method, problem, model, config.options, seed=0, num_samples=32)
    first, last = fit.history[0]["train_loss"], fit.history[-1]["train_loss"]
    assert 0.9 < first <= 1.0
    assert last < 0.1 * first


def test_a_problem_without_a_residual_is_told():
    with pytest.raises(ValueError, match="has no residual"):
        problems.residuals(problems.poisson(4), model=None)


def test_the_size_of_a_residual_is_its_loss():
    problem, model = quantum_dipole.build(
        quantum_dipole.Config(points=6, time_steps=12, controls=12, hidden=(8,))
    )
    params = model.init(jax.random.key(0))
    both = problem.sample(jax.random.key(1), 5)
    evaluate = training.make_evaluate(
        problems.residuals(problem, model), losses.squared_size, {"a": (both, both[1])}
    )
    direct = training.make_evaluate(
        problems.outputs(problem, model), problem.objective, {"a": both}
    )
    np.testing.assert_allclose(evaluate(params)["a"], direct(params)["a"], rtol=1e-4)
