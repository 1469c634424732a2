"""A check finds what was planted, at its line, and nothing where all is well."""

import inspect
import json
import pathlib
import re

import jax
import jax.numpy as jnp
import numpy as np
import planted
import pytest

import jaxphys
from jaxphys import cli, integrators, mechanics, models, problems, systems
from jaxphys._jaxpr.flow import flow
from jaxphys._jaxpr.growth import growth
from jaxphys._jaxpr.watch import watch

TWO = jnp.array([0.4, 0.7])


def line_of(function):
    """The line that is marked, such as planted.py:31."""
    function = inspect.unwrap(function)
    lines, first = inspect.getsourcelines(function)
    (offset,) = [i for i, line in enumerate(lines) if planted.HERE in line]
    return f"planted.py:{first + offset},"


def examined(function, example):
    return jaxphys.check(function, example, time_updates=False)


@pytest.mark.parametrize("name", planted.PLANTED)
def test_a_planted_fault_is_found(name):
    function, example, expected, says, also = planted.PLANTED[name]
    report = examined(function, example)
    found = report.find(expected)
    assert found is not None, report
    assert found.severity != "note", report
    assert not report.ok
    for each in says:
        each = line_of(function) if each == planted.HERE else each
        assert each in f"{found.seen} {found.where} {found.cure}", report
    # Nothing else is made up.
    assert set(report.faults) <= {expected, *also}, report
    json.dumps(report.json(), allow_nan=False)


def test_a_nan_of_forward_mode_is_no_wrong_rule_and_no_horizon():
    push = jnp.array([0.3, 0.4])
    motion = planted.falling_from_rest
    assert jnp.isfinite(jax.jacrev(motion)(push)).all()
    assert jnp.isnan(jax.jacfwd(motion)(push)).all()
    report = examined(motion, push)
    assert report.faults == ("gradient_not_finite",)
    assert report.find("jvp_vjp") is report.find("horizon") is None
    # What is known of the gradient is told all the same.
    assert report.find("finite_differences").numbers["error"] < 1e-5
    assert report.find("spectrum").numbers["rank"] == 2


def field_of(system):
    """The vector field of a system, as a function of its constants and its state."""
    field = mechanics.vector_field(system)
    return lambda params, y: field(0.3, y, params)


@pytest.mark.long
@pytest.mark.parametrize("name", systems.names())
def test_nothing_is_found_on_any_system(name):
    system = systems.get(name)
    y = system.sample(jax.random.key(1))
    report = examined(field_of(system), (system.params, y))
    assert report.ok, report


def test_nothing_is_found_on_a_motion_and_its_horizon_is_told():
    system = systems.get("mass_spring")

    def motion(params, y):
        step = integrators.leapfrog(system.hamiltonian)
        return integrators.rollout(step, y, dt=0.05, num_steps=40, args=params)

    report = examined(motion, (system.params, system.sample(jax.random.key(0))))
    assert report.ok, report
    horizon = report.find("horizon")
    assert "steady: over 40 steps" in horizon.seen
    # The flow of an oscillator in its own units turns a change, and no more.
    assert abs(horizon.numbers["log10_growth"]) < 0.5
    assert report.cost < 30
    assert report.find("jvp_vjp").numbers["error"] < 1e-12
    assert report.find("finite_differences").numbers["error"] < 1e-5
    assert report.find("float32").numbers["gradient_error"] < 1e-4


@pytest.mark.long
def test_nothing_is_found_on_simulators_and_networks():
    problem = problems.oscillator_control(num_steps=6)
    inputs, _ = problem.sample(jax.random.key(0), 1)
    control = jnp.linspace(-0.3, 0.4, problem.num_controls)
    assert examined(problem.simulate, (control, inputs[0])).ok
    for activation in ("tanh", "relu"):
        net = models.mlp((4, 16, 3), activation=activation)
        weights = net.init(jax.random.key(0))
        report = examined(net.apply, (weights, inputs[0]))
        assert report.ok, report


def test_singular_values_are_those_of_the_jacobian():
    matrix = jnp.diag(jnp.array([100.0, 1.0, 0.01])) @ jnp.ones((3, 1))
    report = examined(lambda x: matrix[:, 0] * x, jnp.ones(3))
    numbers = report.find("spectrum").numbers
    np.testing.assert_allclose(numbers["largest"], 100, rtol=1e-6)
    np.testing.assert_allclose(numbers["condition"], 1e4, rtol=1e-6)
    assert numbers["rcond"] == 1e-5
    assert "float64" in report.find("spectrum").cure


