"""`jaxphys fit`: from somebody's file to an energy that can be called."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from html_page import Page
from PIL import Image

from jaxphys import (
    checkpoint,
    cli,
    commands,
    data,
    integrators,
    mechanics,
    models,
    systems,
)
from jaxphys.commands import FitOptions, fitting
from jaxphys.data import Chunk, Trajectories
from jaxphys.motion import follow, simulated
from jaxphys.types import Dynamics, Model, PhaseState, TangentState

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
    arguments += ["--hidden", 12, 12, "--chunk", 5, "--steps", 16, "--no-progress"]
    arguments += ["--out", directory / "fit"]
    assert cli.main([str(x) for x in arguments]) == 0
    return directory / "fit"


def report_of(out):
    return json.loads((out / "report.json").read_text())


def test_one_noisy_swing_is_enough_to_follow_what_was_held_out(fitted):
    report = report_of(fitted)
    held = report["held_out"]
    assert report["data"]["window"] > 5
    assert report["data"]["mode"] == "whole"
    assert report["whole"]["joined"]
    assert report["whole"]["rollout_misfit"] < 1.5
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
    assert report["training"]["updates"] == 16
    page = Page.of((fitted / "report.html").read_text())
    assert page.figures == len(list(fitted.glob("*.png")))
    found = report["baseline"]
    assert max(found["rms"]) < min(found["constant"])
    for name, *numbers in zip(*found.values(), strict=True):
        assert [name, *(f"{x:.4g}" for x in numbers)] in page.rows
    assert ["hidden layers", "12, 12", "asked for"] in page.rows
    for text in ("--chunk 5 --steps 16 --hidden 12 12", "swing.csv, SHA-256", "jaxlib"):
        assert text in page.text
    assert all(line in page.text for line in report["data"]["look"]["warnings"])


@pytest.mark.long
def test_nothing_is_overwritten_and_training_goes_on(fitted, capsys):
    before = (fitted / "model.npz").read_bytes()
    data_file = str(fitted.parent / "swing.csv")
    arguments = ["fit", "hnn", "--data", data_file, "--mass", str(MASS)]
    arguments += ["--hidden", "12", "12", "--chunk", "5", "--no-progress"]
    arguments += ["--periodic", "True", "--out", str(fitted)]
    assert cli.main([*arguments, "--steps", "20"]) == 2
    assert "nothing was overwritten" in capsys.readouterr().err
    assert (fitted / "model.npz").read_bytes() == before
    assert cli.main([*arguments, "--steps", "20", "--resume"]) == 0
    assert report_of(fitted)["training"]["updates"] == 20


@pytest.mark.long
def test_simulated_files_with_many_motions_hold_whole_ones_out(tmp_path):
    system = systems.pendulum()
    found = simulated(system, jax.random.key(0), 6, np.linspace(0, 4, 41))
    path = data.save_trajectories(tmp_path / "motions.npz", found)
    options = FitOptions(
        data=path, steps=25, hidden=(16, 16), out=tmp_path / "fit", progress=False
    )
    done = commands.fit("separable", options)
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
    done = commands.fit("hnn", options)
    assert done.report["held_out"]["rollout_error"]["median"] < 0.02


def test_a_fitted_motion_is_predicted_as_a_table(fitted, capsys):
    state = ["--state", "1.2", "0.0", "--duration", "0.5", "--plot"]
    assert cli.main(["predict", str(fitted), *state]) == 0
    assert "51 rows to t = 0.5" in capsys.readouterr().out
    rows = np.genfromtxt(fitted / "prediction.csv", delimiter=",", names=True)
    assert rows.dtype.names == ("t", "q", "p", "energy")
    field = jax.jit(
        integrators.rk4(mechanics.hamiltonian_vector_field(checkpoint.load(fitted)))
    )
    y = PhaseState(jnp.array([1.2]), jnp.zeros(1))
    for _ in range(200):
        y = field(0.0, y, 0.0025, None)
    np.testing.assert_allclose(rows["q"][-1], y.q[0], rtol=1e-6)
    assert np.ptp(rows["energy"]) < 1e-6 * np.ptp(rows["p"])
    assert (fitted / "prediction.png").exists()
    (again,) = data.read_trajectories(fitted / "prediction.csv")
    assert again.y.q.shape == (1, 51, 1)
    for wrong, words in (
        (["--state", "1", "2", "3"], "state has 3 values; expected 2 finite ones"),
        (["--state", "1", "0"], "duration is missing"),
        (["--state", "1", "0", "--duration", "-1"], "duration is -1.0"),
        (["--state", "1", "0", "--input", "u.csv"], "takes no input file"),
    ):
        assert cli.main(["predict", str(fitted), *wrong]) == 2
        assert words in capsys.readouterr().err
    assert cli.main(["predict"]) == 2


def test_a_predicted_motion_follows_its_inputs(tmp_path, capsys):
    given = {"num_coordinates": 1, "hidden": [4], "num_controls": 1}
    params = checkpoint.build("delan", given).init(jax.random.key(0))
    look = {"units": ["rad"], "periodic": [True], "ranges": {"q": [[-1, 1]]}}
    look["ranges"]["v"] = [[-0.5, 0.5]]
    notes = {"look": look}
    checkpoint.save_model(tmp_path / "model.npz", "delan", given, params, notes)
    t = np.array([0.0, 0.3, 0.8, 1.0])
    write(tmp_path / "push.csv", "time,torque", t, [1.0, -2.0, 0.0, 0.0])
    options = commands.PredictOptions(
        (0.1, 0.0), dt=0.1, input=tmp_path / "push.csv", out=tmp_path / "motion.csv"
    )
    found = commands.predict(tmp_path, options).trajectories
    np.testing.assert_allclose(found.t, np.linspace(0, 1, 11), atol=1e-12)
    wanted = [1.0] * 3 + [-2.0] * 5 + [0.0] * 3
    np.testing.assert_array_equal(found.u[0, :, 0], wanted)
    assert "the input is zero" not in capsys.readouterr().out
    free = dataclasses.replace(options, input=None, duration=1.0)
    other = commands.predict(tmp_path, free).trajectories
    said = capsys.readouterr().out.splitlines()[0]
    assert said == "the input is zero (--input FILE gives one); states in rad, rad/s"
    notes["intersample"] = "linear"
    checkpoint.save_model(tmp_path / "model.npz", "delan", given, params, notes)
    sloped = commands.predict(tmp_path, options).trajectories
    wanted = np.interp(sloped.t, t, [1.0, -2.0, 0.0, 0.0])
    np.testing.assert_allclose(sloped.u[0, :, 0], wanted)
    assert abs(sloped.y.q[0, -1, 0] - found.y.q[0, -1, 0]) > 1e-3
    capsys.readouterr()
    for state, outside in (((0.1 + 2 * np.pi, 0.0), False), ((0.1, 0.7), True)):
        commands.predict(tmp_path, dataclasses.replace(free, state=state))
        printed = capsys.readouterr().out
        assert ("the start lies outside of the data" in printed) == outside
    assert abs(other.y.q[0, -1, 0] - found.y.q[0, -1, 0]) > 1e-3
    with pytest.raises(ValueError, match="ends at t = 1, before the motion does"):
        commands.predict(tmp_path, dataclasses.replace(options, duration=3.0))


# Lagrangians


@pytest.fixture(scope="module")
def free(tmp_path_factory):
    """A Lagrangian of one clean swing, told by angle and rate alone."""
    directory = tmp_path_factory.mktemp("free")
    path = write(directory / "swing.csv", "t,q,v", *swing(100, dt=0.04, noise=0.0))
    arguments = ["fit", "lnn", "--data", path, "--periodic", "True", "--no-progress"]
    arguments += ["--hidden", 12, "--steps", 40, "--out", directory / "fit"]
    assert cli.main([str(x) for x in arguments]) == 0
    return directory / "fit"


@pytest.mark.long
def test_angles_and_rates_alone_are_enough_for_a_lagrangian(free):
    report = report_of(free)
    held = report["held_out"]
    assert report["data"]["mode"] == "derivatives"
    assert held["valid_time"]["median"] == held["duration"]["median"]
    assert held["rollout_error"]["median"] < 1e-3
    assert held["energy_drift"]["median"] < 1e-6
    assert report["losses"]["validation_loss"] < 1e-6
    assert (free / "energy.png").exists()


def test_a_learned_lagrangian_is_one_that_mechanics_takes(free):
    learned = checkpoint.load(free)
    assert learned.arguments["activation"] == "softplus"
    q = jnp.array([0.4])
    v = jnp.sqrt(2 * PULL * (jnp.cos(q) - np.cos(1.6)))
    accelerate = jax.jit(mechanics.acceleration(learned.lagrangian))
    np.testing.assert_allclose(accelerate(None, q, v), -PULL * np.sin(q), rtol=1e-3)
    field = jax.jit(learned.dynamics.vector_field)
    rate = field(0.0, TangentState(q, v), learned.params)
    np.testing.assert_allclose(accelerate(None, q, v), rate.v, rtol=1e-9)
    energy = mechanics.energy(learned.lagrangian)(None, q, v)
    np.testing.assert_allclose(learned(q, v), energy, rtol=1e-12)


def robot(arm, count=20, times=30):
    """Motions of an arm along sines, with the torques that these take."""
    t = 0.02 * np.arange(times)
    random = np.random.default_rng(0)
    n = len(arm.periodic)
    size, rate, phase = random.uniform(0.3, 1.0, (3, count, 1, n, 2))
    angle = rate * t[None, :, None, None] + 3 * phase
    q, v, a = (
        np.sum(x, axis=-1)
        for x in (
            size * np.sin(angle),
            size * rate * np.cos(angle),
            -size * rate**2 * np.sin(angle),
        )
    )
    torque = mechanics.inverse_dynamics(arm.lagrangian)
    every = jax.jit(jax.vmap(jax.vmap(lambda *x: torque(arm.params, *x))))
    u = np.asarray(every(*map(jnp.asarray, (q, v, a))))
    meta = {"periodic": list(arm.periodic)}
    return Trajectories(t, TangentState(q, v), TangentState(v, a), u=u, meta=meta)


@pytest.mark.long
def test_torques_teach_an_arm_its_masses(tmp_path):
    arm = systems.two_link_arm()
    path = data.save_trajectories(tmp_path / "arm.npz", robot(arm))
    options = FitOptions(
        data=path, steps=60, hidden=(16,), out=tmp_path / "fit", progress=False
    )
    done = commands.fit("delan", options)
    assert done.report["data"]["mode"] == "torques"
    assert done.report["data"]["inputs"] == "direct"
    assert done.report["losses"]["validation_loss"] < 1e-4
    held = done.report["held_out"]
    assert held["valid_time"]["median"] == held["duration"]["median"]
    assert held["rollout_error"]["median"] < 0.01
    assert "energy_drift" not in held
    learned = checkpoint.load(tmp_path / "fit", "delan")
    matrix = jax.jit(mechanics.mass_matrix(learned.lagrangian))
    true = jax.jit(mechanics.mass_matrix(arm.lagrangian))
    for q in np.random.default_rng(1).uniform(-1, 1, (5, 2)):
        mass = np.asarray(matrix(None, q, np.zeros(2)))
        np.testing.assert_allclose(mass, mass.T, rtol=1e-9)
        assert np.linalg.eigvalsh(mass)[0] > 0
        wanted = np.asarray(true(arm.params, q, np.zeros(2)))
        np.testing.assert_allclose(mass, wanted, atol=0.1)


def body(mass):
    """The motion of a free body under a force, as a model of it would have it."""
    model = Model(lambda key: {}, lambda params, q, v: params * mass * v @ v / 2)
    return models.forced(model, 1, 1)


def test_inputs_are_held_from_time_to_time_where_a_motion_is_followed():
    mass, t = 2.0, np.array([0.0, 0.5, 0.6, 1.6, 2.0])
    u = np.array([1.0, -3.0, 2.0, 0.5, 9.0])
    dt = np.diff(t)
    v = np.concatenate([[0.3], 0.3 + np.cumsum(u[:-1] / mass * dt)])
    q = np.concatenate([[1.0], 1.0 + np.cumsum((v[1:] + v[:-1]) / 2 * dt)])
    states = TangentState(q[None, :, None], v[None, :, None])
    seen = Trajectories(t, states, u=u[None, :, None])
    params = {"lagrangian": jnp.asarray(1.0)}
    follower = fitting.Follower(body(mass))
    path = follower.follow(params, seen)
    for found, expected in zip(path.y, states, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-12)
    found = follower.judge(params, [seen], conservative=False)
    assert found["rollout_error"]["median"] < 1e-12


@pytest.mark.parametrize("window", [0, 7])
def test_accelerations_of_differences_go_with_the_inputs_that_made_them(
    tmp_path, window
):
    """Of a free body they are in proportion, wherever and however the input jumps."""
    mass, count = 2.0, 40
    random = np.random.default_rng(0)
    t = np.cumsum(random.uniform(0.5, 1.5, count))
    u = random.normal(size=count)
    v = np.concatenate([[0.0], np.cumsum(u[:-1] / mass * np.diff(t))])
    q = np.concatenate([[0.0], np.cumsum((v[1:] + v[:-1]) / 2 * np.diff(t))])
    path = write(tmp_path / "pushed.csv", "t,q,v,u", t, q, v, u)
    for mode in ("torques", "trajectories"):
        options = FitOptions(data=path, mode=mode, window=window)
        ready = fitting.prepare("delan", options)
        ((train,), (held_out,)) = ready.train, ready.held_out
        got = np.concatenate([train.u, held_out.u], axis=1)[0, :, 0]
        if mode == "trajectories":
            np.testing.assert_allclose(got, u)
            continue
        dv = np.concatenate([train.rate.v, held_out.rate.v], axis=1)[0, :, 0]
        np.testing.assert_allclose(got, mass * dv, atol=1e-9)
        if window:
            assert np.max(np.abs(got - u)) > 0.1
        else:
            # Two points of each interval, with what was held there.
            np.testing.assert_array_equal(got, np.repeat(u[:-1], 2))
        (raw,) = ready.raw
        np.testing.assert_allclose(raw.u[0, :, 0], u[-len(raw.t) :])


def test_what_auto_takes_depends_on_the_model_and_on_its_inputs(tmp_path):
    seen = robot(systems.two_link_arm(), 3, 12)
    one = seen._replace(u=seen.u[..., :1])
    cases = [
        ("delan", seen, "torques", "direct", {}),
        ("lnn", seen, "derivatives", "direct", {}),
        ("delan", seen, "derivatives", "learned", {"inputs": "learned"}),
        ("delan", one, "derivatives", "learned", {}),
        ("delan", seen._replace(u=0 * seen.u), "derivatives", "direct", {}),
        ("delan", seen._replace(u=None), "derivatives", None, {}),
    ]
    for kind, found, mode, inputs, asked in cases:
        path = data.save_trajectories(tmp_path / "arm.npz", found)
        options = FitOptions(data=path, **asked)
        ready = fitting.prepare(kind, options)
        assert (ready.mode, ready.inputs) == (mode, inputs)
        given = fitting.arguments_of(kind, options, ready)
        assert given.get("inputs") == inputs
        size = 0 if found.u is None else found.u.shape[2]
        assert checkpoint.build(kind, given).num_controls == size


def test_velocities_are_smoothed_where_they_are_noisy_and_not_where_they_have_corners(
    tmp_path,
):
    t = 0.02 * np.arange(400)
    u = np.repeat(np.random.default_rng(0).normal(size=40), 10)
    v = np.concatenate([[0.0], np.cumsum(u[:-1] * 0.02)])
    q = np.concatenate([[0.0], np.cumsum((v[1:] + v[:-1]) * 0.01)])
    noise = 0.05 * np.random.default_rng(1).normal(size=400)
    for added, smooth in ((0 * noise, False), (noise, True)):
        path = write(tmp_path / "pushed.csv", "t,q,v,u", t, q, v + added, u)
        ready = fitting.prepare("delan", FitOptions(data=path))
        assert (ready.window > 0) is smooth


def test_noisy_data_are_matched_by_their_smoothed_derivatives_for_lagrangians(tmp_path):
    path = write(tmp_path / "swing.csv", "t,q,v", *swing(200))
    for kind, mode in (("hnn", "whole"), ("lnn", "derivatives")):
        options = FitOptions(data=path, mass=(MASS,) if kind == "hnn" else ())
        ready = fitting.prepare(kind, options)
        assert ready.window > 0
        assert ready.mode == mode
    assert ready.train[0].rate is not None


def test_units_of_force_change_the_scale_of_a_lagrangian_and_nothing_else(tmp_path):
    """In other units of force the same weights are the same motion."""
    seen = robot(systems.two_link_arm(), 3, 12)
    q, v = jnp.array([0.3, 0.5]), jnp.array([1.0, -1.0])
    energies = []
    for unit in (1.0, 1e4):
        path = data.save_trajectories(
            tmp_path / "arm.npz", seen._replace(u=unit * seen.u)
        )
        options = FitOptions(data=path, hidden=(8,))
        ready = fitting.prepare("delan", options)
        given = fitting.arguments_of("delan", options, ready)
        motion = checkpoint.build("delan", given)
        params = motion.init(jax.random.key(0))
        energies.append(jax.jit(motion.energy)(params, q, v) / unit)
    np.testing.assert_allclose(*energies, rtol=1e-9)


@pytest.mark.long
@pytest.mark.parametrize("kind", ["lnn", "delan"])
def test_what_a_motion_loses_is_learned_beside_its_lagrangian(kind, tmp_path):
    loss = 0.4
    step = integrators.rk4(
        lambda t, y, args: jnp.stack([y[1], -PULL * jnp.sin(y[0]) - loss * y[1]])
    )
    path = integrators.rollout(step, jnp.array([2.5, 0.0]), dt=0.02, num_steps=300)
    q, v = np.asarray(path).T
    path = write(tmp_path / "lossy.csv", "t,q,v", 0.02 * np.arange(len(q)), q, v)
    errors = {}
    for friction in (True, False):
        options = FitOptions(
            data=path,
            periodic=(True,),
            dissipation=friction,
            steps=100,
            hidden=(16,),
            out=tmp_path / f"fit-{friction}",
            progress=False,
        )
        done = commands.fit(kind, options)
        errors[friction] = done.report["held_out"]["rollout_error"]["median"]
    assert errors[True] < 1e-2 < errors[False]
    learned = checkpoint.load(tmp_path / "fit-True")
    y = TangentState(jnp.array([0.5]), jnp.array([2.0]))
    conservative = mechanics.acceleration(learned.lagrangian)(None, *y)
    rate = learned.dynamics.vector_field(0.0, y, learned.params)
    np.testing.assert_allclose(rate.v - conservative, -loss * y.v, rtol=0.3)


@pytest.mark.long
def test_one_motor_that_moves_two_coordinates_is_learned(tmp_path):
    cart = systems.cart_pole()
    field = mechanics.lagrangian_vector_field(
        lambda args, q, v: cart.lagrangian(args[0], q, v),
        force=lambda t, y, args: jnp.stack([args[1][0], 0.0]),
    )
    path = follow(Dynamics(lambda key: {}, field, TangentState), substeps=5)
    random = np.random.default_rng(0)
    t = 0.02 * np.arange(100)
    u = np.repeat(5 * random.normal(size=(8, 10, 1)), 10, axis=1)
    starts = jax.vmap(cart.sample_tangent)(jax.random.split(jax.random.key(0), 8))

    def one(y, u):
        later = path(cart.params, Chunk(jnp.asarray(t), y, u[:-1]))
        return jax.tree.map(lambda a, b: jnp.vstack([a, b]), y, later)

    q, v = jax.jit(jax.vmap(one))(starts, jnp.asarray(u))
    meta = {"periodic": list(cart.periodic)}
    y = TangentState(np.asarray(q), np.asarray(v))
    seen = Trajectories(t, y, u=u, meta=meta)
    path = data.save_trajectories(tmp_path / "cart.npz", seen)
    options = FitOptions(
        data=path, steps=200, hidden=(16, 16), out=tmp_path / "fit", progress=False
    )
    done = commands.fit("delan", options)
    held = done.report["held_out"]
    assert done.report["data"]["inputs"] == "learned"
    assert held["valid_time"]["median"] == held["duration"]["median"]


def attempt(tmp_path, header="t,q,p", rows=None, kind="hnn", **options):
    t, q, v = swing(60, noise=0.0)
    columns = (t, q, MASS * v) if rows is None else rows(t, q, v)
    path = write(tmp_path / "some.csv", header, *columns)
    chosen = dataclasses.replace(
        FitOptions(data=path, out=tmp_path / "fit", steps=1, progress=False), **options
    )
    try:
        return commands.fit(kind, chosen)
    finally:
        assert not (tmp_path / "fit").exists() or not list((tmp_path / "fit").iterdir())


BAD = {
    "columns": ({"header": "time,height,p"}, r"no column q.*--columns height:q"),
    "backward": ({"rows": lambda t, q, v: (t[::-1], q, v)}, "do not increase"),
    "mass": (
        {"header": "t,q1,q2,v1,v2", "rows": lambda t, q, v: (t, q, -q, v, -v)},
        "give --mass, or fit lnn, delan or second_order",
    ),
    "velocity": ({"kind": "second_order"}, "momenta and no velocities"),
    "lagrangian": ({"kind": "lnn"}, "momenta and no velocities, which lnn needs"),
    "no inputs": (
        {"kind": "delan", "header": "t,q,v", "mode": "torques"},
        "has no inputs u",
    ),
    "torques": ({"mode": "torques"}, "for lnn and delan; hnn knows none of them"),
    "friction": ({"dissipation": True}, "for lnn and delan; hnn knows none of them"),
    "inputs": (
        {"header": "t,q,p,u", "rows": lambda t, q, v: (t, q, v, q)},
        "has inputs u, and hnn knows only of motions that are left alone",
    ),
    "input columns": (
        {
            "kind": "delan",
            "header": "t,q,v,u1,u2",
            "rows": lambda t, q, v: (t, q, v, q, q),
            "inputs": "direct",
        },
        "u has 2 columns and q 1",
    ),
    "learned torques": (
        {
            "kind": "delan",
            "header": "t,q,v,u1,u2",
            "rows": lambda t, q, v: (t, q, v, q, q),
            "mode": "torques",
        },
        "u has 2 columns that act on 1 coordinates by a learned matrix",
    ),
    "no torques": (
        {
            "kind": "lnn",
            "header": "t,q,v,u",
            "rows": lambda t, q, v: (t, q, v, 0 * q),
            "mode": "torques",
        },
        "all inputs u are zero",
    ),
    "chunk": ({"mode": "trajectories", "chunk": 70}, "longest trajectory has 48 times"),
    "periodic": ({"periodic": (True, False)}, "the data have 1 coordinates"),
    "column": ({"columns": ("q",)}, "columns has q; expected NAME:ROLE"),
    "role": ({"columns": ("angle:q",)}, "asks for angle, and there is no column"),
    "window": ({"window": 4}, "expected 0 or an odd number"),
    "mode": ({"mode": "derivative"}, "Did you mean 'derivatives'"),
    "model": ({"kind": "hhn"}, "Did you mean 'hnn'"),
    "relu": ({"activation": "relu"}, "derivative is a step"),
    "lagrangian relu": (
        {"kind": "delan", "header": "t,q,v", "activation": "relu"},
        "relu cannot learn a Lagrangian",
    ),
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
        fitting.prepare("hnn", FitOptions(data=path, periodic=(True,)))


def test_a_look_at_a_file_as_it_is_trains_nothing(tmp_path, capsys):
    """Wrapped angles, uneven steps, noise, a torque: usual names, no option."""
    t, q, v = swing(600, noise=0.01, start=3.1)
    spin = np.random.default_rng(0).uniform(size=600) < 0.8
    turned = (q + 2.0 + np.pi) % (2 * np.pi) - np.pi
    path = tmp_path / "lab.csv"
    names = "time [s],theta [rad],omega [rad/s],torque [Nm]"
    write(path, names, *(x[spin] for x in (t, turned, v, 0.1 * np.sin(t))))
    arguments = ["fit", "delan", "--data", path, "--dry-run", "--out", tmp_path / "fit"]
    assert cli.main([str(x) for x in arguments]) == 0
    said = capsys.readouterr().out
    for words in (
        "theta [rad] is q, omega [rad/s] is v, torque [Nm] is u",
        "uneven",
        "q jumps by whole turns",
        "velocities are the derivatives of the positions",
        "numbers for",
        "delan would match torques, smoothed over",
    ):
        assert words in said
    assert not (tmp_path / "fit").exists()
    ready = fitting.prepare("delan", FitOptions(data=path))
    assert ready.periodic == (True,)
    assert np.max(np.abs(np.diff(ready.measured[0].y.q[0, :, 0]))) < 1
    kept = fitting.prepare("delan", FitOptions(data=path, periodic=(False,)))
    assert np.max(np.abs(np.diff(kept.measured[0].y.q[0, :, 0]))) > 6
    with pytest.raises(ValueError, match=r"call commands\.look"):
        commands.fit("delan", FitOptions(data=path, dry_run=True))


def test_a_missing_file_is_told(tmp_path, capsys):
    assert cli.main(["fit", "hnn", "--data", str(tmp_path / "none.csv")]) == 2
    assert "none.csv" in capsys.readouterr().err
    assert cli.main(["fit"]) == 2
    assert "needs the name of a model" in capsys.readouterr().err
