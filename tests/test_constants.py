"""Constants of a known law from records that are uneven, noisy and long."""

import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from html_page import Page

from jaxphys import cli, commands, data, integrators, learning, systems
from jaxphys.learning.constants import identify
from jaxphys.learning.constants.errors import errors_of
from jaxphys.learning.shooting.least_squares import levenberg_marquardt
from jaxphys.types import PhaseState, TangentState, Trajectories

pytestmark = [pytest.mark.x64, pytest.mark.xdist_group("constants")]

#: Those of a measured pendulum, and the noise of its angle and its velocity.
TRUTH = {"s": 1.0454, "a": 1.2964, "b": 0.01213, "c": 0.0109}
NOISE = 0.0118


def pendulum(t, y, w):
    """theta' = s v, v' = −a sin theta − b v + c, of a vector (theta, v)."""
    return jnp.stack([w["s"] * y[1], -w["a"] * jnp.sin(y[0]) - w["b"] * y[1] + w["c"]])


def followed(field, start, ts, params, substeps=8):
    step = integrators.rk4(field, rolled=True)
    path = integrators.rollout_at(step, start, ts, args=params, substeps=substeps)
    return np.asarray(path)


@functools.cache
def swing(seed=0, count=556, duration=94.5):
    """A record with uneven steps, as a camera that drops frames makes it."""
    random = np.random.default_rng(seed)
    steps = random.choice([1.0, 2.0, 3.0], count - 1, p=[0.9, 0.08, 0.02])
    t = 5 + np.concatenate([[0], np.cumsum(steps)]) * duration / steps.sum()
    path = followed(pendulum, jnp.array([1.14, 0.92]), jnp.asarray(t), TRUTH)
    path = path + NOISE * random.normal(size=path.shape)
    return data.trajectories_from({"t": t, "theta": path[:, 0], "omega": path[:, 1]})


def scores(found, truth):
    return {
        name: (found.constants[name] - x) / found.standard_errors[name]
        for name, x in truth.items()
    }


def test_the_constants_of_a_long_uneven_record_are_found_from_afar():
    start = {"s": 0.7, "a": 3.0, "b": 0.2, "c": 0.0}
    found = identify(pendulum, swing(), start)
    assert found.joined
    assert all(abs(z) < 3 for z in scores(found, TRUTH).values())
    errors = found.standard_errors
    for name, x in {"a": 1.0e-3, "s": 9e-4, "b": 2e-5, "c": 5e-4}.items():
        assert errors[name] == pytest.approx(x, rel=0.4)
    assert found.rms == pytest.approx(NOISE, rel=0.05)
    np.testing.assert_allclose(found.noise, NOISE, rtol=0.1)
    left = found.shown[0].y.q - swing()[0].y.q
    assert np.sqrt(np.mean(left**2)) == pytest.approx(NOISE, rel=0.1)
    assert "a  " in str(found)
    assert "told apart poorly, by correlation: a and s" in str(found)


def spring(t, y, w):
    """m x″ + r x′ + r₂ x′|x′| + k x = u with m = 1."""
    push = 100 * jnp.sin(2 * jnp.pi * t) - w["r"] * y[1] - w["k"] * y[0]
    return jnp.stack([y[1], push - w["r2"] * y[1] * jnp.abs(y[1])])


def test_constants_and_errors_are_those_of_scipy():
    """To three digits, with positions alone and a start that is known."""
    optimize = pytest.importorskip("scipy.optimize")
    names = ("r", "r2", "k")
    t = np.linspace(0, 2, 100)

    @jax.jit
    def shown(w):
        step = integrators.rk4(spring)
        params = dict(zip(names, w, strict=True))
        path = integrators.rollout_at(
            step, jnp.zeros(2), jnp.asarray(t), args=params, substeps=8
        )
        return 1000 * path[:, 0]

    random = np.random.RandomState(42)
    y = np.asarray(shown(jnp.array([2.0, 3.0, 1.0]))) + random.normal(0, 120, 100)
    wanted = optimize.least_squares(
        lambda w: np.asarray(shown(w)) - y,
        [1.0, 1.0, 1.0],
        jac=lambda w: np.asarray(jax.jit(jax.jacfwd(shown))(w)),
        xtol=1e-14,
        ftol=1e-14,
        x_scale=[4.0, 0.9, 0.4],
    )
    s2 = 2 * wanted.cost / 97
    errors = np.sqrt(np.diag(np.linalg.inv(wanted.jac.T @ wanted.jac)) * s2)
    np.testing.assert_allclose(wanted.x, [10.22, 1.282, 0.1085], rtol=1e-3)
    with pytest.warns(UserWarning, match="positions q alone"):
        seen = data.trajectories_from({"t": t, "q": y})
    found = identify(
        spring,
        seen,
        dict.fromkeys(names, 1.0),
        fixed=["scale_q"],
        sensors={"scale_q": 1000.0},
        initial=[0.0, 0.0],
    )
    for name, x, error in zip(names, wanted.x, errors, strict=True):
        assert found.constants[name] == pytest.approx(x, abs=2e-3 * error)
        assert found.standard_errors[name] == pytest.approx(error, rel=1e-3)
    assert sum("weakly determined" in text for text in found.warnings) == 3