def test_the_leading_singular_values_of_a_large_jacobian():
    """Of a matrix of low rank, all that are not zero are found."""
    rng = np.random.default_rng(0)
    left, right = (np.linalg.qr(rng.standard_normal((30, 3)))[0] for _ in range(2))
    matrix = left * np.array([5.0, 2.0, 0.1]) @ right.T
    report = examined(lambda x: jnp.asarray(matrix) @ x, jnp.ones(30))
    numbers = report.find("spectrum").numbers
    np.testing.assert_allclose(numbers["largest"], 5, rtol=1e-6)
    np.testing.assert_allclose(numbers["condition"], 50, rtol=1e-6)
    assert numbers["rank"] == 3


def test_times_of_updates_and_a_figure(tmp_path):
    report = jaxphys.check(lambda x: jnp.sin(x) * x[0], TWO)
    numbers = report.find("updates").numbers
    assert 0 < numbers["adam"] < 1
    assert 0 < numbers["levenberg_marquardt"] < 1
    report.plot(tmp_path / "check.png")
    assert (tmp_path / "check.png").stat().st_size > 1000
    assert len(report.plot().axes) == 3
    assert "0 faults and 0 warnings" in str(report)


def test_a_complex_function_is_examined():
    def phase(psi, energy):
        return jnp.exp(-1j * energy) * psi

    psi = jnp.array([0.6 + 0.1j, 0.2 - 0.3j])
    report = examined(phase, (psi, 1.3))
    assert report.ok, report
    assert report.outputs == 4


def test_what_is_no_function_or_no_example_is_refused():
    def f(a, b):
        return a @ b

    with pytest.raises(TypeError, match="f is a int; expected a function"):
        examined(3, TWO)
    with pytest.raises(ValueError, match=r"no real numbers.*Write 1\.0 for 1"):
        examined(f, (1, 2))
    with pytest.raises(ValueError, match="x with a NaN"):
        examined(lambda x: x, jnp.array([jnp.nan]))
    with pytest.raises(ValueError, match=r"has 1 argument; expected .*f\(a, b\)"):
        examined(f, TWO)
    with pytest.raises(ValueError, match=r"has 3 arguments; expected .*f\(a, b\)"):
        examined(f, (TWO, TWO, 1.0))
    with pytest.raises(ValueError, match=r"b \(3,\): TypeError: .*return a @ b"):
        examined(f, (TWO, jnp.ones(3)))
    with pytest.raises(TypeError, match="seed"):
        jaxphys.check(jnp.sin, TWO, seed=None)


# What reads the jaxprs.


def test_growth_of_the_logistic_map_is_its_lyapunov_exponent():
    """ln 2 for x → 4 x (1 − x)."""

    def orbit(x):
        return jax.lax.scan(lambda x, _: (4 * x * (1 - x), None), x, length=4000)[0]

    (found,) = growth(jax.make_jaxpr(orbit)(0.3), [jnp.array(0.3)])
    exponent = float(found.logs[-1]) / 4000
    assert abs(exponent - np.log(2)) < (0.01 if jax.config.jax_enable_x64 else 0.05)


def test_growth_of_a_linear_loop_is_the_power_of_its_matrix():
    matrix = jnp.array([[1.1, 0.3], [0.0, 0.9]])

    def loop(x):
        return jax.lax.fori_loop(0, 50, lambda i, x: matrix @ x, x)

    (found,) = growth(jax.make_jaxpr(loop)(TWO), [TWO], tangents=1)
    np.testing.assert_allclose(jnp.diff(found.logs)[-1], np.log(1.1), rtol=1e-3)


def reaches(function, *inputs):
    (reach,), cuts = flow(jax.make_jaxpr(function)(*inputs))
    return reach.any, reach.smooth, [cut.place.primitive for cut in cuts]


def test_what_reaches_an_output_and_on_which_way():
    one = 1.0
    assert reaches(lambda x, y: x + 0 * y, one, one)[:2] == (3, 3)
    assert reaches(lambda x, y: x, one, one)[:2] == (1, 1)
    assert reaches(lambda x, y: jnp.where(y > 0, x, -x), one, one) == (3, 1, ["gt"])
    assert reaches(lambda x, y: x * jnp.sign(y), one, one) == (3, 1, ["sign"])
    assert reaches(lambda x, y: x * jax.lax.stop_gradient(y), one, one)[:2] == (3, 1)

    def carried(x, y):
        # y comes into x one step after the other.
        def step(c, _):
            return (c[0] + c[1], c[2], c[2]), None

        return jax.lax.scan(step, (x, x, y), None, length=4)[0][0]

    assert reaches(carried, one, one)[:2] == (3, 3)

    def until(x, y):
        return jax.lax.while_loop(lambda c: c < y, lambda c: c + 1, x)

    assert reaches(until, one, one)[:2] == (3, 1)

    def branch(x, y):
        return jax.lax.cond(y > 0, jnp.sin, jnp.cos, x)

    assert reaches(branch, one, one)[:2] == (3, 1)


