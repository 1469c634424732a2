"""`jaxphys fit`: from somebody's file to a Hamiltonian that can be called."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from jaxphys import checkpoint, cli, data, integrators, mechanics, systems
from jaxphys.experiments import fitting
from jaxphys.experiments.fitting import FitOptions
from jaxphys.types import PhaseState

pytestmark = pytest.mark.x64

#: A pendulum of half a metre: mass, and g over length.
MASS, PULL = 0.25, 9.81 / 0.5


def swing(count=500, dt=0.01, noise=0.01, start=1.6):
    """Angle and rate of one measured swing."""
    rng = np.random.default_rng(0)
    step = integrators.rk4(lambda t, y, args: jnp.stack([y[1], -PULL * jnp.sin(y[0])]))
    first = jnp.array([start, 0.0])
    path = integrators.rollout(step, first, dt=dt, num_steps=count - 1, substeps=5)
    q, v = np.asarray(path).T
    t = dt * np.arange(count)
    return t, q + noise * rng.normal(size=count), v + 5 * noise * rng.normal(size=count)


def write(path, header, *columns):
    np.savetxt(
        path, np.column_stack(columns), delimiter=",", header=header, comments=""
    )
    return path


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """A Hamiltonian of one noisy swing of 500 points, measured by angle and rate."""
    directory = tmp_path_factory.mktemp("lab")
    path = write(directory / "swing.csv", "t,q,v", *swing())
    arguments = ["fit", "hnn", "--data", path, "--mass", MASS, "--periodic", "True"]
    arguments += ["--steps", 40, "--out", directory / "fit", "--no-progress"]
    assert cli.main([str(x) for x in arguments]) == 0
    return directory / "fit"


def report_of(out):
    return json.loads((out / "report.json").read_text())


def test_one_noisy_swing_is_enough_to_follow_what_was_held_out(fitted):
    report = report_of(fitted)
    held = report["held_out"]
    assert report["data"]["window"] > 5
    assert report["data"]["mode"] == "trajectories"
    assert held["valid_time"]["median"] == held["duration"]["median"]
    assert held["rollout_error"]["median"] < 0.02
    assert held["energy_drift"]["median"] < 1e-6
    assert held["measured_energy_spread"]["median"] < 0.02
    assert report["losses"]["validation_loss"] < 1e-3


def test_the_model_is_a_hamiltonian_that_mechanics_takes(fitted):
    energy = checkpoint.load(fitted)
    # On the one energy that was measured: elsewhere nothing is known.
    q = jnp.array([0.4])
    v = jnp.sqrt(2 * PULL * (jnp.cos(q) - np.cos(1.6)))
    p = MASS * v
    assert energy(q, p) == energy(None, q, p) == energy(energy.params, q, p)
    rate = mechanics.hamiltonian_vector_field(energy)(0.0, PhaseState(q, p), None)
    np.testing.assert_allclose(rate.q, v, rtol=0.05)
    np.testing.assert_allclose(rate.p, -MASS * PULL * np.sin(q), rtol=0.05)
    step = integrators.rk4(mechanics.hamiltonian_vector_field(energy))
    path = integrators.rollout(step, PhaseState(q, p), dt=0.01, num_steps=20)
    assert np.all(np.isfinite(path.q))


def test_it_leaves_a_report_figures_and_no_half_written_file(fitted):
    for name in ("losses.png", "motion.png", "energy.png"):
        with Image.open(fitted / name) as image:
            assert image.size[0] > 600
    assert not list(fitted.rglob("*.part"))
    report = report_of(fitted)
    assert report["options"]["data"].endswith("swing.csv")
    assert report["training"]["updates"] == 40


def test_nothing_is_overwritten_and_training_goes_on(fitted, capsys):
    before = (fitted / "model.npz").read_bytes()
    data_file = str(fitted.parent / "swing.csv")
    arguments = ["fit", "hnn", "--data", data_file, "--mass", str(MASS)]
    arguments += ["--periodic", "True", "--no-progress", "--out", str(fitted)]
    assert cli.main([*arguments, "--steps", "50"]) == 2
    assert "nothing was overwritten" in capsys.readouterr().err
    assert (fitted / "model.npz").read_bytes() == before
    assert cli.main([*arguments, "--steps", "50", "--resume"]) == 0
    assert report_of(fitted)["training"]["updates"] == 50


@pytest.mark.long
def test_simulated_files_with_many_motions_hold_whole_ones_out(tmp_path):
    system = systems.pendulum()
    found = data.simulated(system, jax.random.key(0), 6, np.linspace(0, 4, 41))
    path = data.save_trajectories(tmp_path / "motions.npz", found)
    options = FitOptions(
        data=path, steps=25, hidden=(16, 16), out=tmp_path / "fit", progress=False
    )
    done = fitting.run("separable", options)
    assert done.report["data"]["held_out_by"] == "trajectory"
    assert done.report["data"]["mode"] == "derivatives"
    assert done.report["data"]["periodic"] == [True]
    assert done.report["losses"]["validation_loss"] < 1e-3
    assert done.model.kind == "separable"


@pytest.mark.long
def test_uneven_times_are_followed_as_they_are(tmp_path):
    t, q, v = swing(300, noise=0.0)
    rows = np.sort(np.random.default_rng(1).permutation(300)[:150])
    path = write(tmp_path / "uneven.csv", "t,q,p", t[rows], q[rows], MASS * v[rows])
    options = FitOptions(
        data=path,
        mode="trajectories",
        chunk=3,
        steps=30,
        hidden=(16, 16),
        out=tmp_path / "fit",
        progress=False,
    )
    done = fitting.run("hnn", options)
    assert done.report["held_out"]["rollout_error"]["median"] < 0.02


def attempt(tmp_path, header="t,q,p", rows=None, kind="hnn", **options):
    t, q, v = swing(60, noise=0.0)
    columns = (t, q, MASS * v) if rows is None else rows(t, q, v)
    path = write(tmp_path / "some.csv", header, *columns)
    chosen = dataclasses.replace(
        FitOptions(data=path, out=tmp_path / "fit", steps=1, progress=False), **options
    )
    try:
        return fitting.run(kind, chosen)
    finally:
        assert not (tmp_path / "fit").exists() or not list((tmp_path / "fit").iterdir())


def with_gap(t, q, v):
    q = q.copy()
    q[[7, 9]] = np.nan
    return t, q, v


BAD = {
    "columns": ({"header": "time,angle,p"}, r"no column q.*Is 'angle' meant as 'q'"),
    "holes": ({"rows": with_gap}, r"column q .* lines, 9, 11"),
    "backward": ({"rows": lambda t, q, v: (t[::-1], q, v)}, "do not increase"),
    "mass": ({"header": "t,q,v"}, "give --mass, or fit second_order"),
    "velocity": ({"kind": "second_order"}, "momenta and no velocities"),
    "chunk": ({"mode": "trajectories", "chunk": 70}, "longest trajectory has 48 times"),
    "periodic": ({"periodic": (True, False)}, "the data have 1 coordinates"),
    "window": ({"window": 4}, "expected 0 or an odd number"),
    "mode": ({"mode": "derivative"}, "Did you mean 'derivatives'"),
    "model": ({"kind": "hhn"}, "Did you mean 'hnn'"),
    "relu": ({"activation": "relu"}, "derivative is a step"),
    "leapfrog": (
        {"kind": "dissipative", "mode": "trajectories", "integrator": "leapfrog"},
        "leave out all else",
    ),
    "part": ({"hold_out": 1.5}, "between 0 and 1"),
    "budget": ({"seconds": 3.0}, "exactly one of steps"),
    "dtype": ({"dtype": "float16"}, "float32"),
}


@pytest.mark.parametrize(("changes", "words"), BAD.values(), ids=BAD)
def test_what_cannot_be_meant_is_told_and_nothing_written(tmp_path, changes, words):
    with pytest.raises(ValueError, match=words):
        attempt(tmp_path, **changes)


def test_angles_in_degrees_are_noticed(tmp_path):
    t, q, v = swing(60, noise=0.0)
    path = write(tmp_path / "degrees.csv", "t,q,p", t, np.rad2deg(9 * q), v)
    with pytest.warns(UserWarning, match="looks like degrees"):
        fitting.prepare(FitOptions(data=path, periodic=(True,)), PhaseState)


def test_a_missing_file_is_told(tmp_path, capsys):
    assert cli.main(["fit", "hnn", "--data", str(tmp_path / "none.csv")]) == 2
    assert "none.csv" in capsys.readouterr().err
    assert cli.main(["fit"]) == 2
    assert "needs the name of a model" in capsys.readouterr().err
