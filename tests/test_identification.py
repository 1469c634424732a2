"""Constants from motion: what noise leaves of them, and what no data holds."""

import dataclasses
import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from PIL import Image

from jaxphys import experiments, optim, problems, systems, training
from jaxphys.experiments.control import identification as experiment
from jaxphys.experiments.control.identification import CONSTANTS, Settings, release
from jaxphys.experiments.control.rows import MILESTONES
from jaxphys.problems.identification import guess, standard_errors, truth
from jaxphys.types import TangentState

needs_x64 = pytest.mark.x64

DTYPE = jnp.zeros(()).dtype
SETTINGS = Settings(times=40)


pytestmark = pytest.mark.xdist_group("identification")


@functools.cache
def built():
    problem, model = experiment.build(SETTINGS, DTYPE)
    return problem, model, problems.outputs(problem, model)


@functools.cache
def actual():
    return truth(experiment.pendulum(SETTINGS), list(CONSTANTS), release(), DTYPE)


@functools.cache
def exact_motions():
    return jax.jit(jax.vmap(built()[0].simulate, (None, 0)))


@functools.cache
def derivatives():
    """(J of one motion, standard errors of four for σ = 1), by four torques."""
    outputs = built()[2]

    def both(torques):
        jacobian = optim.linearise(outputs, actual(), torques).jacobian()
        return (
            jacobian[: outputs(actual(), torques[0]).size],
            standard_errors(outputs, actual(), torques, noise=1.0),
        )

    return jax.jit(both)


def expected_errors(torques, noise):
    return noise * derivatives()(torques)[1]


@functools.cache
def trainer(method):
    """A trainer of all motions at once, compiled once for all seeds."""
    problem, _, outputs = built()
    tx = {
        "adam": optax.adam(5e-2),
        "levenberg_marquardt": optim.levenberg_marquardt(),
    }[method]
    step = training.make_train_step(outputs, problem.objective, tx)
    return tx, training.Trainer(step, SETTINGS.motions)


def data_of(seed, *, noise):
    torques, measured = built()[0].sample(jax.random.key(seed), SETTINGS.motions)
    exact = exact_motions()(actual(), torques)
    return torques, exact + noise / SETTINGS.noise * (measured - exact)


def fitted(method, seed, data, steps):
    tx, compiled = trainer(method)
    start = built()[1].init(jax.random.key(seed))
    assert np.allclose(np.abs(np.expm1((start - actual())[:4])), 0.3)
    result = compiled.fit(
        training.init_state(start, tx),
        data,
        training.Budget(steps=steps),
        progress=False,
    )
    assert result.status == "finished"
    return result.state.params


@needs_x64
@pytest.mark.long
@pytest.mark.parametrize("seed", range(3))
def test_motion_without_noise_gives_the_constants_exactly(seed):
    found = fitted("levenberg_marquardt", seed, data_of(seed, noise=0.0), steps=40)
    np.testing.assert_allclose(found, actual(), rtol=0, atol=1e-6)


@pytest.mark.long
@needs_x64
@pytest.mark.parametrize("seed", range(2))
def test_noise_leaves_what_gauss_and_newton_say(seed):
    torques, measured = data_of(seed, noise=0.01)
    found = fitted("levenberg_marquardt", seed, (torques, measured), steps=40)
    expected = expected_errors(torques, 0.01)
    assert np.all(expected[:4] < 0.01)
    assert np.all(np.abs(found - actual()) < 4 * expected)


@pytest.mark.measured
@needs_x64
def test_errors_scatter_as_their_standard_errors_foretell():
    """Standardized errors have variance one, within four of its standard errors."""
    ratios = []
    for seed in range(8):
        torques, measured = data_of(100 + seed, noise=0.001)
        found = fitted("levenberg_marquardt", 0, (torques, measured), steps=25)
        ratios.append((found - actual()) / expected_errors(torques, 0.001))
    squares = np.square(ratios)
    # The eight errors of one fit are correlated; the fits are not.
    assert abs(np.mean(squares) - 1) < 4 * np.sqrt(2 / 8)


@pytest.mark.measured
@needs_x64
def test_adam_comes_to_the_same_constants():
    data = data_of(0, noise=0.01)
    second_order = fitted("levenberg_marquardt", 0, data, steps=40)
    found = fitted("adam", 0, data, steps=800)
    apart = np.abs(found - second_order) / expected_errors(data[0], 0.01)
    assert np.max(apart) < 1


@pytest.mark.long
def test_without_a_torque_only_the_ratio_of_the_masses_is_in_the_data():
    """Along (1, 1) of (log m₁, log m₂) a free motion has no derivative."""
    torques, _ = built()[0].sample(jax.random.key(0), SETTINGS.motions)
    driven, determined = derivatives()(torques)
    free, undetermined = derivatives()(jnp.zeros_like(torques))
    both_masses = jnp.zeros(8, DTYPE).at[:2].set(1)
    small = 200 * jnp.finfo(DTYPE).eps
    assert jnp.linalg.norm(free @ both_masses) < small * jnp.linalg.norm(free)
    assert jnp.linalg.norm(driven @ both_masses) > 0.05 * jnp.linalg.norm(driven[:, 0])
    values = [np.linalg.svd(x, compute_uv=False) for x in (free, driven)]
    assert values[0][-1] < small * values[0][0]
    assert values[0][-2] > 1e-3 * values[0][0]
    assert values[1][-1] > 1e-3 * values[1][0]
    assert not np.any(undetermined[:2] < 1e3 * determined[:2])
    assert np.all(undetermined[2:4] < 10 * determined[2:4])


