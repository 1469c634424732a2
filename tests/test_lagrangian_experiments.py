"""The experiments of Lagrangian networks: what they take for true; that they run."""

import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxphys import (
    cli,
    data,
    experiments,
    learning,
    mechanics,
    metrics,
    models,
    systems,
)
from jaxphys.experiments import (
    double_pendulum,
    dynamics,
    judging,
    lagrangian,
    pendulum_chain,
    relativistic,
    seed_double_pendulum,
    seed_lagrangian,
    two_link_arm,
    wave,
)
from jaxphys.learning import Recipe
from jaxphys.types import Dynamics, PhaseState, TangentState

pytestmark = pytest.mark.x64


def run(name, out, *arguments):
    line = ["run", name, "--out", out, "--no-progress", *arguments]
    assert cli.main([str(x) for x in line]) == 0
    return json.loads((out / "results.json").read_text())


def finals(results):
    return {name: entry["final"] for name, entry in results["methods"].items()}


def test_drawn_states_have_the_accelerations_of_euler_and_lagrange():
    system = systems.double_pendulum()
    seen = data.drawn(system, jax.random.key(0), 7)
    assert seen.q.shape == seen.v.shape == seen.dv.shape == (7, 1, 2)
    accelerate = mechanics.acceleration(system.lagrangian)
    for q, v, a in zip(seen.q[:, 0], seen.v[:, 0], seen.dv[:, 0], strict=True):
        expected = accelerate(system.params, jnp.asarray(q), jnp.asarray(v))
        np.testing.assert_allclose(a, expected, rtol=1e-9)
    with pytest.raises(ValueError, match="num_states is 0"):
        data.drawn(system, jax.random.key(0), 0)
    with pytest.raises(ValueError, match="no Lagrangian"):
        data.drawn(system._replace(lagrangian=None), jax.random.key(0), 1)


def test_states_within_bounds_are_within_them():
    box = lagrangian.within(systems.double_pendulum(), -1.0, 1.0, 3.0, 4.0)
    q, v = jax.vmap(box.sample_tangent)(jax.random.split(jax.random.key(0), 100))
    assert np.all(np.abs(q) <= 1)
    assert np.all((v >= 3) & (v <= 4))


def test_the_true_double_pendulum_is_judged_to_be_right():
    task = double_pendulum.TASK
    judged = task.judged._replace(duration=2.0, times=11, rollouts=5)
    task = task._replace(judged=judged)
    config = double_pendulum.Config(states=64)
    found = lagrangian.material(task, config, 0)
    true = dynamics.truth(task.system, TangentState)
    params = jax.tree.map(jnp.asarray, task.system.params)
    measured = lagrangian.measure(task, config, true, params, found)
    assert measured["acceleration_error"] < 1e-20
    assert measured["rollout_error"] < 1e-12
    assert measured["final_energy"] < 1e-6
    assert measured["valid_time"] == pytest.approx(2.0)


def test_a_mass_at_rest_is_the_mass_matrix():
    system = systems.two_link_arm()
    true = dynamics.truth(system, TangentState)
    q = jnp.array([0.3, 1.1])
    expected = mechanics.mass_matrix(system.lagrangian)(
        system.params, q, jnp.array([0.5, -2.0])
    )
    found = lagrangian.mass_at_rest(true)(system.params, q)
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_both_kinds_of_truth_are_the_same_motion():
    system = systems.pendulum()
    q, v = jnp.array([1.0]), jnp.array([0.7])
    p = mechanics.momentum(system.lagrangian)(system.params, q, v)
    told = dynamics.truth(system, TangentState).vector_field(
        0.0, TangentState(q, v), system.params
    )
    canonical = dynamics.truth(system).vector_field(
        0.0, PhaseState(q, p), system.params
    )
    np.testing.assert_allclose(told.q, canonical.q, rtol=1e-12)
    mass = system.params.mass * system.params.length**2
    np.testing.assert_allclose(mass * told.v, canonical.p, rtol=1e-12)
    for kind, x in ((TangentState, v), (PhaseState, p)):
        energy = dynamics.energies(system, kind(q[None], x[None]))
        expected = system.hamiltonian(system.params, q, p)
        zero = mechanics.energy(system.lagrangian)(system.params, 0 * q, 0 * v)
        np.testing.assert_allclose(energy - zero, expected, rtol=1e-12)


