"""`jaxphys.compare`: methods side by side on a problem of one's own."""

import json
import pathlib
import re

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen, nnx

import jaxphys
from jaxphys import learning, losses, models, motion, optim, plots, problems, systems
from jaxphys.training import _blas

README = pathlib.Path(__file__).parent.parent / "README.md"
QUIET = {"progress": False, "steps": 4}


@pytest.fixture(scope="module")
def steering():
    """A small problem, its network and its data."""
    problem = problems.oscillator_control(1, num_steps=3)
    model = models.mlp((2, 6, 3))
    return problem, model, problem.sample(jax.random.key(1), 48)


@pytest.fixture(scope="module")
def comparison(steering):
    problem, model, _ = steering
    methods = ("adam", "levenberg_marquardt")
    return jaxphys.compare(problem, model, 48, methods=methods, seeds=2, **QUIET)


def last(found, method="levenberg_marquardt"):
    return found.results["methods"][method]["final"]["train_loss"]


def test_a_problem_outputs_and_a_residual_are_trained_alike(steering):
    problem, model, data = steering
    outputs = problems.outputs(problem, model)
    options = {"methods": "levenberg_marquardt", "batch_size": 16, **QUIET}
    same = [
        jaxphys.compare(problem, model, data, **options),
        jaxphys.compare(
            model=model,
            data=data,
            outputs=outputs,
            objective=problem.objective,
            **options,
        ),
        jaxphys.compare(
            lambda params, both: outputs(params, both[0]) - both[1],
            (model.init(jax.random.fold_in(jax.random.key(0), 0)), model.apply),
            data,
            **options,
        ),
    ]
    for found in same:
        assert last(found) == pytest.approx(last(same[0]), rel=1e-3)
        assert (
            "test_loss" not in found.results["methods"]["levenberg_marquardt"]["final"]
        )


def test_every_method_begins_alike_and_is_judged_on_other_data(comparison):
    methods = comparison.results["methods"]
    starts = [entry["history"][0] for entry in methods.values()]
    assert starts[0]["train_loss"] == starts[1]["train_loss"]
    assert starts[0]["test_loss"] != starts[0]["train_loss"]
    for entry in methods.values():
        assert entry["final"]["step"] == 4
        assert len(entry["repeats"]) == 1
        assert entry["repeats"][0]["history"][0]["test_loss"] != starts[0]["test_loss"]
    assert comparison.best == "levenberg_marquardt"
    assert comparison.loss("levenberg_marquardt") < comparison.loss("adam")


def test_it_prints_as_a_table(comparison):
    text = str(comparison)
    for word in ("adam", "levenberg_marquardt", "at the start", "test loss"):
        assert word in text
    assert "Medians over 2 seeds" in text
    assert re.search(r"levenberg_marquardt ends lowest, at .* times below adam", text)
    assert repr(comparison) == text
    assert "| adam | 4 |" in comparison._repr_markdown_()
    assert "<td>levenberg_marquardt</td>" in comparison._repr_html_()


def test_figures_take_it_as_it_is(comparison, tmp_path):
    figure = comparison.plot(tmp_path / "methods.png")
    assert (tmp_path / "methods.png").stat().st_size > 1000
    assert figure._repr_png_().startswith(b"\x89PNG")
    both = plots.comparison({"one": comparison, "stored": comparison.results})
    for drawn in (plots.comparison(comparison), both):
        assert isinstance(drawn, plots.Figure)
    axes = plots.loss_curves(plots.Figure().subplots(), comparison)
    assert "Adam" in axes.get_legend_handles_labels()[1]
    assert plots.looks(comparison)["adam"].label == "Adam"


def test_without_tests_the_train_loss_is_the_thick_line(steering):
    problem, model, data = steering
    found = jaxphys.compare(problem, model, data, methods="adam", **QUIET)
    (line,) = plots.loss_curves(plots.Figure().subplots(), found).get_lines()
    assert line.get_label() == "Adam"
    assert len(line.get_xdata()) > 1


def test_methods_have_names(steering):
    problem, model, data = steering
    methods = (optim.levenberg_marquardt(damping=0.1), optax.sgd(0.1))
    found = jaxphys.compare(problem, model, data, methods=methods, **QUIET)
    assert list(found.params) == ["levenberg_marquardt", "method 2"]
    methods = {"fast": optax.adam(1e-1), "inverse": "sip"}
    found = jaxphys.compare(problem, model, data, methods=methods, **QUIET)
    assert list(found.params) == ["fast", "inverse"]


