"""A law and what it misses, found together."""

import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxphys import checkpoint, cli, commands, data, integrators, learning, systems
from jaxphys.commands import identifying
from jaxphys.types import PhaseState, Trajectories

pytestmark = [pytest.mark.x64, pytest.mark.xdist_group("beside")]

GRAVITY, LENGTH = 9.81, 0.7


def swings(linear, square, noise=0.005):
    """Two records of a pendulum of mass one under a friction of two terms."""

    def field(t, y, args):
        loss = linear * y[1] + square * y[1] * jnp.abs(y[1])
        pull = -GRAVITY / LENGTH * jnp.sin(y[0])
        return jnp.stack([y[1], pull - loss / LENGTH**2])

    random, t, seen = np.random.default_rng(0), np.linspace(0, 12, 241), []
    step = jax.jit(
        lambda y: integrators.rollout(
            integrators.rk4(field), y, dt=t[1], num_steps=240, substeps=10
        )
    )
    for start in ([2.2, 0.0], [0.8, 3.0]):
        path = np.asarray(step(jnp.array(start)))
        path = path + noise * random.normal(size=path.shape) * [1, 4]
        seen += data.trajectories_from({"t": t, "q": path[:, 0], "v": path[:, 1]})
    return seen


def found_of(seen, learned):
    constants = {"length": 1.0, "mass": 1.0, "gravity": GRAVITY}
    return learning.known_and_learned(
        systems.pendulum,
        seen,
        constants,
        fixed=["mass", "gravity"],
        learned=learned,
        hidden=(6,),
    )


@pytest.mark.long
@pytest.mark.parametrize(
    ("learned", "friction", "most"),
    [("friction", (0.15, 0.12), 0.05), ("force", (0.03, 0.02), 0.15)],
)
def test_a_friction_that_the_law_misses_is_found_beside_its_length(
    learned, friction, most
):
    """Strong, of velocities alone; and weak, of positions and velocities."""
    linear, square = friction
    seen = swings(linear, square)
    found = found_of(seen, learned)
    assert found.joined
    assert found.constants["length"] == pytest.approx(LENGTH, rel=0.01)
    error = found.standard_errors["length"]
    assert abs(found.constants["length"] - LENGTH) < 3 * error
    assert found.standard_errors["mass"] == 0
    q, v = (np.concatenate([x.y[i][0] for x in seen]) for i in (0, 1))
    force = jax.vmap(found.force)(jnp.asarray(q), jnp.asarray(v))
    wanted = -(linear * v + square * v * np.abs(v))
    off = np.sqrt(np.mean((force - wanted) ** 2) / np.mean(wanted**2))
    assert off < most
    share = np.sqrt(np.mean(wanted**2)) / LENGTH**2 / found.known_rms
    np.testing.assert_allclose(found.share, share, rtol=0.1)
    assert "rms of the known and of the learned acceleration" in str(found)


@pytest.mark.long
def test_a_term_of_an_energy_keeps_it():
    """H = p²/2 + k q²/2 is known, q⁴/4 is not."""

    def spring(c, q, p):
        return p @ p / 2 + c["k"] * q @ q / 2

    def field(t, y, args):
        return jnp.stack([y[1], -2 * y[0] - y[0] ** 3])

    t = np.linspace(0, 6, 61)
    step = integrators.rk4(field)
    path = integrators.rollout(
        step, jnp.array([1.3, 0.0]), dt=t[1], num_steps=60, substeps=5
    )
    path = path + 0.005 * np.random.default_rng(0).normal(size=path.shape)
    y = PhaseState(*(np.array(x)[None, :, None] for x in path.T))
    found = learning.known_and_learned(
        spring,
        [Trajectories(t, y)],
        {"k": 1.0},
        learned="energy",
        hidden=(4,),
    )
    assert found.rms < 0.01
    energies = jax.jit(jax.vmap(found.law))(jnp.asarray(y.q[0]), jnp.asarray(y.p[0]))
    assert np.ptp(energies) < 0.03 * np.max(y.p[0] ** 2) / 2
    with pytest.raises(ValueError, match=r"call \.learned in its place"):
        found.force(y.q[0, 0], y.p[0, 0])


