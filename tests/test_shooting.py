"""Weights and starts found together over whole records, and laws told apart by it."""

import functools
import json
import signal

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from html_page import Page

from jaxphys import cli, data, integrators, learning, models, systems
from jaxphys.learning.constants.law import law_of, measured_by
from jaxphys.learning.shooting import Search, deviations, law_of_motion, starts_of
from jaxphys.learning.shooting.least_squares import Prior, levenberg_marquardt
from jaxphys.motion import simulated
from jaxphys.types import PhaseState, TangentState, Trajectories

pytestmark = [pytest.mark.x64, pytest.mark.xdist_group("shooting")]

NOISE = 0.01


@functools.cache
def damped(count=160, dt=0.2, friction=0.03):
    """A pendulum that comes to rest slowly: t, angle and rate, with noise."""

    def field(t, y, args):
        return jnp.stack([y[1], -jnp.sin(y[0]) - friction * y[1]])

    step = integrators.rk4(field)
    start = jnp.array([1.4, 0.0])
    path = integrators.rollout(step, start, dt=dt, num_steps=count - 1, substeps=4)
    noise = np.random.default_rng(0).normal(size=path.shape)
    q, v = (np.asarray(path) + NOISE * noise).T
    return dt * np.arange(count), q, v


def test_derivatives_by_weights_and_starts_are_those_of_the_rollout():
    t, q, p = (x[:40] for x in damped())
    seen = data.trajectories_from({"t": t, "q": q, "p": p})
    motion = models.dissipative(1, hidden=(4,), dtype="float64")
    law = law_of_motion(motion, motion.init(jax.random.key(0)), 1)
    k = len(law.start)
    assert k > 24  # so that derivatives go from the outputs back
    search = Search(law, seen, np.ones(k, bool), rows=13)
    shooting = search.shooting
    starts = shooting.entered(law.start)
    shown, _, J, J_ends = shooting.linearised(law.start, starts)
    np.testing.assert_allclose(shooting.paths(law.start, starts)[0], shown, rtol=1e-12)
    random = np.random.default_rng(1)
    dc, dz = 1e-5 * random.normal(size=k), 1e-5 * random.normal(size=starts.shape)
    up = shooting.paths(law.start + dc, starts + dz)
    down = shooting.paths(law.start - dc, starts - dz)
    for jacobian, a, b in zip((J, J_ends), up, down, strict=True):
        along = jacobian[..., :k] @ dc
        along += np.einsum("s...d,sd->s...", jacobian[..., k:], dz)
        np.testing.assert_allclose(along, (a - b) / 2, atol=1e-12, rtol=1e-6)


def test_a_start_from_which_the_law_runs_away_is_that_of_the_measurement():
    def field(t, y, c):  # q″ = k q³: rest at zero is kept, all else is lost
        return jnp.stack([y[1], c["k"] * y[0] ** 3])

    t = np.linspace(0.0, 4.0, 41)
    seen = []
    for size in (1e-3, 3.0, 2e-3):
        q, v = size * np.cos(2 * t), -2 * size * np.sin(2 * t)
        seen += data.trajectories_from({"t": t, "q": q, "v": v})
    options = {"kind": None, "friction": (), "sensors": ()}
    law = law_of(field, {"k": 50.0}, measured_by(seen[0]), **options)
    starts = starts_of(law, np.array([50.0]), seen, 4)
    assert starts.shape == (3, 2)
    assert np.all(np.isfinite(starts))
    np.testing.assert_array_equal(starts[1], [3.0, 0.0])
    fitted = [starts_of(law, np.array([50.0]), [seen[i]], 4)[0] for i in (0, 2)]
    np.testing.assert_allclose(starts[[0, 2]], fitted, rtol=1e-3)
    assert np.all(starts[[0, 2], 0] != [1e-3, 2e-3])


@pytest.mark.parametrize("kind", [PhaseState, TangentState])
def test_rates_that_were_measured_are_worth_more_than_noisy_states(kind):
    """A spring whose states are noisy and whose rates are not."""
    t = np.linspace(0.0, 3.0, 21)
    random = np.random.default_rng(0)
    seen = []
    for phase, size in ((0.0, 1.0), (1.0, 0.6), (2.0, 0.8)):
        q, p = size * np.cos(t + phase), -size * np.sin(t + phase)
        noisy = [x + 0.05 * random.normal(size=x.shape) for x in (q, p)]
        columns = [x[None, :, None] for x in (*noisy, p, -q)]
        seen.append(Trajectories(t, kind(*columns[:2]), rate=kind(*columns[2:])))
    if kind is PhaseState:
        motion = models.dynamics(models.hnn(1, hidden=(4,), dtype="float64"))
    else:
        motion = models.neural_ode(1, hidden=(4,), state=kind, dtype="float64")
    recipe = learning.Recipe(optimizer="levenberg_marquardt", steps=30)
    begun = learning.learn(motion, recipe, seen, key=jax.random.key(0), progress=False)
    errors = []
    for rates in (False, True):
        whole = learning.learn_whole(
            motion, seen, begun.state.params, rates=rates, steps=15
        )
        assert whole.noise.shape == (2,)
        assert whole.rms == pytest.approx(0.05, rel=0.3)
        found = whole.rollouts(seen)[1].y.q[0, :, 0]
        errors.append(np.sqrt(np.mean((found - 0.6 * np.cos(t + 1.0)) ** 2)))
    assert errors[1] < errors[0] / 3
    bare = [each._replace(rate=None) for each in seen]
    with pytest.raises(ValueError, match="rates=True, and a record has none"):
        learning.learn_whole(motion, bare, begun.state.params, rates=True)