@pytest.mark.parametrize("law", relativistic.LAWS)
def test_the_relativistic_accelerations_are_those_of_both_true_energies(law):
    """The closed form, L in (q, v), and H in (q, p) agree; v is not canonical."""
    (test,) = relativistic.material(relativistic.Config(law=law, fast=True), 0).train
    slow = np.abs(test.v[:, 0, 0]) < 0.99
    test = test._replace(
        **{k: getattr(test, k)[slow] for k in ("q", "p", "v", "dq", "dp", "dv", "u")}
    )
    system = relativistic.system_of(law)
    weights = {"none": jnp.zeros(1)}

    def with_field(energy):
        return lambda args, q, x: energy(
            system.params._replace(gravity=args[1][0]), q, x
        )

    told = Dynamics(
        lambda key: weights,
        mechanics.lagrangian_vector_field(with_field(system.lagrangian)),
        TangentState,
        num_controls=1,
    )
    canonical = relativistic._hamiltonian_dynamics(
        lambda key: weights, with_field(system.hamiltonian)
    )
    for motion in (told, canonical):
        found = relativistic.accelerations(motion, weights, test)
        np.testing.assert_allclose(found, test.dv[:, 0, 0], rtol=1e-5, atol=1e-6)
    wrong = relativistic.in_velocities(test)
    assert not wrong.meta["canonical"]
    np.testing.assert_array_equal(wrong.p, test.v)


def test_the_torques_of_the_arm_and_their_parts_are_told_apart():
    """Of the true arm all errors are zero, and the formulas are those of the papers."""
    found = two_link_arm.material(two_link_arm.Config(fast=True), 0)
    true = dynamics.truth(two_link_arm.ARM, TangentState)
    params = jax.tree.map(jnp.asarray, two_link_arm.ARM.params)
    measured = two_link_arm.measure(two_link_arm.Config(), true, params, found)
    assert max(measured.values()) < 1e-20
    (train,) = found.train
    q, v, a = (x.reshape(-1, 2) for x in (train.q, train.v, train.dv))
    parts = two_link_arm.true_parts(*(jnp.asarray(x) for x in (q, v, a)))
    total = np.sum([np.asarray(x) for x in parts], axis=0)
    np.testing.assert_allclose(total, train.u.reshape(-1, 2), atol=1e-9)
    gravity = 2.625 * np.cos(q[:, 0]) + 1.5 * np.cos(q.sum(axis=1))
    np.testing.assert_allclose(parts.gravity[:, 0], gravity, atol=1e-9)
    inertia = 0.5176146 * a.sum(axis=1) + 0.5 * np.cos(q[:, 1]) * a[:, 0]
    np.testing.assert_allclose(parts.inertia[:, 1], inertia, atol=1e-6)
    step = np.gradient(train.q, two_link_arm.TIMES, axis=1, edge_order=2)
    assert np.median(np.abs(step - train.v)) < 1e-2


def test_the_true_wave_keeps_its_energy():
    config = wave.Config(nodes=16, fast=True)
    found = wave.material(config, 0)
    system = systems.wave(16)
    true = dynamics.truth(system, TangentState)
    params = jax.tree.map(jnp.asarray, system.params)
    measured = wave.measure(config, true, params, found)
    assert measured["acceleration_error"] < 1e-20
    assert measured["energy_drift"] < 1e-6


@pytest.mark.long
def test_lengths_of_chains_are_those_asked_for():
    for links in (2, 3):
        config = pendulum_chain.Config(links=links, fast=True)
        (pieces,) = pendulum_chain.material(config, 0).train
        assert pieces.q.shape == (40, 5, links)


def test_a_summary_tells_runaways_from_the_rest():
    values = jnp.array([1e-2, 1.0, 1e2, 1e6, jnp.inf])
    known = metrics.summary(values)
    assert float(known.median) == 1e2
    assert float(known.geometric_mean) == pytest.approx(10**1.5)
    assert float(known.mean) == pytest.approx((0.01 + 1 + 100 + 1e6) / 4)
    assert float(known.finite) == pytest.approx(0.8)
    assert jnp.isinf(known.high) or float(known.high) == 1e6


