"""The published experiments of Hamiltonian networks: they run, and come out."""

import json

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from jaxphys import cli, experiments
from jaxphys.experiments import (
    damped_spring,
    hamiltonian,
    judging,
    mass_spring,
    pendulum_torque,
)
from jaxphys.experiments import dynamics as learned
from jaxphys.systems.record import like
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


def run(name, out, *arguments):
    line = ["run", name, "--out", out, "--no-progress", *arguments]
    assert cli.main([str(x) for x in line]) == 0
    return json.loads((out / "results.json").read_text())


def finals(results):
    return {name: entry["final"] for name, entry in results["methods"].items()}


@pytest.fixture(scope="module")
def short_run(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "spring"
    return out, run("mass_spring", out, "--steps", 30, "--fast", "--seeds", 2)


def test_a_run_tells_every_row_beside_the_published_figures(short_run, capsys):
    out, results = short_run
    assert list(results["methods"]) == ["mlp", "hnn", "hnn_levenberg_marquardt"]
    for entry in results["methods"].values():
        assert len(entry["repeats"]) == 1
        assert {"energy_mse", "test_mse", "field_error"} <= set(entry["final"])
        assert entry["final"]["step"] == 30
    table = learned.table(mass_spring.STUDY, results)
    for word in ("energy MSE", "published", "0.000384", "medians over 2 seeds"):
        assert word in table
    for name in ("comparison", "fields", "errors", "motion", "energy"):
        with Image.open(out / f"{name}.png") as image:
            assert len(np.unique(np.asarray(image.convert("L")))) > 50


def test_seeds_differ_in_their_data_and_rows_share_them():
    first, again, second = (
        mass_spring.STUDY.material(mass_spring.Config(), seed) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first.train[0].q, again.train[0].q)
    assert not np.any(first.train[0].q == second.train[0].q)
    noise = first.test[0].q - first.clean[0].q
    assert np.std(noise) == pytest.approx(0.1, rel=0.1)
    np.testing.assert_array_equal(first.test[0].dp, first.clean[0].dp)


def test_rollouts_start_where_the_published_ones_do():
    found = mass_spring.STUDY.material(mass_spring.Config(trajectories=2), 0)
    judged = judging.Judged(20.0, 11, 0.05, 50, hamiltonian.around_the_middle)
    single, double = (
        judging.starts(judged, found, dtype) for dtype in ("float32", "float64")
    )
    both = np.concatenate([np.asarray(x).ravel() for x in double])
    assert np.all((np.abs(both) >= 0.2) & (np.abs(both) < 1))
    np.testing.assert_allclose(single.q, double.q, rtol=1e-6)


def test_the_true_system_measures_as_exact():
    """What the table says of a model is zero for the system itself."""
    config = mass_spring.Config(noise=0.0, trajectories=5)
    found = mass_spring.STUDY.material(config, 0)
    system = mass_spring.systems.mass_spring()
    motion = learned.truth(system)
    constants = like(system.params, jnp.asarray(found.clean[0].q))
    result = mass_spring.STUDY.measure(config, motion, constants, found)
    assert result["field_error"] < 1e-12
    assert result["energy_mse"] < 1e-10
    assert result["rollout_error"] < 1e-10
    assert result["valid_time"] == 20.0


def test_a_damped_spring_loses_energy_and_its_grid_is_the_published_one():
    found = damped_spring.material(damped_spring.Config(), 0)
    assert found.train[0].q.shape == (500, 1, 1)
    assert found.test[0].q.shape == (125, 1, 1)
    q, p = found.train[0].q, found.train[0].p
    np.testing.assert_allclose(found.train[0].dq, 2 * p - 2 * q, atol=1e-12)
    lost = 2 * q * found.train[0].dq + 2 * p * found.train[0].dp
    np.testing.assert_allclose(lost, -4 * q**2, atol=1e-12)


def test_a_torque_does_work_on_the_pendulum():
    found = pendulum_torque.material(pendulum_torque.Config(fast=True), 0)
    for each, torque in zip(found.train, pendulum_torque.TORQUES, strict=True):
        energy = 5 * (1 - np.cos(each.q)) + 1.5 * each.p**2
        work = torque * (each.q - each.q[:, :1])
        np.testing.assert_allclose(energy - energy[:, :1], work, atol=1e-4)
        assert np.all(each.u == torque)


def test_every_experiment_is_listed():
    assert set(NAMES) < set(experiments.EXPERIMENTS)


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_every_experiment_runs_in_its_fast_size(name, tmp_path, capsys):
    some = {"pendulum_chain": ["--method", "naive", "structured", "delan"]}
    results = run(name, tmp_path / "run", "--fast", *some.get(name, []))
    study = experiments.get(name).STUDY
    for row, final in finals(results).items():
        assert row in study.rows
        for metric in study.columns:
            assert np.isfinite(final[metric])
    assert list((tmp_path / "run").glob("*.png"))
    assert "published" in capsys.readouterr().out


@pytest.mark.long
def test_mass_spring_comes_out_as_published(tmp_path):
    found = finals(run("mass_spring", tmp_path / "run", "--method", "mlp", "hnn"))
    assert found["hnn"]["energy_mse"] < 6e-4
    assert found["mlp"]["energy_mse"] > 30 * found["hnn"]["energy_mse"]


@pytest.mark.long
@pytest.mark.parametrize("name", ["mass_spring", "pendulum"])
def test_a_noise_free_field_is_found_to_a_millionth(name, tmp_path):
    method = "hnn_levenberg_marquardt"
    arguments = ["--method", method, "--noise", 0, "--steps", 16000]
    found = finals(run(name, tmp_path / "run", *arguments))
    assert found[method]["field_error"] < 1e-6


@pytest.mark.long
def test_the_table_of_derivatives_is_right(tmp_path):
    method = "hnn_levenberg_marquardt"
    arguments = ["--method", method, "--steps", 2000]
    found = finals(run("seed_spring", tmp_path / "run", *arguments))
    assert found[method]["table_error"] < 1e-3
    assert (tmp_path / "run" / "table.txt").read_text().count("\n") == 12


@pytest.mark.long
def test_dissipation_is_told_apart_from_energy(tmp_path):
    methods = ["hnn", "dissipative_levenberg_marquardt"]
    arguments = ["--method", *methods, "--steps", 2000]
    found = finals(run("damped_spring", tmp_path / "run", *arguments))
    assert found["dissipative_levenberg_marquardt"]["trajectory_mse"] < 1e-8
    assert found["hnn"]["trajectory_mse"] > 0.1


@pytest.mark.long
def test_a_torque_is_learned_with_the_energy(tmp_path):
    method = "symoden_embedded_levenberg_marquardt"
    arguments = ["--method", method, "--steps", 10]
    found = finals(run("pendulum_torque", tmp_path / "run", *arguments))
    assert found[method]["prediction_error"] < 0.03


def test_energies_of_any_shape_are_the_systems():
    system = mass_spring.systems.mass_spring()
    q, p = jnp.ones((2, 3, 1)), 2 * jnp.ones((2, 3, 1))
    found = learned.energies(system, PhaseState(q, p))
    np.testing.assert_allclose(found, 5.0)