def test_a_method_whose_steps_were_too_long_is_told(steering):
    problem, model, data = steering
    methods = {"wild": optax.sgd(1e3), "adam": "adam"}
    found = jaxphys.compare(
        problem, model, data, methods=methods, steps=60, progress=False
    )
    final = found.results["methods"]["wild"]["final"]
    assert np.isfinite(final["train_loss"])
    assert re.search(r"wild: .*updates shortened to 1/\d+", str(found))


def test_nothing_is_written_unless_asked(steering, tmp_path, monkeypatch):
    problem, model, data = steering
    monkeypatch.chdir(tmp_path)
    jaxphys.compare(problem, model, data, methods="adam", **QUIET)
    assert not list(tmp_path.iterdir())
    out = tmp_path / "run"
    found = jaxphys.compare(problem, model, data, methods="adam", out=out, **QUIET)
    assert json.loads((out / "results.json").read_text()) == found.results
    assert (out / "comparison.png").exists()
    assert (out / "checkpoints" / "adam-0").is_dir()
    with pytest.raises(ValueError, match="another run"):
        jaxphys.compare(problem, model, data, methods="adam", out=out, **QUIET)


def test_parameters_alone_are_trained():
    """Free controls: no network at all."""
    found = jaxphys.compare(
        lambda u, start: jnp.stack([start[0] + u.sum(), 0.1 * u[0]]),
        jnp.ones(3),
        jnp.array([[2.0]]),
        methods="levenberg_marquardt",
        steps=20,
        progress=False,
    )
    u = found.params["levenberg_marquardt"]
    np.testing.assert_allclose((u.sum(), u[0]), (-2.0, 0.0), atol=1e-3)


def test_what_does_not_fit_is_told_before_anything_is_compiled(steering, tmp_path):
    problem, model, data = steering
    bad = [
        (ValueError, "either a problem", {"problem": None}),
        (ValueError, "Did you mean 'adam'", {"methods": "adm"}),
        (ValueError, "no method given", {"methods": ()}),
        (TypeError, "optax transformation", {"methods": {"mine": 3}}),
        (ValueError, "got the budgets", {"seconds": 1.0}),
        (ValueError, r"pair \(inputs, targets\)", {"data": data[0]}),
        (TypeError, r"models\.from_equinox", {"model": jnp.tanh}),
        (TypeError, "expected a Problem", {"problem": 3}),
        (ValueError, "objective of its own", {"objective": losses.squared_error}),
    ]
    for error, match, changed in bad:
        arguments = {"problem": problem, "model": model, "data": data} | QUIET | changed
        with pytest.raises(error, match=match):
            jaxphys.compare(**arguments, out=tmp_path / "run")
    start, points = jnp.ones(3), jnp.ones((8, 1))
    for outputs, objective, match in (
        (lambda w, x: w.sum() * x[0], losses.squared_error, "one vector"),
        (lambda w, x: w * x[0], lambda y, target: y, "expected a scalar"),
    ):
        with pytest.raises(ValueError, match=match):
            jaxphys.compare(
                outputs, start, (points, points), objective=objective, **QUIET
            )
    with pytest.raises(ValueError, match="leading sample axis"):
        jaxphys.compare(lambda w, x: w * x[0], start, **QUIET)
    with pytest.raises(ValueError, match="known: adam, hig"):
        jaxphys.compare(lambda w, x: w * x[0], start, points, methods="sip", **QUIET)
    module = eqx.nn.Linear(3, 2, key=jax.random.key(0))
    pairs = (jnp.ones((8, 2)), jnp.ones((8, 2)))
    with pytest.raises(ValueError, match=r"residual.*\(\(2,\), \(2,\)\).*objective="):
        jaxphys.compare(lambda net, x: net.weight @ x, module, pairs, **QUIET)
    with pytest.raises(ValueError, match="outputs has no objective; pass objective="):
        jaxphys.compare(outputs=module, model=module, data=pairs, **QUIET)
    for learned in (lambda net, x: net(x), problems.oscillator_control(num_steps=4)):
        objective = losses.squared_error if callable(learned) else None
        given = pairs if callable(learned) else 8
        with pytest.raises(ValueError, match=r"fails: .*weights have shape \(2, 3\)"):
            jaxphys.compare(learned, module, given, objective=objective, **QUIET)
    with pytest.raises(TypeError, match=r"models\.from_linen"):
        jaxphys.compare(lambda net, x: net(x), linen.Dense(3), points, **QUIET)
    assert not (tmp_path / "run").exists()