def test_what_the_motion_does_not_depend_on_is_named():
    short = swing(count=140, duration=24.0)
    found = identify(systems.pendulum, short, {"length": 6.0}, friction=["viscous"])
    assert found.constants.keys() == set()
    assert set(found.errors.undetermined) == {"mass", "length", "gravity", "viscous"}
    text = str(found)
    assert "only mass / viscous is determined" in text
    assert text.count("not determined") == 4
    fixed = identify(
        systems.pendulum,
        short,
        {"mass": 1.0, "gravity": 9.81},
        fixed=["mass", "gravity"],
        friction=["viscous"],
        sensors=["scale_v"],
    )
    scale = fixed.constants["scale_v"]
    assert scale == pytest.approx(1 / TRUTH["s"], rel=0.01)
    length = 9.81 / (TRUTH["s"] * TRUTH["a"])
    assert fixed.constants["length"] == pytest.approx(length, rel=0.01)
    damping = fixed.constants["viscous"] / fixed.constants["length"] ** 2
    assert damping == pytest.approx(TRUTH["b"], rel=0.1)
    assert fixed.params.gravity == 9.81


def driven(kind, params, count=241):
    """An oscillator under a force that is held from time to time."""
    random = np.random.default_rng(3)
    t = np.linspace(0, 24, count)
    u = np.repeat(random.normal(size=count // 8 + 1), 8)[:count, None]

    def field(t, y, args):
        w, u = args
        loss = w["viscous"] * y[1] + w["coulomb"] * jnp.sign(y[1])
        return jnp.stack([y[1], (u[0] - w["k"] * y[0] - loss) / w["m"]])

    step = integrators.rk4(field)
    path = integrators.rollout_at(
        step,
        jnp.array([0.5, 0.0]),
        jnp.asarray(t),
        args=params,
        substeps=40,
        controls=jnp.asarray(u[:-1]),
    )
    q, v = np.asarray(path).T[..., None]
    other = params["m"] * v if kind is PhaseState else v
    noise = 2e-3 * random.normal(size=(2, count, 1))
    y = kind((q + noise[0])[None], (other + noise[1])[None])
    return [Trajectories(t, y, u=u[None])]


@pytest.mark.long
@pytest.mark.parametrize("kind", [PhaseState, TangentState])
def test_energies_with_inputs_and_friction_are_identified(kind):
    truth = {"m": 0.7, "k": 2.3, "viscous": 0.2, "coulomb": 0.15}
    seen = driven(kind, truth)
    if kind is PhaseState:

        def law(w, q, p):
            return p @ p / (2 * w["m"]) + w["k"] * q @ q / 2
    else:

        def law(w, q, v):
            return w["m"] * v @ v / 2 - w["k"] * q @ q / 2

    found = identify(law, seen, {"m": 1.0, "k": 1.0}, friction=["viscous", "coulomb"])
    for name, x in truth.items():
        assert found.constants[name] == pytest.approx(x, rel=0.03)
    again = found.follow(seen[0].t, u=seen[0].u[0])
    np.testing.assert_allclose(again.y[1], found.shown[0].y[1], atol=1e-4)
    with pytest.raises(ValueError, match="this law needs inputs u"):
        found.follow(seen[0].t)


@pytest.mark.parametrize("inputs", ["held", "linear"])
def test_how_much_later_inputs_act_is_found(inputs):
    """An oscillator under a force whose record is ahead by one and a half rows."""
    t, late = np.linspace(0, 24, 481), 0.075
    true = {"m": 0.7, "k": 2.3, "b": 0.2}

    def pushed(at):
        return jnp.sin(1.3 * at) + jnp.cos(0.7 * at**1.2)

    def motion(t, y, args):
        force = pushed(jnp.maximum(t - late, 0.0))
        return jnp.stack([y[1], (force - true["k"] * y[0] - true["b"] * y[1]) / 0.7])

    start = jnp.array([0.5, 0.0])
    y = integrators.rollout_at(integrators.rk4(motion), start, t, substeps=4)
    noisy = np.asarray(y) + 1e-3 * np.random.default_rng(0).normal(size=y.shape)
    middle = t + (0.025 if inputs == "held" else 0.0)
    record = {"t": t, "q": noisy[:, 0], "v": noisy[:, 1], "u": pushed(middle)}
    seen = data.trajectories_from(record)

    def law(w, q, v):
        return w["m"] * v @ v / 2 - w["k"] * q @ q / 2

    found = identify(
        law,
        seen,
        {"m": 1.0, "k": 1.0},
        friction=["viscous"],
        sensors=["delay_u"],
        inputs=inputs,
    )
    # The record says what the input is at its times alone.
    assert found.standard_errors["delay_u"] < 1e-3
    assert found.constants["delay_u"] == pytest.approx(late, abs=2e-3)
    assert found.constants["k"] == pytest.approx(true["k"], rel=1e-3)
    again = found.follow(t, u=seen[0].u[0])
    np.testing.assert_allclose(again.y.q, found.shown[0].y.q, atol=1e-4)
    alone = data.trajectories_from({"t": t, "q": noisy[:, 0], "v": noisy[:, 1]})
    with pytest.raises(ValueError, match="sensors has delay_u, and the data have q"):
        identify(law, alone, {"m": 1.0, "k": 1.0}, sensors=["delay_u"])


def test_a_law_that_misses_something_is_told():
    """A pendulum that is taken for a spring."""

    def law(w, q, v):
        return v @ v / 2 - w["k"] * q @ q / 2

    found = identify(law, swing(count=140, duration=24.0), {"k": 1.0})
    assert "times the noise of the data: the law misses something" in str(found)
    right = identify(pendulum, swing(count=140, duration=24.0), TRUTH)
    assert "misses" not in str(right)


def test_a_constant_that_ran_away_is_told():
    found = identify(pendulum, swing(count=140, duration=24.0), TRUTH)
    assert not any("ran away" in text for text in found.warnings)
    first = found.law.start[0]
    far = found._replace(values=np.append(-1e14 * first, found.values[1:]))
    assert "ran away, from" in far.warnings[0]


def test_bounds_hold_and_are_told():
    found = identify(
        pendulum,
        swing(count=140, duration=24.0),
        TRUTH | {"c": 0.2},
        bounds={"c": (0.1, np.inf)},
        fixed=["s"],
    )
    assert found.constants["c"] == 0.1
    assert found.at_bound == ("c",)
    assert "c ended at a bound" in found.warnings
    assert found.fixed == {"s": TRUTH["s"]}


def test_a_law_that_was_found_tells_what_happens_next():
    (seen,) = swing()
    half = len(seen.t) // 2
    y = TangentState(*(x[:, :half] for x in seen.y))
    found = identify(pendulum, [seen._replace(t=seen.t[:half], y=y)], TRUTH)
    later = found.follow(seen.t)
    left = np.concatenate(later.y, axis=2) - np.concatenate(seen.y, axis=2)
    assert np.sqrt(np.mean(left[0, half:] ** 2)) < 2 * NOISE
    np.testing.assert_allclose(later.y.q[:, :half], found.shown[0].y.q, atol=1e-4)
    with pytest.raises(ValueError, match="takes no inputs u"):
        found.follow(seen.t, u=np.zeros((len(seen.t), 1)))


def test_several_records_have_one_law_and_starts_of_their_own():
    seen = [*swing(0, 140, 24.0), *swing(1, 90, 15.0)]
    found = identify(pendulum, seen, TRUTH, rows=30)
    assert found.starts.shape == (2, 2)
    assert [each.y.q.shape for each in found.shown] == [(1, 140, 1), (1, 90, 1)]
    assert all(abs(z) < 3.5 for z in scores(found, TRUTH).values())


def test_states_may_be_records_and_constants_arrays():
    def field(t, y, w):
        return TangentState(w[0] * y.v, -w[1] * jnp.sin(y.q) - w[2] * y.v + w[3])

    start = jnp.array([TRUTH[name] for name in "sabc"])
    found = identify(field, swing(count=140, duration=24.0), start)
    assert list(found.constants) == ["c[0]", "c[1]", "c[2]", "c[3]"]
    assert found.params.shape == (4,)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"constants": None}, "needs constants="),
        ({"constants": {"s": np.nan} | TRUTH | {"a": np.inf}}, "a begins at inf"),
        ({"fixed": ["mass"]}, "no constant mass; there are a, b, c, s"),
        ({"fixed": list(TRUTH)}, "all constants are fixed"),
        ({"bounds": {"a": (2.0, 3.0)}}, "a begins at 1.2964, outside of its bounds"),
        ({"friction": ["viscous"]}, "a vector field has its own"),
        ({"friction": ["viscos"]}, "Did you mean 'viscous'"),
        ({"sensors": ["scale_p"]}, "sensors has scale_p, and the data have q and v"),
        ({"rows": 1}, "rows is 1; expected 2 or more"),
        ({"inputs": "spline"}, 'expected "held" or "linear"'),
        ({"initial": [0.0]}, r"initial has shape \(1,\); expected \(2,\)"),
        ({"law": 3.0}, "the law is a float; expected a system"),
        ({"law": lambda x: x}, "the function has arguments x; expected H"),
        ({"law": lambda t, y, w: y[:1]}, r"returns neither a TangentState"),
        ({"law": systems.double_pendulum}, "has 2 coordinates and the data have 1"),
        ({"law": systems.pendulum, "constants": {"mas": 1.0}}, "Did you mean 'mass'"),
        ({"kind": "hamilton"}, "Did you mean 'hamiltonian'"),
    ],
)
def test_what_does_not_fit_is_told(changes, words):
    given = {"law": pendulum, "constants": TRUTH} | changes
    law, constants = given.pop("law"), given.pop("constants")
    with pytest.raises(ValueError, match=words):
        identify(law, swing(), constants, **given)


