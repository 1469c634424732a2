"""The experiments of Lagrangian networks: what they take for true; that they run."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from fast_sizes import fast_size

from jaxphys import experiments, learning, mechanics, metrics, models, motion, systems
from jaxphys.experiments import RunOptions, figures, measures
from jaxphys.experiments.experiment import Keys, Trained
from jaxphys.experiments.measures import Judge
from jaxphys.experiments.motion import (
    double_pendulum,
    lagrangian,
    particle,
    pendulum_chain,
    rapidity,
    reference_motions,
    relativistic,
    seed_lagrangian,
    torques,
    two_link_arm,
    wave,
)
from jaxphys.learning import Recipe
from jaxphys.mechanics import TorqueParts
from jaxphys.motion import Motion, of_system
from jaxphys.types import Dynamics, PhaseState, TangentState, Trajectories

pytestmark = pytest.mark.x64


def run(name, out, *, settings=(), **options):
    asked = RunOptions(out=out, progress=False, **options)
    return experiments.run(name, asked, **dict(settings))


def finals(done):
    return {name: entry["final"] for name, entry in done.results["methods"].items()}


def samples(experiment, **settings):
    made = experiment.settings(**settings)
    return experiment.sample(made, experiment.keys(0), jnp.dtype("float64"))


def measured(experiment, built, params, **settings):
    """What an experiment measures of a motion, as if that had been learned."""
    made = experiment.settings(**settings)
    subject = types.SimpleNamespace(built=built)
    keys = Keys.of_motions(0)
    seen = experiment.sample(made, keys, jnp.dtype("float64"))
    return experiment.measures(Trained(made, subject, params, seen, keys))


def of_truth(system):
    """The system's own motion in (q, v), and its constants."""
    params = jax.tree.map(jnp.asarray, system.params)
    return Motion(of_system(system, TangentState)), params


@pytest.fixture(scope="module")
def short_run(tmp_path_factory):
    """A run of one row, of a small network on a short ring."""
    out = tmp_path_factory.mktemp("runs") / "wave"
    small = {"fast": True, "nodes": 8, "hidden": (4,)}
    return run("wave", out, settings=small, method=("lattice",), steps=4)


def test_a_run_measures_and_draws_its_rows(short_run):
    assert list(finals(short_run)) == ["lattice"]
    for metric in wave.EXPERIMENT.columns:
        assert np.isfinite(finals(short_run)["lattice"][metric])
    written = {path.name for path in short_run.out.iterdir()}
    assert {"waves.png", "energy.png", "comparison.png", "results.json"} <= written


def test_drawn_states_have_the_accelerations_of_euler_and_lagrange():
    system = systems.double_pendulum()
    seen = motion.drawn(system, jax.random.key(0), 7)
    assert seen.y.q.shape == seen.y.v.shape == seen.rate.v.shape == (7, 1, 2)
    accelerate = mechanics.acceleration(system.lagrangian)
    for q, v, a in zip(seen.y.q[:, 0], seen.y.v[:, 0], seen.rate.v[:, 0], strict=True):
        expected = accelerate(system.params, jnp.asarray(q), jnp.asarray(v))
        np.testing.assert_allclose(a, expected, rtol=1e-9)
    with pytest.raises(ValueError, match="num_states is 0"):
        motion.drawn(system, jax.random.key(0), 0)
    with pytest.raises(ValueError, match="no Lagrangian"):
        motion.drawn(system._replace(lagrangian=None), jax.random.key(0), 1)


def test_states_within_bounds_are_within_them():
    box = lagrangian.within(systems.double_pendulum(), -1.0, 1.0, 3.0, 4.0)
    q, v = jax.vmap(box.sample_tangent)(jax.random.split(jax.random.key(0), 100))
    assert np.all(np.abs(q) <= 1)
    assert np.all((v >= 3) & (v <= 4))


@pytest.mark.long
def test_the_true_double_pendulum_is_judged_to_be_right():
    system = systems.double_pendulum()
    judge = Judge(system, 2.0, 11, 0.005, 5, double_pendulum.at_rest)
    experiment = lagrangian.experiment(
        judge,
        29.4,
        {},
        name="true",
        summary="",
        title="",
        settings=lagrangian.Settings,
    )
    found = measured(experiment, *of_truth(system), states=64)
    assert found["acceleration_error"] < 1e-20
    assert found["rollout_error"] < 1e-12
    assert found["final_energy"] < 1e-6
    assert found["valid_time"] == pytest.approx(2.0)