def test_a_fit_leaves_the_number_of_blas_threads(monkeypatch):
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    jnp.linalg.cholesky(jnp.eye(2)).block_until_ready()
    found = _blas._libraries()
    before = [count() for count, _ in found]
    with _blas.one_blas_thread():
        assert [count() for count, _ in found] == [1] * len(found)
    assert [count() for count, _ in found] == before


# Ten lines each: a simulator and a network that the library does not know.


def field(t, y, force):
    """A cart on a spring, pushed by eight forces one after another."""
    return jnp.stack([y[1], force[(4 * t).astype(int).clip(0, 7)] - y[0]])


def steered(net, start):
    end = diffrax.diffeqsolve(
        diffrax.ODETerm(field), diffrax.Tsit5(), 0.0, 2.0, 0.125, start, net(start)
    )
    return end.ys[0]


def starts(key):
    return jax.random.normal(key, (64, 2)), jnp.zeros((64, 2))


@pytest.mark.long
def test_a_cart_integrated_by_diffrax_is_brought_to_rest_by_an_nnx_network():
    rngs = nnx.Rngs(0)
    layers = nnx.Linear(2, 16, rngs=rngs), jnp.tanh, nnx.Linear(16, 8, rngs=rngs)
    net = nnx.Sequential(*layers)
    options = {"objective": losses.squared_error, "steps": 20, "progress": False}
    options |= {"methods": "levenberg_marquardt"}
    check_pays(jaxphys.compare(steered, net, starts, **options))


def check_pays(found):
    entry = found.results["methods"]["levenberg_marquardt"]
    assert found.loss("levenberg_marquardt") < 1e-2 * entry["history"][0]["test_loss"]
    assert found.best == "levenberg_marquardt"


def test_the_second_example_of_the_readme_runs():
    """The same by an equinox network, in fewer steps."""
    text = README.read_text(encoding="utf-8")
    section = text.partition("## Your own simulator, your own network")[2]
    code = re.search(r"```python\n(.*?)```", section, re.DOTALL).group(1)
    small = code.replace("seconds=5", "steps=20, progress=False").replace("1024", "64")
    assert small.count("64") == 2
    names = {}
    exec(small, names)
    check_pays(names["found"])


def test_a_network_before_a_linear_solve_and_a_convex_loss():
    """A resistance −u″ + c u = 1 found from u, by a loss that is no square."""
    n = 12
    stiffness = (2 * jnp.eye(n) - jnp.eye(n, k=1) - jnp.eye(n, k=-1)) * (n + 1) ** 2

    def temperature(net, spot):
        return solve(jax.nn.softplus(net(spot)))

    def solve(c):
        return 20 * jnp.linalg.solve(stiffness + jnp.diag(c), jnp.ones(n))

    def draw(key):
        spots = jax.random.uniform(key, (64, 2))
        return spots, jax.vmap(lambda s: solve(20 * s[0] * jnp.ones(n) + s[1]))(spots)

    found = jaxphys.compare(
        temperature,
        eqx.nn.MLP(2, n, 16, 1, key=jax.random.key(0)),
        draw,
        objective=lambda u, t: jnp.sum(jnp.logaddexp(u - t, t - u) - jnp.log(2.0)),
        steps=30,
        progress=False,
    )
    begun = found.results["methods"]["adam"]["history"][0]["test_loss"]
    assert found.loss("levenberg_marquardt") < 0.05 * begun


def test_a_hamiltonian_by_an_equinox_network():
    pendulum = systems.pendulum()
    ts = jnp.linspace(0.0, 2.0, 16)
    seen = motion.simulated(pendulum, jax.random.key(0), 8, ts)
    net = eqx.nn.MLP(2, "scalar", 16, 1, jnp.tanh, key=jax.random.key(1))
    energy = models.dynamics(models.hnn(1, own=net))
    target = learning.matching(energy, learning.Recipe(steps=1))
    found = jaxphys.compare(target, data=[seen], steps=40, progress=False)
    begun = found.results["methods"]["adam"]["history"][0]["train_loss"]
    assert found.best == "levenberg_marquardt"
    assert found.loss("levenberg_marquardt") < 1e-2 * begun