def test_trajectories_are_a_list_of_one_kind():
    (seen,) = swing()
    with pytest.raises(ValueError, match="expects a list of Trajectories"):
        identify(pendulum, seen, TRUTH)
    with pytest.raises(ValueError, match="differ in kind"):
        identify(pendulum, [seen, seen._replace(u=0 * seen.y.q)], TRUTH)
    one = Trajectories(seen.t[:1], TangentState(*(x[:, :1] for x in seen.y)))
    with pytest.raises(ValueError, match="1 of the list has one time; expected 2"):
        identify(pendulum, [seen, one], TRUTH)


def test_single_precision_is_refused():
    jax.config.update("jax_enable_x64", False)
    with pytest.raises(ValueError, match="float64, which is off"):
        identify(pendulum, swing(), TRUTH)


def test_directions_without_effect_are_put_into_words():
    J = np.random.default_rng(0).normal(size=(20, 4))
    values = np.array([2.0, -3.0, 0.5, 4.0])
    names = ["a", "b", "c", "d"]

    def words(*rows):
        free = J.copy()
        for row in rows:
            step = np.array(row) * values
            free = free - free @ np.outer(step, step) / (step @ step)
        return errors_of(free, values, names)

    assert words().combinations == ()
    assert words([0, 0, 1, 0]).combinations == ("c does not act on these data",)
    assert words([1, 0, 0, 1]).combinations == ("only a / d is determined",)
    assert words([1, 0, 0, -1]).combinations == ("only a · d is determined",)
    assert words([1, 0, 0, 2]).combinations == ("only a / d^0.5 is determined",)
    found = words([1, 1, 1, 0])
    assert found.combinations == ("only the ratios of a, b and c are determined",)
    assert found.undetermined == ("a", "b", "c")
    assert np.isinf(found.standard[:3]).all()
    assert np.isfinite(found.standard[3])