def test_what_is_left_over_the_noise_is_told():
    """A friction of velocities alone is no constant force."""
    t = np.linspace(0, 6, 61)
    q = 1.0 + np.cos(t) + 0.3 * np.cos(4.3 * t)
    noisy = q + 0.001 * np.random.default_rng(0).normal(size=len(q))
    v = -np.sin(t) - 1.29 * np.sin(4.3 * t)
    seen = data.trajectories_from({"t": t, "q": noisy, "v": v})
    found = learning.known_and_learned(
        systems.mass_spring, seen, fixed=["mass"], hidden=(2,), steps=4
    )
    assert "times the noise of the data: the law misses something" in str(found)


def test_what_cannot_be_learned_beside_a_law_is_told():
    t = np.linspace(0, 6, 61)
    seen = data.trajectories_from({"t": t, "q": np.cos(t), "v": -np.sin(t)})
    known = systems.mass_spring
    with pytest.raises(ValueError, match="Did you mean 'friction'"):
        learning.known_and_learned(known, seen, learned="frictio")
    with pytest.raises(ValueError, match="Did you mean 'mass'"):
        learning.known_and_learned(known, seen, fixed=["mas"])

    def field(t, y, c):
        return jnp.stack([y[1], -c["k"] * y[0]])

    with pytest.raises(ValueError, match="of a vector field"):
        learning.known_and_learned(field, seen, {"k": 1.0}, learned="energy")


LAW = """
import jax.numpy as jnp


def energy(c, q, v):
    height = c.length * (1 - jnp.cos(q[0]))
    return c.length**2 * v @ v / 2 - c.gravity * height
"""


def loss(v):
    return 0.15 * v + 0.12 * v * jnp.abs(v)


def swung(start, duration, count):
    """A pendulum under a friction of two terms, (count, 2)."""

    def field(t, y, args):
        pull = -GRAVITY / LENGTH * jnp.sin(y[0])
        return jnp.stack([y[1], pull - loss(y[1]) / LENGTH**2])

    path = integrators.rollout(
        integrators.rk4(field),
        jnp.array(start),
        dt=duration / (count - 1),
        num_steps=count - 1,
        substeps=10,
    )
    return np.asarray(path)


@pytest.fixture(scope="module")
def identified(tmp_path_factory):
    """A law of a file and its friction, by `jaxphys identify --learned friction`."""
    folder = tmp_path_factory.mktemp("beside")
    path = swung([2.2, 0.0], 6.0, 121)
    noise = np.random.default_rng(0).normal(size=path.shape)
    rows = np.column_stack([np.linspace(0, 6, 121), path + noise * [0.004, 0.016]])
    header = {"header": "t,theta,omega", "comments": "", "delimiter": ","}
    np.savetxt(folder / "swing.csv", rows, **header)
    (folder / "law.py").write_text(LAW)
    options = commands.IdentifyOptions(
        folder / "swing.csv",
        start=("length=1", "gravity=9.81"),
        fixed=("gravity",),
        learned="friction",
        hidden=(4,),
        out=folder / "run",
    )
    return commands.identify_constants(f"{folder / 'law.py'}:energy", options)


def test_a_command_finds_a_length_and_the_friction_that_the_law_misses(identified):
    found, out = identified.found, identified.out
    assert found.constants["length"] == pytest.approx(LENGTH, rel=0.01)
    force = jax.jit(found.force)(jnp.zeros(1), jnp.full(1, 2.0))
    assert float(force[0]) == pytest.approx(-float(loss(2.0)), rel=0.1)
    report = json.loads((out / "report.json").read_text())
    assert report["status"] == "finished"
    assert report["constants"] == {"length": found.constants["length"]}
    assert report["fixed"] == {"gravity": GRAVITY}
    assert report["share"] == pytest.approx(found.share.tolist())
    assert 0 < report["determined"] < report["weights"]
    assert found.rms < 0.02
    assert f"of {report['weights']} weights" in str(found)
    page = (out / "report.html").read_text()
    assert page.count("<img") == 2
    assert "--learned friction --hidden 4" in page