def test_trainings_side_by_side_are_the_same_as_one_by_one():
    spring = systems.mass_spring()
    seen = data.simulated(spring, jax.random.key(0), 4, np.linspace(0.0, 1.0, 8))
    motion = models.dynamics(models.hnn(1, hidden=(6,), dtype="float64"))
    recipe = Recipe(steps=24, batch_size=8, schedule="step", decay_every=8)
    rates, keys = jnp.array([1e-3, 1e-2]), jax.random.split(jax.random.key(1), 2)
    many = learning.learn_many(motion, recipe, [seen], rates=rates, keys=keys)
    assert many.losses.shape == (2, 6)
    for i, rate in enumerate((1e-3, 1e-2)):
        own = Recipe(
            steps=24, batch_size=8, schedule="step", decay_every=8, learning_rate=rate
        )
        fit = learning.learn(motion, own, [seen], key=keys[i], progress=False)
        pairs = zip(
            jax.tree.leaves(fit.state.params), jax.tree.leaves(many.params), strict=True
        )
        for alone, together in pairs:
            np.testing.assert_allclose(together[i], alone, rtol=1e-6, atol=1e-9)
    with pytest.raises(ValueError, match="whole epochs"):
        learning.learn_many(
            motion, Recipe(steps=3, batch_size=8), [seen], rates=rates, keys=keys
        )
    with pytest.raises(ValueError, match="finds its own step"):
        learning.learn_many(
            motion,
            Recipe(optimizer="levenberg_marquardt", steps=4, batch_size=8),
            [seen],
            rates=rates,
            keys=keys,
        )
    with pytest.raises(ValueError, match="both \\(S,\\)"):
        learning.learn_many(motion, recipe, [seen], rates=rates[:1], keys=keys)


def test_the_recipe_of_the_small_data_experiments_is_the_seeds():
    recipe = seed_lagrangian.recipe(seed_lagrangian.Config()).check()
    assert recipe.steps == 100 * 512
    assert recipe.decay_every == 10 * 512
    tx = learning.transformation(recipe)
    assert tx.init({"w": jnp.zeros(1)}) is not None
    (train,) = seed_lagrangian.followed(
        seed_double_pendulum.SYSTEM, jax.random.key(0), 3, seed_lagrangian.TIMES
    )[1:2]
    assert train.shape == (3, 4, 2)


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("double_pendulum_box", ()),
        ("double_pendulum", ("--method", "mlp", "delan")),
        ("relativistic", ("--law", "special_relativity")),
        ("wave", ()),
        ("two_link_arm", ()),
        ("seed_polar", ()),
        ("seed_double_pendulum", ("--sweep",)),
    ],
)
def test_every_experiment_runs_in_its_fast_size(name, arguments, tmp_path, capsys):
    results = run(name, tmp_path / "run", "--fast", *arguments)
    study = experiments.get(name).STUDY
    for row, final in finals(results).items():
        assert row in study.rows
        for metric in study.columns:
            assert np.isfinite(final[metric])
    written = {path.name for path in (tmp_path / "run").iterdir()}
    assert len([x for x in written if x.endswith(".png")]) >= 2
    if name.startswith("seed"):
        assert "geometric mean" in capsys.readouterr().out
    if "--sweep" in arguments:
        assert {"sweep.png", "sweep.json"} <= written
    if "pendulum" in name:
        assert "motion.gif" in written


@pytest.mark.long
def test_one_network_is_right_where_the_wrong_coordinates_fail(tmp_path):
    kinds = ("lnn", "hnn_velocities", "hnn")
    names = [f"{kind}_levenberg_marquardt" for kind in kinds]
    arguments = ["--method", *names, "--steps", 1000]
    found = finals(run("relativistic", tmp_path / "run", *arguments))
    errors = [found[name]["weighted_error"] for name in names]
    assert errors[0] < 2e-4
    assert errors[1] > 0.3
    assert errors[2] < 1e-4


@pytest.mark.long
def test_torques_and_their_parts_are_learned_with_the_structure(tmp_path):
    names = ["structured_levenberg_marquardt", "delan_levenberg_marquardt"]
    arguments = ["--method", *names, "--steps", 300]
    found = finals(run("two_link_arm", tmp_path / "run", *arguments))
    for name in names:
        assert found[name]["torque_mse"] < 2e-6
        for part in two_link_arm.PARTS:
            assert found[name][f"{part}_mse"] < 5e-6


@pytest.mark.long
def test_a_mass_matrix_makes_a_double_pendulum_learnable_in_seconds(tmp_path):
    name = "delan_levenberg_marquardt"
    arguments = ["--method", name, "--steps", 400, "--batch-size", 256]
    found = finals(run("double_pendulum_box", tmp_path / "run", *arguments))
    assert found[name]["acceleration_error"] < 1e-5


def test_axis_names_say_units():
    system = systems.two_link_arm()
    names, rates = judging.coordinate_names(system)
    assert names == ["$q_1$ [rad]", "$q_2$ [rad]"]
    assert rates[0] == r"$\dot{q_1}$ [rad/s]"
    assert judging.axis_names(system) == ("$q_1$ [rad]", "$p$ [1]")
    moves = functools.partial(judging.joints, system)
    at = moves(judging.Sampled(np.zeros(1), np.zeros((1, 1, 2)), np.zeros((1, 1, 2))))
    np.testing.assert_allclose(at[0], [[0, 0], [1, 0], [2, 0]], atol=1e-12)