def test_least_squares_end_at_bounds_and_at_minima():
    def valley(x):
        """Rosenbrock's, as a sum of squares."""
        r = np.array([10 * (x[1] - x[0] ** 2), 1 - x[0]])
        return r, np.array([[-20 * x[0], 10.0], [-1.0, 0.0]])

    wide = np.full(2, np.inf)
    found = levenberg_marquardt(valley, np.array([-1.2, 1.0]), low=-wide, high=wide)
    np.testing.assert_allclose(found.x, 1, atol=1e-6)
    assert found.converged
    low, high = np.array([-2.0, -2.0]), np.array([0.5, 2.0])
    found = levenberg_marquardt(valley, np.array([-1.2, 1.0]), low=low, high=high)
    np.testing.assert_allclose(found.x, [0.5, 0.25], atol=1e-6)


def test_a_rollout_goes_by_given_times(dtype):
    ts = jnp.array([0.0, 0.1, 0.5, 0.5, 1.2], dtype)
    step = integrators.rk4(lambda t, y, args: -args * y)
    first = jnp.ones(2, dtype)
    k = jnp.ones((), dtype)
    path = integrators.rollout_at(step, first, ts, args=k, substeps=10)
    tolerance = 1e-6 if dtype == jnp.float64 else 1e-5
    np.testing.assert_allclose(path[:, 0], np.exp(-ts), rtol=tolerance)
    assert path.dtype == dtype
    np.testing.assert_array_equal(path[3], path[2])
    traced = jax.jit(
        lambda n: integrators.rollout_at(step, first, ts, args=k, substeps=n)
    )(jnp.asarray(10))
    np.testing.assert_allclose(traced, path, rtol=1e-6)
    held = integrators.rk4(lambda t, y, args: args[1])
    pushed = integrators.rollout_at(held, 0.0, ts, controls=jnp.arange(4, dtype=dtype))
    np.testing.assert_allclose(pushed[-1], 0.4 * 1 + 0.7 * 3, rtol=1e-6)
    for bad, words in (
        ({"ts": ts[:1]}, "at least two times"),
        ({"substeps": 0}, "substeps is 0"),
        ({"controls": jnp.zeros(5)}, r"expected one value .* \(4,\)"),
    ):
        with pytest.raises(ValueError, match=words):
            integrators.rollout_at(step, first, **({"ts": ts, "args": k} | bad))