def test_many_unknowns_with_a_prior_have_the_exact_ridge_solution():
    random = np.random.default_rng(0)
    wide = np.full(20, np.inf)
    for rows in (6, 40):  # fewer and more residuals than unknowns
        A, b = random.normal(size=(rows, 20)), random.normal(size=rows)
        prior = Prior(random.uniform(0.5, 2.0, 20), random.normal(size=20))
        H = A.T @ A + np.diag(prior.precision)
        truth = np.linalg.solve(H, A.T @ b + prior.precision * prior.mean)
        found = levenberg_marquardt(
            lambda x, A=A, b=b: (A @ x - b, A),
            np.zeros(20),
            low=-wide,
            high=wide,
            prior=prior,
        )
        np.testing.assert_allclose(found.x, truth, atol=1e-6)


def test_errors_of_a_linear_function_are_those_of_its_covariance():
    A = np.array([[1.0, 2.0], [0.0, 3.0]])
    C = np.array([[2.0, 0.5], [0.5, 1.0]])
    found = deviations(lambda c: jnp.asarray(A) @ c, np.ones(2), C)
    np.testing.assert_allclose(found, np.sqrt(np.diag(A @ C @ A.T)), rtol=1e-6)


@pytest.mark.long
def test_a_damped_pendulum_is_told_from_a_conservative_one(tmp_path, capsys):
    """In one command, without momenta: the law that keeps its energy loses visibly."""
    path = tmp_path / "swing.csv"
    header = "time [s],theta,omega"
    np.savetxt(path, np.stack(damped(), 1), "%.9g", ",", header=header, comments="")
    out = tmp_path / "fit"
    arguments = ["fit", "hnn", "port_hamiltonian", "--data", str(path)]
    arguments += ["--hidden", "5", "--out", str(out), "--no-progress"]
    assert cli.main(arguments) == 0
    said = capsys.readouterr().out
    assert "recommended: port_hamiltonian" in said
    report = learning_report(out)
    right, wrong = report["laws"]
    assert right["law"] == "port_hamiltonian"
    assert right["misfit"] < 2
    assert right["misfit_held_out"] < 3
    assert wrong["misfit"] > 10
    assert right["energy_change"] == pytest.approx(
        report["measured_energy_change"], abs=0.05
    )
    assert abs(wrong["energy_change"]) < 0.05
    page = Page.of((out / "report.html").read_text())
    assert page.figures == 2
    assert [row[0] for row in page.rows[1:3]] == ["port_hamiltonian", wrong["law"]]
    assert f"Recommended: port_hamiltonian, {report['reason']}." in page.text
    assert cli.main(["fit", "hnn", "auto", "--data", str(path)]) == 2
    assert "law" in capsys.readouterr().err


@pytest.mark.long
def test_a_signal_leaves_the_laws_that_were_fitted_until_then():
    t, q, v = (x[:60] for x in damped())
    seen = data.trajectories_from({"t": t, "q": q, "v": v})
    options = {"laws": ("neural_ode", "hnn", "separable"), "hidden": (4,)}

    def told(line):
        if line.startswith("hnn"):
            signal.raise_signal(signal.SIGINT)

    kept = []
    found = learning.which_law(
        seen, told=told, kept=kept.append, seconds=5.0, **options
    )
    assert [[row.name for row in each.rows] for each in kept] == [["neural_ode"]]
    assert kept[0].report()["status"] == "finished"
    assert found.interrupted
    assert [row.name for row in found.rows] == ["neural_ode"]
    assert found.report()["status"] == "interrupted"
    assert "not tried: separable, interrupted" in str(found)
    with pytest.raises(KeyboardInterrupt):
        learning.which_law(
            seen, told=lambda line: signal.raise_signal(signal.SIGINT), **options
        )


@pytest.mark.long
def test_some_of_several_trials_are_held_out_whole_and_have_bands(tmp_path):
    found = simulated(systems.pendulum(), jax.random.key(0), 6, np.linspace(0, 4, 41))
    path, out = tmp_path / "swings.npz", tmp_path / "out"
    data.save_trajectories(path, found)
    options = ["--hidden", "4", "--seconds", "3", "--data", str(path)]
    assert cli.main(["fit", "hnn", "neural_ode", *options, "--out", str(out)]) == 0
    report = learning_report(out)
    assert report["status"] == "finished"
    for row in report["laws"]:
        assert np.isfinite(row["misfit_held_out"])
        assert 0 < row["band_coverage"] <= 1
    assert (out / "record.png").exists()


def learning_report(out):
    return json.loads((out / "ranking.json").read_text())


def test_records_that_are_whole_need_double_precision():
    motion = models.dynamics(models.hnn(1, hidden=(4,)))
    t, q, p = damped()
    seen = data.trajectories_from({"t": t, "q": q, "p": p})
    assert isinstance(seen[0].y, PhaseState)
    jax.config.update("jax_enable_x64", False)
    try:
        with pytest.raises(ValueError, match="float64"):
            learning.learn_whole(motion, seen, motion.init(jax.random.key(0)))
    finally:
        jax.config.update("jax_enable_x64", True)
