"""`jaxphys simulate`: what a person types, what is computed, what is found after."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from every_system import EVERY
from PIL import Image

from jaxphys import cli, commands, data, plots, systems
from jaxphys.commands import SimulateOptions, simulation
from jaxphys.commands.simulation import constants, integration
from jaxphys.motion import INTEGRATORS
from jaxphys.types import PhaseState, Trajectories

needs_x64 = pytest.mark.x64
DTYPE = "float64" if jax.config.jax_enable_x64 else "float32"


def simulate(*arguments) -> int:
    return cli.main(["simulate", *map(str, arguments)])


def short(name: str, **options) -> tuple[Trajectories, simulation.SimulationInfo]:
    system = systems.get(name)
    given = {"duration": 10 * system.dt, "dtype": DTYPE} | options
    return simulation.integrate(system, SimulateOptions(**given))


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """One small run with everything, which several tests look at."""
    out = tmp_path_factory.mktemp("runs") / "double"
    options = ["--duration", 1, "--trajectories", 2, "--mass2", 3.0, "--out", out]
    assert simulate("double_pendulum", *options) == 0
    return out


@needs_x64
def test_a_run_leaves_the_trajectory_and_its_figures(stored):
    names = {path.name for path in stored.iterdir()}
    pictures = {"phase_space.png", "time_series.png", "energy.png", "animation.gif"}
    assert names == {"trajectory.npz", "results.json", *pictures}
    for name in pictures:
        with Image.open(stored / name) as image:
            assert len(np.unique(np.asarray(image.convert("L")))) > 30
    with Image.open(stored / "animation.gif") as image:
        # 1 s at 20 frames a second, in real time.
        assert (image.n_frames, image.info["duration"]) == (20, 50)
        first = np.asarray(image.convert("RGB"))
        assert tuple(first[0, 0]) == (255, 255, 255)
        image.seek(19)
        assert np.mean(first != np.asarray(image.convert("RGB"))) > 0.005


@needs_x64
def test_the_file_has_the_layout_that_is_documented(stored):
    with np.load(stored / "trajectory.npz", allow_pickle=False) as stored_arrays:
        arrays = {name: stored_arrays[name] for name in stored_arrays.files}
    meta = json.loads(str(arrays.pop("meta")))
    shapes = {name: array.shape for name, array in arrays.items()}
    moving = dict.fromkeys(("q", "p", "v", "dq", "dp"), (2, 501, 2))
    assert shapes == {"t": (501,), "energy": (2, 501), **moving}
    assert {array.dtype for array in arrays.values()} == {np.dtype("float64")}
    assert meta["system"] == "double_pendulum"
    assert meta["options"] == {"mass2": 3.0}
    assert meta["params"]["mass2"] == 3.0
    assert meta["units"] == ["rad", "rad"]
    assert meta["periodic"] == [True, True]
    assert meta["coordinates"] == [r"\theta_{1}", r"\theta_{2}"]
    assert (meta["dt"], meta["integrator"], meta["dtype"]) == (0.002, "rk4", "float64")
    assert meta["conservative"] is True
    np.testing.assert_allclose(arrays["t"], 0.002 * np.arange(501), atol=1e-12)


@needs_x64
def test_what_is_stored_obeys_the_system_it_names(stored):
    found = data.load_trajectories(stored / "trajectory.npz")
    system = systems.get(found.meta["system"], **found.meta["options"])
    y = jax.tree.map(lambda x: jnp.asarray(x[1, 7]), found.y)
    assert system.hamiltonian(system.params, *y) == pytest.approx(found.energy[1, 7])
    for x, rate in zip(found.y, found.rate, strict=True):
        slope = (x[:, 2:] - x[:, :-2]) / (2 * 0.002)
        missed = np.linalg.norm(slope - rate[:, 1:-1]) / np.linalg.norm(slope)
        assert missed < 0.02
    assert np.max(data.energy_error(found)) < 1e-4


def arrays_of(found: Trajectories) -> list[np.ndarray]:
    """Everything in it that has numbers."""
    return jax.tree.leaves(found._replace(meta=None))


@pytest.mark.parametrize("name", EVERY)
def test_every_system_runs_as_it_is(name):
    found, info = short(name, trajectories=2)
    assert info.message == ""
    assert isinstance(found.y, PhaseState)
    assert found.y.q.shape == (2, 11, len(systems.get(name).periodic))
    assert all(np.all(np.isfinite(x)) for x in arrays_of(found))
    assert {x.dtype for x in arrays_of(found)} == {np.dtype(DTYPE)}


@needs_x64
@pytest.mark.parametrize(
    "name", ["driven_oscillator", "n_body", "relativistic_particle"]
)
def test_float32_stays_float32(name):
    found, _ = short(name, dtype="float32", duration=2 * systems.get(name).dt)
    assert {x.dtype for x in arrays_of(found)} == {np.dtype("float32")}


@needs_x64
@pytest.mark.parametrize(
    "integrator",
    [
        x
        if x in ("leapfrog", "rk4", "implicit_midpoint", "dopri8")
        else pytest.param(x, marks=pytest.mark.long)
        for x in INTEGRATORS
    ],
)
def test_every_integrator_follows_the_same_motion(integrator):
    given = {"integrator": integrator, "duration": 1.0, "state": (1.0, 0.0)}
    found, info = short(
        "mass_spring", dt=1e-4 if "euler" in integrator else 0.01, **given
    )
    np.testing.assert_allclose(found.y.q[0, -1], np.cos(2.0), atol=1e-3)
    assert found.t[-1] == pytest.approx(1.0)
    assert (info.dt is None) == (INTEGRATORS[integrator].of == "adaptive")
    assert info.num_steps > 5


@needs_x64
def test_seeds_repeat_and_more_trajectories_leave_the_first_as_they_were():
    two, _ = short("duffing", trajectories=2, seed=3)
    three, _ = short("duffing", trajectories=3, seed=3)
    again, _ = short("duffing", trajectories=3, seed=3)
    other, _ = short("duffing", trajectories=2, seed=4)
    single, _ = short("duffing", trajectories=2, seed=3, dtype="float32")
    np.testing.assert_array_equal(three.y.q, again.y.q)
    np.testing.assert_array_equal(two.y.q[:, 0], three.y.q[:2, 0])
    np.testing.assert_allclose(single.y.q, two.y.q, atol=1e-5)
    assert not np.allclose(two.y.q, other.y.q)


@needs_x64
def test_a_state_is_given_by_momenta_or_by_velocities():
    by_momenta, _ = short("mass_spring", state=(1.0, 0.5))
    by_velocities, _ = short("mass_spring", state=(1.0, 1.0), velocities=True)
    np.testing.assert_allclose(by_momenta.y.q, by_velocities.y.q)
    assert by_momenta.meta["seed"] is None
    exact = np.cos(2 * by_momenta.t) + 0.5 * np.sin(2 * by_momenta.t)
    np.testing.assert_allclose(by_momenta.y.q[0, :, 0], exact, atol=1e-6)


def test_steps_fill_the_duration_and_are_no_longer_than_asked():
    assert simulation.time_grid(1.0, 0.1) == (10, 1, pytest.approx(0.1))
    intervals, substeps, dt = simulation.time_grid(1.0, 0.3)
    assert (intervals, substeps, dt) == (4, 1, pytest.approx(0.25))
    intervals, substeps, dt = simulation.time_grid(10.0, 0.01, 30)
    assert (intervals, substeps) == (34, 30)
    assert intervals * substeps * dt == pytest.approx(10.0)
    assert dt <= 0.01


def test_a_system_with_a_lagrangian_alone_is_simulated_too():
    whole = systems.get("pendulum")
    bare = whole._replace(hamiltonian=None)
    options = SimulateOptions(duration=0.2, dtype=DTYPE)
    found, _ = simulation.integrate(bare, options)
    expected, _ = simulation.integrate(whole, options)
    rtol = 1e-6 if DTYPE == "float64" else 1e-3
    for a, b in zip(arrays_of(found), arrays_of(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol)


@needs_x64
def test_what_is_driven_shows_its_energy(tmp_path, capsys):
    out = tmp_path / "driven"
    assert (
        simulate("driven_oscillator", "--duration", 5, "--no-animate", "--out", out)
        == 0
    )
    assert "driven or damped" in capsys.readouterr().out
    assert not (out / "animation.gif").exists()
    found = data.load_trajectories(out / "trajectory.npz")
    assert found.meta["conservative"] is False
    assert plots.energy_figure(found).axes[0].get_yscale() == "linear"


@needs_x64
def test_constants_of_a_system_are_options(tmp_path):
    out = tmp_path / "run"
    options = ["--num-bodies", 3, "--masses", 1, 2, 3, "--softening", 0.2]
    times = ["--duration", 0.1, "--no-animate", "--out", out]
    assert simulate("n_body", *options, *times, "--integrator", "leapfrog") == 0
    meta = data.load_trajectories(out / "trajectory.npz").meta
    assert meta["params"] == {
        "masses": [1.0, 2.0, 3.0],
        "gravity": 1.0,
        "softening": 0.2,
    }
    assert meta["options"]["masses"] == [1.0, 2.0, 3.0]
    state = ["--state", "-0.5", "0.25", "1e-1", "-2"]
    two = ["--num-pendula", 2, "--key", 4, *times[:3], "--out", tmp_path / "two"]
    assert simulate("pendulum_chain", *two, *state) == 0
    found = data.load_trajectories(tmp_path / "two" / "trajectory.npz")
    np.testing.assert_allclose(found.y.p[0, 0], [0.1, -2.0])
    assert found.meta["params"]["masses"] != [1.0, 1.0]


@pytest.mark.parametrize("name", list(systems.names()))
def test_constants_do_not_hide_the_options_of_a_simulation(name):
    kind = constants.system_options(name)
    fields = set(kind.__dataclass_fields__)
    assert not fields & set(SimulateOptions.__dataclass_fields__)
    system, chosen = constants.build(name, vars(kind()))
    assert (system.name, chosen) == (name, {})


@needs_x64
def test_values_that_go_wrong_are_told_and_kept_up_to_there(tmp_path, capsys):
    out = tmp_path / "run"
    # Two bodies at one place: nothing is defined.
    state = ["--state", 0, 0, 0, 0, 0, 0, 0, 0]
    assert simulate("two_body", *state, "--out", out) == 1
    error = capsys.readouterr().err
    assert "between t = 0 and" in error
    assert "--dt" in error
    assert "--softening 0.05" in error
    assert data.load_trajectories(out / "trajectory.npz").y.q.shape == (1, 1, 4)

    late = tmp_path / "late"
    slow = ["--integrator", "euler", "--dt", 0.6, "--duration", 120]
    assert simulate("duffing", *slow, "--trajectories", 3, "--out", late) == 1
    assert "not finite" in capsys.readouterr().err
    found = data.load_trajectories(late / "trajectory.npz")
    assert len(found.t) > 1
    assert np.any(np.isfinite(found.y.q[:, -1]))
    assert np.all(np.isfinite(found.y.q[:, 0]))
    assert (late / "energy.png").exists()


@needs_x64
def test_an_unsolved_step_and_an_adaptive_failure_are_told(monkeypatch):
    _, info = short("kepler", integrator="gauss4", dt=3.0, duration=30.0)
    assert "equations were not solved" in info.message
    monkeypatch.setattr(integration, "MAX_STEPS", 1000)
    options = SimulateOptions("tsit5", state=(0.0,) * 8)
    bad, info = simulation.integrate(systems.get("two_body"), options)
    assert info.message
    assert bad.y.q.shape == (1, 1, 4)


@needs_x64
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "known: mass_spring"),
        (["duble_pendulum"], "Did you mean 'double_pendulum'"),
        (["pendulum", "--integrator", "leapfrg"], "Did you mean 'leapfrog'"),
        (["pendulum", "--dt", "0"], "dt is 0.0"),
        (["pendulum", "--dt", "nan"], "dt is nan"),
        (["pendulum", "--duration", "-1"], "duration is -1.0"),
        (["pendulum", "--duration", "1", "--dt", "2"], "shorter than one step"),
        (["pendulum", "--save-every", "0"], "save_every is 0"),
        (["pendulum", "--save-every", "9999"], "from 1 to 2000"),
        (["pendulum", "--trajectories", "0"], "trajectories is 0"),
        (["pendulum", "--dtype", "float16"], "expected float32 or float64"),
        (["pendulum", "--state", "1"], "expected 2, q, p"),
        (["double_pendulum", "--state", "1", "2"], "expected 4, q₁ … q_2"),
        (["pendulum", "--state", "1", "inf"], "finite"),
        (["pendulum", "--state", "1", "0", "--trajectories", "2"], "one initial state"),
        (["pendulum", "--velocities"], "there is none"),
        (["pendulum", "--rtol", "1e-6"], "for adaptive integrators"),
        (["pendulum", "--integrator", "tsit5", "--atol", "0"], "atol is 0.0"),
        (["pendulum", "--mass", "nan"], "mass is nan"),
        (["pendulum_chain", "--num-pendula", "0"], "num_pendula is 0"),
        (["n_body", "--masses", "1", "2"], "expected one per body"),
        (
            ["double_pendulum", "--integrator", "yoshida4"],
            "implicit_midpoint or gauss4",
        ),
        (["driven_oscillator", "--integrator", "leapfrog"], "force and a dissipation"),
        (["driven_oscillator", "--integrator", "variational"], "an energy alone"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_requests_are_told_before_anything_is_written(
    arguments, words, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    assert simulate(*arguments) == 2
    assert words in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_constants_are_told_from_misspelled_ones_in_python_too(tmp_path):
    out = tmp_path / "run"
    with pytest.raises(ValueError, match="Did you mean 'mass2'"):
        commands.simulate("double_pendulum", SimulateOptions(out=out), mas2=3.0)
    assert not out.exists()


@needs_x64
def test_another_run_is_not_overwritten(stored, capsys):
    before = (stored / "trajectory.npz").read_bytes()
    assert simulate("pendulum", "--out", stored) == 2
    assert "not empty" in capsys.readouterr().err
    assert (stored / "trajectory.npz").read_bytes() == before


def test_help_and_list_name_what_there_is(capsys):
    with pytest.raises(SystemExit) as end:
        simulate("cart_pole", "--help")
    assert end.value.code == 0
    printed = capsys.readouterr().out
    for word in ("--cart-mass", "--integrator", "--state", "θ [rad]", "0.005"):
        assert word in printed
    assert cli.main(["list"]) == 0
    printed = capsys.readouterr().out
    for name in systems.names():
        assert name in printed
    assert "Two pendula, one attached to the other: chaotic." in printed
    assert commands.listing() in printed


@pytest.mark.parametrize("name", ["wave", "three_body", "free_rigid_body"])
def test_every_kind_of_system_is_drawn(name, tmp_path):
    found, _ = short(name, trajectories=2 if name == "three_body" else 1)
    panels = {"wave": 4, "three_body": 6, "free_rigid_body": 3}[name]
    figures = [
        plots.phase_portraits(found),
        plots.motion(found),
        plots.energy_figure(found),
    ]
    assert len(figures[0].axes) == panels
    for number, figure in enumerate(figures):
        plots.save(figure, tmp_path / f"{number}.png")
        assert all(axes.get_xlabel() for axes in figure.axes[-1:] if axes.lines)


@pytest.mark.parametrize("name", ["toda_chain", "mass_spring", "henon_heiles"])
def test_curves_lines_and_free_bodies_are_animated(name, tmp_path):
    system = systems.get(name)
    found, _ = short(name)
    points = jax.vmap(lambda q: system.points(system.params, q))(found.y.q[0])
    units = ("s", "m")
    moving = plots.animation(found.t, {name: points}, linked=system.linked, units=units)
    path = plots.save_animation(moving, tmp_path / "moving.gif")
    assert [p.name for p in tmp_path.iterdir()] == ["moving.gif"]
    with Image.open(path) as image:
        assert image.n_frames == max(2, round(20 * (found.t[-1] - found.t[0])))