LAW = """
import jax.numpy as jnp


def swing(t, y, w):
    return jnp.stack([w.s * y[1], -w.a * jnp.sin(y[0]) - w.b * y[1] + w.c])
"""


def test_the_command_prints_and_writes_constants(tmp_path, capsys):
    (seen,) = swing(count=140, duration=24.0)
    rows = np.column_stack([seen.t, seen.y.q[0], seen.y.v[0]])
    path = tmp_path / "lab.csv"
    np.savetxt(path, rows, delimiter=",", header="time,theta,omega", comments="")
    (tmp_path / "law.py").write_text(LAW)
    arguments = ["identify", f"{tmp_path / 'law.py'}:swing", "--data", str(path)]
    begun = ["--start", "s=1", "a=1.2", "b=0.02", "--fixed", "c=0.0109"]
    out = tmp_path / "found"
    assert cli.main([*arguments, *begun, "--bounds", "b=0:", "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "theta is q" in said
    assert "a  " in said
    report = json.loads((out / "report.json").read_text())
    assert abs(report["constants"]["a"] - TRUTH["a"]) < (
        4 * report["standard_errors"]["a"]
    )
    assert report["fixed"] == {"c": 0.0109}
    assert (out / "motion.png").exists()
    assert cli.main([*arguments, "--out", str(out)]) == 2
    for wrong, words in (
        ([], "a function as a law needs --start"),
        (["--start", "s=one"], "start has s=one; expected NAME=VALUE"),
        ([*begun, "--bounds", "b=1"], "bounds has b=1; expected NAME=LOW:HIGH"),
    ):
        assert cli.main([*arguments, *wrong, "--out", str(tmp_path / "x")]) == 2
        assert words in capsys.readouterr().err
    assert cli.main(["identify", "pendulm", "--data", str(path)]) == 2
    assert "Did you mean 'pendulum'" in capsys.readouterr().err
    assert (
        cli.main(["identify", f"{tmp_path / 'law.py'}:sing", "--data", str(path)]) == 2
    )
    assert "has no function sing; it has swing" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


# What was found is used


@pytest.fixture(scope="module")
def oscillation(tmp_path_factory):
    """The constant of q″ = −k q, a law of a file, found from a noisy record."""
    folder = tmp_path_factory.mktemp("oscillation")
    random = np.random.default_rng(4)
    t = np.linspace(0, 12, 121)
    columns = np.stack([t, np.cos(1.5 * t), -1.5 * np.sin(1.5 * t)], axis=1)
    columns[:, 1:] += 0.01 * random.normal(size=(121, 2))
    table(folder / "a.csv", "t,<script>,v", columns)
    text = "def L(c, q, v):\n    return (v @ v - c.k * q @ q) / 2\n"
    (folder / "law.py").write_text(text)
    law, run = f"{folder / 'law.py'}:L", folder / "run"
    found = ["--data", str(folder / "a.csv"), "--start", "k=2", "--out", str(run)]
    found += ["--columns", "<script>:q"]
    assert cli.main(["identify", law, *found]) == 0
    return run


def table(path, names, columns):
    np.savetxt(path, columns, delimiter=",", header=names, comments="")


def test_an_identified_law_is_predicted_with_bands_of_its_errors(oscillation, capsys):
    """q = cos(√k t) has the error |∂q/∂k| σ = t |sin √k t| σ / 2√k."""
    asked = ["--state", "1", "0", "--duration", "30", "--plot"]
    assert cli.main(["predict", str(oscillation), *asked]) == 0
    assert "by the errors of the constants" in capsys.readouterr().out
    file = oscillation / "prediction.csv"
    rows = np.genfromtxt(file, delimiter=",", names=True)
    assert rows.dtype.names == ("t", "q", "v", "q_error", "v_error", "energy")
    report = json.loads((oscillation / "report.json").read_text())
    k, error = report["constants"]["k"], report["standard_errors"]["k"]
    rate, t = np.sqrt(k), rows["t"]
    np.testing.assert_allclose(rows["q"], np.cos(rate * t), atol=1e-4)
    wanted = error * t * np.abs(np.sin(rate * t)) / (2 * rate)
    np.testing.assert_allclose(rows["q_error"], wanted, atol=1e-3 * wanted.max())
    np.testing.assert_allclose(rows["energy"], k / 2, rtol=1e-4)
    assert (oscillation / "prediction.png").exists()
    assert cli.main(["predict", str(oscillation), "--state", "1"]) == 2
    assert "1 positions q and then 1 of v" in capsys.readouterr().err


def test_an_identification_leaves_a_page_with_constants_and_all_that_led_to_them(
    oscillation,
):
    text = (oscillation / "report.html").read_text()
    page = Page.of(text)
    report = json.loads((oscillation / "report.json").read_text())
    k, error = report["constants"]["k"], report["standard_errors"]["k"]
    assert ["k", f"{k:.5f}", f"± {error:.2g}"] in page.rows
    for line in ("121 points", "noise, and its part of the spread", "numpy"):
        assert line in page.text
    assert f"--data {oscillation.parent / 'a.csv'} --columns '<script>:q'" in page.text
    assert report["versions"]["jax"] in page.text
    assert page.figures == 1


def test_an_identified_law_is_loaded_as_an_energy_and_a_motion(oscillation):
    law = commands.load_law(oscillation)
    (k,) = law.params.values()
    q, v = jnp.array([0.5]), jnp.array([0.3])
    assert float(law(q, v)) == pytest.approx((0.3**2 + k * 0.5**2) / 2)
    assert float(law.given.k) == k
    rate = law.dynamics.vector_field(0.0, TangentState(q, v), law.params)
    np.testing.assert_allclose(rate.v, -k * q, rtol=1e-10)
    file = oscillation.parent / "law.py"
    text = file.read_text()
    file.write_text(text.replace("/ 2", ""))
    with pytest.warns(UserWarning, match=r"law\.py has changed since"):
        changed = commands.load_law(oscillation)
    assert float(changed(q, v)) == pytest.approx(2 * float(law(q, v)))
    file.unlink()
    with pytest.raises(FileNotFoundError, match="there is no file"):
        commands.load_law(oscillation)
    other = commands.load_law(oscillation, lambda c, q, v: v @ v - c.k * q @ q)
    assert float(other(q, v)) == pytest.approx(0.3**2 - k * 0.5**2 + 2 * k * 0.5**2)
    file.write_text(text)
    with pytest.raises(FileNotFoundError, match="there is no run"):
        commands.load_law(oscillation / "none")
    with pytest.raises(ValueError, match="is not what jaxphys identify leaves"):
        commands.load_law(oscillation.parent)


def test_a_law_with_inputs_friction_and_sensors_is_predicted_under_them(tmp_path):
    truth = {"m": 0.7, "k": 2.3, "viscous": 0.2, "coulomb": 0.0}
    (seen,) = driven(TangentState, truth)
    arrays = (seen.t[:, None], 1.1 * seen.y.q[0], seen.y.v[0], seen.u[0])
    columns = np.concatenate(arrays, axis=1)
    table(tmp_path / "a.csv", "t,q,v,u", columns)
    table(tmp_path / "u.csv", "t,u", columns[:, [0, 3]])
    options = commands.IdentifyOptions(
        tmp_path / "a.csv",
        friction=("viscous",),
        sensors=("scale_q",),
        out=tmp_path / "run",
    )
    found = commands.identify_constants("mass_spring", options).found
    law = commands.load_law(tmp_path / "run")
    assert law.params == dict(zip(found.law.names, found.every.tolist(), strict=True))
    assert law.standard_errors == pytest.approx(found.standard_errors)
    scale = law.params["scale_q"]
    assert scale == pytest.approx(1.1, rel=0.01)
    start = tuple((found.starts[0] * [scale, 1.0]).tolist())
    asked = commands.PredictOptions(start, dt=0.1, input=tmp_path / "u.csv")
    predicted = commands.predict(tmp_path / "run", asked).trajectories
    off = predicted.y.q[0] - columns[:, [1]]
    assert np.sqrt(np.mean(off**2)) < 4e-3
    with pytest.raises(ValueError, match="this law needs inputs u"):
        law.follow(seen.t, np.zeros(2))


def test_a_constant_of_another_name_is_told_by_name():
    t = np.linspace(0, 6, 61)
    seen = data.trajectories_from({"t": t, "q": np.cos(t), "v": -np.sin(t)})

    def by_key(c, q, v):
        return c["length"] ** 2 * v @ v / 2

    def by_name(c, q, v):
        return c.length**2 * v @ v / 2

    def field(t, y, c):
        return jnp.stack([y[1], -c["length"] * y[0]])

    given = commands.laws.constants_of({"lenght": 1.2})
    for law, constants in [
        (by_key, {"lenght": 1.2}),
        (field, {"lenght": 1.2}),
        (by_name, given),
        (by_key, given),
    ]:
        words = "reads the constant 'length', and given are lenght. Is 'lenght' meant"
        with pytest.raises(ValueError, match=words):
            identify(law, seen, constants)
        with pytest.raises(ValueError, match=words):
            learning.known_and_learned(law, seen, constants)
    with pytest.raises(ValueError, match=r'reads c\.length: write c\["length"\]'):
        identify(by_name, seen, {"length": 1.2})
    with pytest.raises(ValueError, match="expected a dict of some of mass, stiffness"):
        identify(systems.mass_spring, seen, np.ones(2))


def test_the_length_of_a_pendulum_that_turns_over_is_found_from_wrapped_degrees():
    """θ″ = −(g/l) sin θ with l = 0.8, of angles alone between −180° and 180°."""

    def field(t, y, args):
        return jnp.stack([y[1], -9.81 / 0.8 * jnp.sin(y[0])])

    t = np.linspace(0, 3, 151)
    q = followed(field, jnp.array([0.1, 7.6]), t, None)[:, 0]
    q = q + 0.003 * np.random.default_rng(0).normal(size=len(q))
    wrapped = np.rad2deg((q + np.pi) % (2 * np.pi) - np.pi)
    with pytest.warns(UserWarning, match="jumps by whole|positions q alone"):
        seen = data.trajectories_from({"t": t, "angle [deg]": wrapped})

    def lagrangian(c, q, v):
        return c["length"] ** 2 * v @ v / 2 + 9.81 * c["length"] * jnp.cos(q[0])

    found = identify(lagrangian, seen, {"length": 1.2})
    error = found.standard_errors["length"]
    assert error < 0.002
    assert abs(found.constants["length"] - 0.8) < 4 * error
    assert found.joined