def test_a_mass_at_rest_is_the_mass_matrix():
    system = systems.two_link_arm()
    true = of_system(system, TangentState)
    q = jnp.array([0.3, 1.1])
    expected = mechanics.mass_matrix(system.lagrangian)(
        system.params, q, jnp.array([0.5, -2.0])
    )
    found = measures.mass_at_rest(true.energy)(system.params, q)
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_both_kinds_of_truth_are_the_same_motion():
    system = systems.pendulum()
    judge = Judge(system, 1.0, 2, 0.01, 1)
    q, v = jnp.array([1.0]), jnp.array([0.7])
    p = mechanics.momentum(system.lagrangian)(system.params, q, v)
    tangent = of_system(system, TangentState).vector_field(
        0.0, TangentState(q, v), system.params
    )
    canonical = of_system(system).vector_field(0.0, PhaseState(q, p), system.params)
    np.testing.assert_allclose(tangent.q, canonical.q, rtol=1e-12)
    mass = system.params.mass * system.params.length**2
    np.testing.assert_allclose(mass * tangent.v, canonical.p, rtol=1e-12)
    for kind, x in ((TangentState, v), (PhaseState, p)):
        energy = judge.energies(kind(q[None], x[None]))
        expected = system.hamiltonian(system.params, q, p)
        zero = mechanics.energy(system.lagrangian)(system.params, 0 * q, 0 * v)
        np.testing.assert_allclose(energy - zero, expected, rtol=1e-12)