def test_watching_changes_no_value():
    def odd(x):
        x = jax.nn.softplus(x) + jax.nn.relu(x)
        x = jax.lax.cond(x[0] > 0, jnp.sin, jnp.exp, x)
        x = jax.lax.scan(lambda c, z: (c * z, c + z), x[0], x, reverse=True)[1]
        x = jax.lax.while_loop(lambda x: x[0] < 9, lambda x: 2 * x + 1, x)
        return jnp.linalg.solve(jnp.eye(2) + x[:, None], x)

    (found,), notes = watch(jax.make_jaxpr(odd)(TWO), [TWO])
    np.testing.assert_allclose(found, odd(TWO), rtol=1e-6)
    assert not any(note.nan or note.inf or note.steep for note in notes)


def test_the_first_step_of_a_loop_is_told_even_backwards():
    def back(x):
        xs = jnp.array([1.0, 2.0, -1.0, 4.0])
        return jax.lax.scan(lambda c, z: (c, jnp.log(z * c)), x, xs, reverse=True)[1]

    _, notes = watch(jax.make_jaxpr(back)(1.0), [1.0])
    (log,) = [note for note in notes if note.nan]
    assert (log.place.primitive, log.step, log.loop) == ("log", 2, True)


# The command.

SOURCE = """
import jax.numpy as jnp

def fine(x, k=2.0):
    return jnp.sin(k * x)

def broken(x=jnp.zeros(2)):
    return jnp.sqrt(x @ x)

def alone(x=0.5):
    return x**2

example = (jnp.ones(3), 1.5)

def other():
    return (jnp.ones(1),)
"""


def test_the_command_examines_a_function_of_a_file(tmp_path, capsys):
    file = tmp_path / "simulator.py"
    file.write_text(SOURCE)
    quick = ["--no-updates"]
    out = tmp_path / "out"
    assert cli.main(["check", f"{file}:fine", *quick, "--out", str(out)]) == 0
    page = capsys.readouterr().out
    assert "by x (3,), k ()" in page
    report = json.loads((out / "report.json").read_text())
    assert report["ok"]
    assert report["function"] == "fine"
    assert (out / "check.png").is_file()
    example = ["--example", "other"]
    assert cli.main(["check", f"{file}:broken", *quick, *example, "--json"]) == 0
    capsys.readouterr()
    file.write_text(SOURCE.replace("example = (jnp.ones(3), 1.5)", ""))
    assert cli.main(["check", f"{file}:broken", *quick, "--json"]) == 1
    printed = json.loads(capsys.readouterr().out)
    (finding,) = printed["findings"]
    assert finding["name"] == "gradient_not_finite"
    assert finding["where"] == "simulator.py:8, return jnp.sqrt(x @ x)"


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ([], "check needs a function"),
        (["nothing.py:f"], "there is no file nothing.py"),
        (["simulator.py"], "expected FILE.py:NAME"),
        (["{}:missing"], "has no function missing; it has fine"),
        (["{}:fine", "--example", "none"], "has no none"),
        (["{}:fine", "--shapes", "2x"], "expected sizes such as 4 or 3,2"),
        (["{}:fine"], "there is no example for x"),
        (
            ["{}:alone", "--shapes", "3", "()"],
            "has 2 arguments; expected those of alone",
        ),
        (
            ["{}:fine", "--shapes", "2", "3"],
            "fine fails at the example, x (2,), k (3,)",
        ),
    ],
)
def test_the_command_says_what_it_misses(target, says, tmp_path, capsys):
    file = tmp_path / "simulator.py"
    file.write_text(SOURCE.replace("example = (jnp.ones(3), 1.5)", ""))
    arguments = [each.format(file) for each in target]
    assert cli.main(["check", *arguments]) == 2
    assert says in capsys.readouterr().err


GUIDE = pathlib.Path(__file__).parents[1] / "docs/guides/gradients.md"


def test_the_guide_and_the_docstring_name_every_finding():
    text = GUIDE.read_text(encoding="utf-8")
    for plant in planted.PLANTED.values():
        assert f"**`{plant.finding}`" in text or f"`{plant.finding}`.**" in text
        assert f"`{plant.finding}`" in jaxphys.doctor.__doc__


def test_the_guide_runs(capsys):
    """Its first report has the fault that it shows, at the line that it names."""
    blocks = re.findall(r"```python\n(.*?)```", GUIDE.read_text("utf-8"), re.DOTALL)
    names = {}
    for block in blocks:
        exec(block.replace("0.5]]))", "0.5]]), time_updates=False)"), names)
    printed = capsys.readouterr().out
    assert names["report"].faults == ("gradient_not_finite",)
    assert "norm of a zero vector in a branch that where() does not take" in printed
    assert "there are jumps between" in printed