def test_a_law_with_its_network_is_followed_from_its_run(identified):
    options = commands.PredictOptions((1.5, 1.0), duration=3.0, dt=0.05)
    done = commands.predict(identified.out, options)
    true = swung([1.5, 1.0], 3.0, 61)
    off = np.concatenate(done.trajectories.y, axis=2)[0] - true
    assert np.sqrt(np.mean(off**2)) < 0.02
    assert np.all(done.errors[1:] > 0)
    assert np.all(done.errors < 0.1)


def test_a_law_with_its_network_comes_back_to_the_bit(identified):
    found, law = identified.found.law, commands.load_law(identified.out)
    assert law.law.names == found.law.names
    np.testing.assert_array_equal(law.c, found.c)
    np.testing.assert_array_equal(law.covariance, found.covariance)
    assert law.measured == found.measured
    assert (law.step, law.linear) == (found.step, found.linear)
    z = jnp.array([0.7, -1.3])
    rates = [
        jax.jit(x.law.field)(0.0, z, (jnp.asarray(x.c), None)) for x in (law, found)
    ]
    np.testing.assert_array_equal(*rates)
    # The network alone is a model file like others.
    model = checkpoint.load(identified.out / "learned.npz")
    at = model.dynamics.state(jnp.zeros(1), z[1:])
    alone = model.dynamics.vector_field(0.0, at, model.params).v
    np.testing.assert_allclose(alone, identified.found.learned(z[:1], z[1:]))


def test_a_law_or_a_network_that_is_another_is_told(identified, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(identified.out, run)
    network = run / "learned.npz"
    raw = bytearray(network.read_bytes())
    raw[len(raw) // 2] ^= 1
    network.write_bytes(raw)
    with pytest.raises(ValueError, match="its checksum is another"):
        commands.load_law(run)
    network.unlink()
    with pytest.raises(FileNotFoundError, match=r"there is no .*learned\.npz"):
        commands.load_law(run)
    file = identified.out.parent / "law.py"
    file.write_text(LAW + "# changed")
    with pytest.warns(UserWarning, match=r"law\.py has changed since"):
        commands.load_law(identified.out)
    file.write_text(LAW)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--learned", "frictoin"), "Did you mean 'friction'"),
        (("--learned", "friction", "--sensors", "scale_v"), "sensors cannot be used"),
        (("--learned", "force", "--bounds", "mass=0:"), "bounds cannot be used"),
        (("--learned", "force", "--inputs", "linear"), "inputs cannot be used"),
        (("--learned", "force", "--rows", "20"), "rows cannot be used"),
        (("--learned", "force", "--substeps", "2"), "substeps cannot be used"),
        (("--learned", "force", "--initial", "1", "0"), "initial cannot be used"),
        (("--learned", "force", "--hidden", "0"), "hidden"),
        (("--hidden", "4"), "hidden is of the network of --learned"),
        (("--learned", "friction", "--fixed", "mas=1"), "Did you mean 'mass'"),
    ],
)
def test_what_cannot_be_learned_by_a_command_is_refused_with_nothing_written(
    options, told, identified, tmp_path, capsys
):
    table, out = identified.out.parent / "swing.csv", tmp_path / "out"
    call = ["identify", "pendulum", "--data", str(table), "--cache", "off"]
    assert cli.main([*call, *options, "--out", str(out)]) == 2
    said = capsys.readouterr().err
    assert told in said
    assert said.count("\n") == 1
    assert not out.exists()


def test_an_interruption_is_said_in_the_report(identified, tmp_path, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(identifying, "known_and_learned", interrupted)
    out = tmp_path / "out"
    options = commands.IdentifyOptions(
        identified.out.parent / "swing.csv", learned="friction", out=out
    )
    with pytest.raises(KeyboardInterrupt):
        commands.identify_constants("pendulum", options)
    report = json.loads((out / "report.json").read_text())
    assert report["status"] == "interrupted"
    with pytest.raises(ValueError, match="its status is interrupted"):
        commands.load_law(out)