@pytest.mark.parametrize("law", particle.LAWS)
def test_the_relativistic_accelerations_are_those_of_both_true_energies(law):
    """The closed form, L in (q, v), and H in (q, p) agree; v is not canonical."""
    (train,) = samples(relativistic.EXPERIMENT, law=law, fast=True).train
    slow = np.abs(train.y.v[:, 0, 0]) < 0.99
    y, rate, u = jax.tree.map(lambda x: x[slow], (train.y, train.rate, train.u))
    seen = [train._replace(y=y, rate=rate, u=u)]
    system = particle.system_of(law)
    weights = {"none": jnp.zeros(1)}

    def with_field(energy):
        return lambda args, q, x: energy(
            system.params._replace(gravity=args[1][0]), q, x
        )

    tangent = Dynamics(
        lambda key: weights,
        mechanics.lagrangian_vector_field(with_field(system.lagrangian)),
        TangentState,
        num_controls=1,
    )
    canonical = rapidity.hamiltonian_dynamics(
        lambda key: weights, with_field(system.hamiltonian)
    )
    in_momenta = particle.in_momenta(law)(seen)
    for dynamics, found, kind in (
        (tangent, seen, False),
        (canonical, in_momenta, True),
    ):
        got = measures.accelerations(Motion(dynamics), weights, found, canonical=kind)
        np.testing.assert_allclose(got, rate.v[:, 0, 0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(in_momenta[0].rate.p, u)
    (wrong,) = particle.in_velocities(seen)
    np.testing.assert_array_equal(wrong.y.p, y.v)
    np.testing.assert_array_equal(wrong.rate.p, rate.v)
    assert dict(wrong.meta) == dict(train.meta)


def test_rows_know_whether_their_momenta_are_canonical():
    rows = relativistic.rows(relativistic.Settings())
    canonical = [name for name, row in rows.items() if relativistic.is_canonical(row)]
    assert canonical == ["hnn_levenberg_marquardt"]
    with pytest.raises(ValueError, match="special_relativity"):
        relativistic.rows(relativistic.Settings(law="special_relativty"))


def test_the_torques_of_the_arm_and_their_parts_are_separate():
    """Of the true arm all errors are zero, and the formulas are those of the papers."""
    experiment = two_link_arm.EXPERIMENT
    found = measured(experiment, *of_truth(reference_motions.ARM), fast=True)
    assert max(found.values()) < 1e-20
    (train,) = samples(experiment, fast=True).train
    q, v, a, u = torques.points([train])
    arm = reference_motions.TRUE, reference_motions.ARM.params
    parts = torques.parts(*arm, q, v, a)
    total = np.sum([parts[x] for x in TorqueParts._fields], axis=0)
    np.testing.assert_allclose(total, u, atol=1e-9)
    gravity = 2.625 * np.cos(q[:, 0]) + 1.5 * np.cos(q.sum(axis=1))
    np.testing.assert_allclose(parts["gravity"][:, 0], gravity, atol=1e-9)
    inertia = 0.5176146 * a.sum(axis=1) + 0.5 * np.cos(q[:, 1]) * a[:, 0]
    np.testing.assert_allclose(parts["inertia"][:, 1], inertia, atol=1e-6)
    step = np.gradient(train.y.q, reference_motions.TIMES, axis=1, edge_order=2)
    assert np.median(np.abs(step - train.y.v)) < 1e-2


def test_figures_of_torques_name_each_part_as_it_is(monkeypatch):
    """A compiled function returns a dict in alphabetical order, not as it was made."""
    drawn = {}
    monkeypatch.setattr(two_link_arm.figures, "mass_figures", lambda *a, **k: {})
    monkeypatch.setattr(
        two_link_arm.plots, "torques", lambda t, true, *a, **k: drawn.update(true)
    )
    seen = samples(two_link_arm.EXPERIMENT, fast=True)
    run = types.SimpleNamespace(samples=seen, params={}, subjects={}, looks={})
    two_link_arm.EXPERIMENT.figures(run)
    *_, torque = torques.points(seen.clean)
    count = len(reference_motions.TIMES)
    gravity = 1.5 * np.cos(torques.points(seen.clean)[0].sum(axis=1))[:count]
    np.testing.assert_allclose(drawn["gravity part"][:, 1], gravity, atol=1e-9)
    labels = [name for name in drawn if "part" in name]
    total = np.sum([drawn[name] for name in labels], axis=0)
    (whole,) = (x for name, x in drawn.items() if name not in labels)
    np.testing.assert_allclose(whole, torque[:count], atol=1e-9)
    np.testing.assert_allclose(total, whole, atol=1e-9)


@pytest.mark.long
def test_the_true_wave_keeps_its_energy():
    truth = of_truth(systems.wave(16))
    found = measured(wave.EXPERIMENT, *truth, nodes=16, fast=True)
    assert found["acceleration_error"] < 1e-20
    assert found["energy_drift"] < 1e-6


@pytest.mark.long
def test_lengths_of_chains_are_those_asked_for():
    for links in (2, 3):
        (pieces,) = samples(pendulum_chain.EXPERIMENT, links=links, fast=True).train
        assert pieces.y.q.shape == (40, 5, links)


def test_published_figures_of_chains_are_those_of_their_length():
    experiment, settings = pendulum_chain.EXPERIMENT, pendulum_chain.Settings
    published = experiment.of("published", settings(links=2))
    assert published["naive"] == {"rollout_error": 6.5e-2}
    assert experiment.of("published", settings(links=4)) == {}
    assert experiment.of("title", settings(links=4)) == "chain of 4 pendula"


def test_a_summary_separates_runaways_from_the_rest():
    values = jnp.array([1e-2, 1.0, 1e2, 1e6, jnp.inf])
    known = metrics.summary(values)
    assert float(known.median) == 1e2
    assert float(known.geometric_mean) == pytest.approx(10**1.5)
    assert float(known.mean) == pytest.approx((0.01 + 1 + 100 + 1e6) / 4)
    assert float(known.finite) == pytest.approx(0.8)
    assert jnp.isinf(known.high) or float(known.high) == 1e6


def test_trainings_side_by_side_are_the_same_as_one_by_one():
    spring = systems.mass_spring()
    ts = np.linspace(0.0, 1.0, 8)
    seen = motion.simulated(spring, jax.random.key(0), 4, ts)
    learned = models.dynamics(models.hnn(1, hidden=(6,), dtype="float64"))
    recipe = Recipe(steps=24, batch_size=8, schedule="step", decay_every=8)
    rates, keys = jnp.array([1e-3, 1e-2]), jax.random.split(jax.random.key(1), 2)
    many = learning.learn_many(learned, recipe, [seen], rates=rates, keys=keys)
    assert many.losses.shape == (2, 6)
    for i, rate in enumerate((1e-3, 1e-2)):
        own = Recipe(
            steps=24, batch_size=8, schedule="step", decay_every=8, learning_rate=rate
        )
        fit = learning.learn(learned, own, [seen], key=keys[i], progress=False)
        pairs = zip(
            jax.tree.leaves(fit.state.params), jax.tree.leaves(many.params), strict=True
        )
        for alone, together in pairs:
            np.testing.assert_allclose(together[i], alone, rtol=1e-6, atol=1e-9)
    for wrong, some, message in (
        (Recipe(steps=3, batch_size=8), rates, "whole epochs"),
        (
            Recipe(optimizer="levenberg_marquardt", steps=4, batch_size=8),
            rates,
            "finds its own step",
        ),
        (recipe, rates[:1], "both \\(S,\\)"),
    ):
        with pytest.raises(ValueError, match=message):
            learning.learn_many(learned, wrong, [seen], rates=some, keys=keys)


def test_the_recipe_of_the_small_data_experiments_is_the_seeds():
    recipe = seed_lagrangian.adam(seed_lagrangian.Settings()).check()
    assert recipe.steps == 100 * 512
    assert recipe.decay_every == 10 * 512
    tx = learning.transformation(recipe)
    assert tx.init({"w": jnp.zeros(1)}) is not None


def test_the_short_motions_follow_the_equations_of_motion():
    system = lagrangian.within(systems.double_pendulum(), -1.5, 1.5, -1.0, 1.0)
    judge = Judge(system, 10.0, 201, 0.01, 1)
    found = seed_lagrangian.followed(judge, jax.random.key(0), 3, seed_lagrangian.TIMES)
    assert found.y.q.shape == (3, 4, 2)
    np.testing.assert_array_equal(found.rate.q, found.y.v)
    energies = np.asarray(judge.energies(jax.tree.map(jnp.asarray, found.y)))
    np.testing.assert_allclose(energies, energies[:, :1] @ np.ones((1, 4)), rtol=1e-6)
    accelerate = mechanics.acceleration(system.lagrangian)
    q, v, a = (jnp.asarray(x[1, 2]) for x in (*found.y, found.rate.v))
    np.testing.assert_allclose(a, accelerate(system.params, q, v), rtol=1e-9)


def test_axis_names_say_units():
    system = systems.two_link_arm()
    names, rates = figures.coordinate_names(system)
    assert names == ["$q_1$ [rad]", "$q_2$ [rad]"]
    assert rates[0] == r"$\dot{q_1}$ [rad/s]"
    assert figures.axis_names(system) == ("$q_1$ [rad]", "$p$ [1]")
    straight = TangentState(np.zeros((1, 1, 2)), np.zeros((1, 1, 2)))
    at = figures.joints(system, Trajectories(np.zeros(1), straight))
    np.testing.assert_allclose(at[0], [[0, 0], [1, 0], [2, 0]], atol=1e-12)


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("double_pendulum_box", {}),
        ("double_pendulum", {}),
        ("relativistic", {"law": "special_relativity"}),
        ("wave", {}),
        ("two_link_arm", {}),
        ("seed_polar", {}),
        ("seed_double_pendulum", {"sweep": True}),
    ],
)
def test_every_experiment_runs_in_its_fast_size(name, settings, tmp_path, capsys):
    experiment = experiments.get(name)
    rows = list(experiment.of("rows", experiment.settings()))
    # The first and the last: a network without structure, and one by second order.
    options = {"method": (rows[0], rows[-1]), "steps": 20}
    asked = fast_size(experiment) | settings
    done = run(name, tmp_path / "run", settings=asked, **options)
    for row, final in finals(done).items():
        assert row in rows
        for metric in experiment.columns:
            assert np.isfinite(final[metric])
    written = {path.name for path in done.out.iterdir()}
    assert len([x for x in written if x.endswith(".png")]) >= 2
    if name.startswith("seed"):
        assert "geometric mean" in capsys.readouterr().out
    if "sweep" in settings:
        assert {"sweep.png", "sweep.json"} <= written
    if "pendulum" in name:
        assert "motion.gif" in written