def test_a_known_force_and_friction_are_in_the_equations_of_motion():
    """A plane pendulum by hand: m l² θ̈ = −m g l sin θ + u, from θ near a rest."""
    pendulum = systems.pendulum(mass=0.7, length=1.2, gravity=9.8)
    start = TangentState(jnp.array([0.4]), jnp.array([0.3]))
    dtype = jnp.zeros(()).dtype
    problem = problems.identification(
        pendulum, ["mass", "length"], start, num_steps=2, dt=1e-2, dtype=dtype
    )
    unknowns = truth(pendulum, ["mass", "length"], start, dtype)
    angles = problem.simulate(unknowns, jnp.full(2, 5.0, dtype))
    second = (angles[2] - 2 * angles[1] + angles[0]) / 1e-4
    expected = -9.8 / 1.2 * np.sin(angles[1]) + 5.0 / (0.7 * 1.2**2)
    assert second == pytest.approx(expected, rel=1e-3 if dtype == jnp.float64 else 0.05)


def test_the_guess_is_off_by_what_was_asked_on_either_side():
    model = guess(jnp.zeros(9), 6, relative_error=0.25, release_error=0.0)
    starts = jax.vmap(model.init)(jax.random.split(jax.random.key(0), 20))
    off = np.expm1(starts[:, :6])
    np.testing.assert_allclose(np.abs(off), 0.25, rtol=1e-5)
    assert 0.2 < np.mean(off > 0) < 0.8
    assert np.all(starts[:, 6:] == 0)


@needs_x64
@pytest.mark.long
def test_a_run_leaves_what_it_found_in_results_table_and_figures(tmp_path, capsys):
    out = tmp_path / "run"
    options = dataclasses.replace(
        experiment.EXPERIMENT.options,
        method=("adam",),
        steps=500,
        out=out,
        progress=False,
    )
    experiments.run("identification", options, times=40)
    printed = capsys.readouterr().out
    for word in ("length2 [m]", "recovered", "std. error", "adam"):
        assert word in printed
    results = json.loads((out / "results.json").read_text())
    assert results["config"]["dtype"] == "float64"
    record = results["constants"]["adam"]
    assert 1 <= record["reached"]["step"] < 500
    for name, x in record["constants"].items():
        assert abs(x["start"] / x["true"] - 1) == pytest.approx(0.3)
        assert x["recovered"] == pytest.approx(x["true"] * (1 + x["relative_error"]))
        assert abs(x["relative_error"]) < 4 * x["standard_error"], name
        assert f"{name}_error" in results["methods"]["adam"]["history"][0]
    for name in ("comparison.png", "motion.png", "constants.png"):
        with Image.open(out / name) as image:
            assert image.size[0] > 1000
            assert len(np.unique(np.asarray(image.convert("L")))) > 50


@needs_x64
@pytest.mark.parametrize(
    ("settings", "options", "words"),
    [
        ({"mass1": -1.0}, {}, "mass1 is -1.0"),
        ({"length2": 0.0}, {}, "length2 is 0.0"),
        ({"noise": -0.1}, {}, "noise is -0.1"),
        ({"noise": np.nan}, {}, "noise is nan"),
        ({"duration": 0.0}, {}, "duration is 0.0"),
        ({"motions": 0}, {}, "motions is 0"),
        ({"times": 0}, {}, "times is 0"),
        ({"torque": np.inf}, {}, "amplitude is inf"),
        ({"start_error": 1.0}, {}, "relative_error is 1.0"),
        ({}, {"method": ("adams",)}, "Did you mean 'adam'"),
        ({}, {"batch_size": 3}, "does not divide"),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, dict) else "",
)
def test_bad_requests_are_told_before_anything_is_made(
    settings, options, words, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    asked = dataclasses.replace(experiment.EXPERIMENT.options, **options)
    with pytest.raises(ValueError, match=words):
        experiments.run("identification", asked, **settings)
    assert list(tmp_path.iterdir()) == []


def test_milestones_are_multiples_of_what_noise_leaves():
    """Without noise they are those of the other experiments."""
    noisy, clean = (
        experiment.EXPERIMENT.of("milestones", Settings(noise=x)) for x in (0.1, 0.0)
    )
    np.testing.assert_allclose(noisy, (1.0, 0.1, 0.012))
    assert clean == MILESTONES


_PENDULUM = systems.double_pendulum()
MASSLESS = _PENDULUM._replace(params=_PENDULUM.params._replace(mass1=0.0))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"unknown": ["mass3"]}, "Did you mean 'mass"),
        ({"unknown": []}, "nothing to identify"),
        ({"system": MASSLESS}, "mass1 is 0.0"),
        ({"system": systems.double_pendulum()._replace(lagrangian=None)}, "has no Lag"),
        ({"release": TangentState(jnp.zeros(1), jnp.zeros(1))}, "needs both of shape"),
        ({"dt": -0.1}, "dt is -0.1"),
        ({"num_steps": 0}, "num_steps is 0"),
    ],
    ids=["name", "nothing", "zero", "lagrangian", "release", "dt", "steps"],
)
def test_a_problem_that_cannot_be_meant_is_told(change, words):
    good = {
        "system": systems.double_pendulum(),
        "unknown": ["mass1"],
        "release": TangentState(jnp.zeros(2), jnp.zeros(2)),
    }
    with pytest.raises(ValueError, match=words):
        problems.identification(**good | change)
    problem = problems.identification(**good)
    with pytest.raises(ValueError, match="control has shape"):
        problem.simulate(jnp.zeros(3), jnp.zeros(100))
    with pytest.raises(ValueError, match="release_error is -1"):
        guess(jnp.zeros(3), 1, release_error=-1)
