"""The published experiments of Hamiltonian networks: they run, and come out."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from fast_sizes import fast_size
from PIL import Image

from jaxphys import data, experiments, learning, metrics, models, systems, trees
from jaxphys.experiments import RunOptions, measures, record
from jaxphys.experiments.experiment import Keys, Samples
from jaxphys.experiments.measures import Judge
from jaxphys.experiments.motion import (
    damped_spring,
    driven_pendulum,
    hamiltonian,
    mass_spring,
    pendulum_torque,
    seed_spring,
)
from jaxphys.motion import Motion, of_system
from jaxphys.types import PhaseState

pytestmark = pytest.mark.x64

NAMES = [
    "mass_spring",
    "pendulum",
    "two_body",
    "three_body",
    "seed_spring",
    "damped_spring",
    "pendulum_torque",
    "pendulum_chain",
]


def run(name, out, *, settings=(), **options):
    asked = RunOptions(out=out, progress=False, **options)
    return experiments.run(name, asked, **dict(settings))


def finals(done):
    return {name: entry["final"] for name, entry in done.results["methods"].items()}


def samples(experiment, seed=0, **settings):
    made = experiment.settings(**settings)
    return experiment.sample(made, experiment.keys(seed), jnp.dtype("float64"))


def is_drawn(path):
    with Image.open(path) as image:
        return len(np.unique(np.asarray(image.convert("L")))) > 50


@pytest.fixture(scope="module")
def short_run(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "spring"
    settings = {"fast": True, "hidden": (8,)}
    return run("mass_spring", out, settings=settings, steps=30, seeds=2)


@pytest.mark.long
def test_a_run_has_every_row_beside_the_published_figures(short_run):
    methods = short_run.results["methods"]
    assert list(methods) == ["mlp", "hnn", "hnn_levenberg_marquardt"]
    for entry in methods.values():
        assert len(entry["repeats"]) == 1
        assert {"energy_mse", "test_mse", "field_error"} <= set(entry["final"])
        assert entry["final"]["step"] == 30
    experiment = mass_spring.EXPERIMENT
    table = record.table(methods, experiment.columns, experiment.published)
    for word in ("energy MSE", "published", "0.000384", "medians over 2 seeds"):
        assert word in table


@pytest.mark.long
def test_a_run_draws_what_was_learned(short_run):
    for name in ("comparison", "fields", "errors", "motion", "energy"):
        assert is_drawn(short_run.out / f"{name}.png")


@pytest.mark.long
def test_a_row_has_its_model_and_optimizer_in_two_fields(short_run):
    entry = short_run.results["methods"]["hnn_levenberg_marquardt"]
    assert entry["model"] == "hnn"
    assert entry["optimizer"] == "levenberg_marquardt"
    assert short_run.looks["hnn_levenberg_marquardt"].label == "HNN, LM"


def test_seeds_differ_in_their_data_and_rows_share_them():
    first, again, second = (samples(mass_spring.EXPERIMENT, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.train[0].y.q, again.train[0].y.q)
    assert not np.any(first.train[0].y.q == second.train[0].y.q)
    noise = first.test[0].y.q - first.clean[0].y.q
    assert np.std(noise) == pytest.approx(0.1, rel=0.1)
    np.testing.assert_array_equal(first.test[0].rate.p, first.clean[0].rate.p)


def test_rollouts_start_where_the_published_ones_do():
    judge = Judge(
        systems.mass_spring(), 20.0, 11, 0.05, 50, hamiltonian.around_the_middle
    )
    keys, none = Keys.of_motions(0), Samples([], [], [])
    single, double = (
        judge.starts(none, keys, dtype, PhaseState) for dtype in ("float32", "float64")
    )
    both = np.concatenate([np.asarray(x).ravel() for x in double])
    assert np.all((np.abs(both) >= 0.2) & (np.abs(both) < 1))
    np.testing.assert_allclose(single.q, double.q, rtol=1e-6)


@pytest.mark.long
def test_the_true_system_measures_as_exact(short_run):
    """What the table says of a model is zero for the system itself."""
    found = samples(mass_spring.EXPERIMENT, noise=0.0, trajectories=5)
    judge = Judge(systems.mass_spring(), 20.0, 401, 0.05, 5)
    true = judge.truth(PhaseState)
    constants = judge.constants("float64")
    subject = short_run.subjects["hnn"]._replace(built=true)
    trained = measures.Trained(
        short_run.settings, subject, constants, found, Keys.of_motions(0)
    )
    result = judge.measure(trained)
    assert result["field_error"] < 1e-12
    assert result["energy_mse"] < 1e-10
    assert result["rollout_error"] < 1e-10
    assert result["valid_time"] == 20.0


def test_a_damped_spring_loses_energy_and_its_grid_is_the_published_one():
    found = samples(damped_spring.EXPERIMENT)
    (train,), (test,) = found.train, found.test
    assert train.y.q.shape == (500, 1, 1)
    assert test.y.q.shape == (125, 1, 1)
    q, p = train.y
    np.testing.assert_allclose(train.rate.q, 2 * p - 2 * q, atol=1e-12)
    lost = 2 * q * train.rate.q + 2 * p * train.rate.p
    np.testing.assert_allclose(lost, -4 * q**2, atol=1e-12)


def test_a_torque_does_work_on_the_pendulum():
    found = samples(pendulum_torque.EXPERIMENT, fast=True)
    for each, torque in zip(found.train, driven_pendulum.TORQUES, strict=True):
        energy = 5 * (1 - np.cos(each.y.q)) + 1.5 * each.y.p**2
        work = torque * (each.y.q - each.y.q[:, :1])
        np.testing.assert_allclose(energy - energy[:, :1], work, atol=1e-4)
        assert np.all(each.u == torque)


def test_the_rows_of_the_driven_pendulum_share_their_motions():
    """Those that see no momenta see the velocities of the same states."""
    found = samples(pendulum_torque.EXPERIMENT, fast=True).train
    view = pendulum_torque.EXPERIMENT.rows["symoden_embedded"].view
    velocity = systems.pendulum(mass=1 / 3, length=1.0, gravity=15.0).params
    for each, seen in zip(found, view(found), strict=True):
        mass = velocity.mass * velocity.length**2
        np.testing.assert_allclose(seen.y.v, each.y.p / mass, rtol=1e-12)
        np.testing.assert_array_equal(seen.y.q, each.y.q)


def test_every_experiment_is_listed():
    assert set(NAMES) < set(experiments.names())


def test_the_table_of_derivatives_is_that_of_the_energy():
    system = systems.mass_spring(1.0, 1.0)
    constants = trees.cast(system.params, jnp.dtype("float64"))
    points, dq, dp = seed_spring.derivatives(of_system(system), constants)
    np.testing.assert_allclose(dq, points, atol=1e-12)
    np.testing.assert_allclose(dp, -points, atol=1e-12)


def test_energies_of_any_shape_are_the_systems():
    judge = Judge(systems.mass_spring(), 1.0, 2, 0.05, 1)
    q, p = jnp.ones((2, 3, 1)), 2 * jnp.ones((2, 3, 1))
    np.testing.assert_allclose(judge.energies(PhaseState(q, p)), 5.0)


def test_a_judge_of_shorter_rollouts_has_the_same_truth():
    judge = Judge(systems.mass_spring(), 10.0, 101, 0.05, 4)
    shorter = judge.shorter(duration=1.0, times=11)
    assert shorter.truth(PhaseState) is judge.truth(PhaseState)
    assert shorter.ts[-1] == 1.0
    assert shorter.rollouts == 4
    assert jax.tree.leaves(shorter.constants("float32"))[0].dtype == "float32"


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_every_experiment_runs_in_its_fast_size(name, tmp_path, capsys):
    experiment = experiments.get(name)
    rows = list(experiment.of("rows", experiment.settings()))
    # The first and the last: a network without an energy, and one by second order.
    options = {"method": (rows[0], rows[-1]), "steps": 20}
    settings = fast_size(experiment)
    done = run(name, tmp_path / "run", settings=settings, **options)
    for row, final in finals(done).items():
        assert row in rows
        for metric in experiment.columns:
            assert np.isfinite(final[metric])
    assert list(done.out.glob("*.png"))
    assert "published" in capsys.readouterr().out


@pytest.mark.measured
def test_mass_spring_comes_out_as_published(tmp_path):
    found = finals(run("mass_spring", tmp_path / "run", method=("mlp", "hnn")))
    assert found["hnn"]["energy_mse"] < 6e-4
    assert found["mlp"]["energy_mse"] > 30 * found["hnn"]["energy_mse"]


@pytest.mark.measured
def test_states_from_clean_rates_give_a_better_energy_than_noisy_ones():
    """Over eight seeds of the published data, 100 damped steps of eight units."""
    model = models.hnn(1, hidden=(8,), kernel_init="glorot_normal", dtype="float64")
    motion = Motion(models.dynamics(model))
    recipe = learning.Recipe(optimizer="levenberg_marquardt", steps=100)
    spring = systems.mass_spring()
    judge = Judge(spring, 20.0, 401, 0.05, 15, hamiltonian.around_the_middle)
    experiment, found = mass_spring.EXPERIMENT, {}
    for seed in range(8):
        keys = Keys.folded(seed)
        samples = experiment.sample(experiment.settings(), keys, jnp.float64)
        (noisy,) = samples.train
        first = judge.starts(samples, keys, jnp.float64, PhaseState)
        for name, seen in (("noisy", noisy), ("integrated", data.integrated(noisy))):
            options = {"key": keys.network, "progress": False}
            fit = learning.learn(motion.dynamics, recipe, [seen], **options)
            path = judge.follow(motion, fit.state.params, first)
            drift = jax.vmap(metrics.energy_drift)(judge.energies(path))
            found.setdefault(name, []).append(float(jnp.mean(drift.mean_square)))
    assert np.median(found["integrated"]) < 1e-4
    assert np.median(found["noisy"]) > 1.5e-4


@pytest.mark.measured
@pytest.mark.parametrize("name", ["mass_spring", "pendulum"])
def test_a_noise_free_field_is_found_to_a_millionth(name, tmp_path):
    method = "hnn_levenberg_marquardt"
    settings = {"noise": 0.0}
    done = run(name, tmp_path / "run", settings=settings, method=(method,), steps=16000)
    assert finals(done)[method]["field_error"] < 1e-6


@pytest.mark.long
def test_the_table_of_derivatives_is_right(tmp_path):
    method = "hnn_levenberg_marquardt"
    done = run("seed_spring", tmp_path / "run", method=(method,), steps=2000)
    assert finals(done)[method]["table_error"] < 1e-3
    assert (done.out / "table.txt").read_text().count("\n") == 12


@pytest.mark.measured
def test_dissipation_is_separated_from_energy(tmp_path):
    methods = ("hnn", "dissipative_levenberg_marquardt")
    done = run("damped_spring", tmp_path / "run", method=methods, steps=2000)
    found = finals(done)
    assert found["dissipative_levenberg_marquardt"]["trajectory_mse"] < 1e-8
    assert found["hnn"]["trajectory_mse"] > 0.1


@pytest.mark.long
def test_a_torque_is_learned_with_the_energy(tmp_path):
    method = "symoden_embedded_levenberg_marquardt"
    done = run("pendulum_torque", tmp_path / "run", method=(method,), steps=10)
    assert finals(done)[method]["prediction_error"] < 0.03