@pytest.mark.measured
def test_one_network_is_right_where_the_wrong_coordinates_fail(tmp_path):
    kinds = ("lnn", "hnn_velocities", "hnn")
    names = tuple(f"{kind}_levenberg_marquardt" for kind in kinds)
    done = run("relativistic", tmp_path / "run", method=names, steps=1000)
    errors = [finals(done)[name]["weighted_error"] for name in names]
    assert errors[0] < 2e-4
    assert errors[1] > 0.3
    assert errors[2] < 1e-4


@pytest.mark.measured
def test_torques_and_their_parts_are_learned_with_the_structure(tmp_path):
    names = ("structured_levenberg_marquardt", "delan_levenberg_marquardt")
    done = run("two_link_arm", tmp_path / "run", method=names, steps=300)
    for final in finals(done).values():
        assert final["torque_mse"] < 2e-6
        for part in TorqueParts._fields:
            assert final[f"{part}_mse"] < 5e-6


@pytest.mark.measured
def test_a_mass_matrix_makes_a_double_pendulum_learnable_in_seconds(tmp_path):
    name = "delan_levenberg_marquardt"
    options = {"method": (name,), "steps": 400, "batch_size": 256}
    done = run("double_pendulum_box", tmp_path / "run", **options)
    assert finals(done)[name]["acceleration_error"] < 1e-5
