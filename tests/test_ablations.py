"""One choice after another changed: what is compared is what is meant, and fairly."""

import contextlib
import io
import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxphys import experiments, losses, optim, training
from jaxphys.experiments import RunOptions
from jaxphys.experiments.control import ablations, choices, rates, sweeps
from jaxphys.experiments.control.ablations import Settings
from jaxphys.experiments.control.choices import Choice

pytestmark = pytest.mark.x64


@pytest.fixture(scope="module")
def every():
    return sweeps.rows(Settings())


def updated(tx, start=None):
    """A parameter matrix after two updates, from the first state of `start`."""
    inputs = jax.random.normal(jax.random.key(0), (6, 3))
    targets = jax.random.normal(jax.random.key(1), (6, 2))
    state = training.init_state(jnp.ones((3, 2)) / 2, tx if start is None else start)
    step = jax.jit(
        training.make_train_step(
            lambda params, x: jnp.tanh(x @ params), losses.squared_error, tx
        )
    )
    for _ in range(2):
        state, _ = step(state, (inputs, targets))
    return state.params


@pytest.mark.parametrize("power", [1.0, 0.0, -0.5, -1.0])
def test_a_step_of_numbers_in_memory_is_the_step_of_these_numbers(power, every):
    fixed = optax.chain(
        optim.scale_by_spectral(power=power, rcond=1e-3), optax.scale(-0.1)
    )
    start = Choice("hig", 6, (), {"power": power, "rcond": 1e-3}).start(
        learning_rate=0.1
    )
    compiled = every["kappa_1"].recipe(Settings()).optimizer(6)
    np.testing.assert_allclose(updated(compiled, start), updated(fixed), rtol=1e-8)


def test_spring_takes_its_numbers_from_memory(every):
    numbers = {"damping": 1e-2, "decay": 0.5}
    compiled = every["spring"].recipe(Settings()).optimizer(6)
    found = updated(compiled, Choice("spring", 6, (), numbers).start())
    np.testing.assert_allclose(found, updated(optim.spring(**numbers)), rtol=1e-8)


def test_what_an_optimizer_does_not_remember_is_told():
    with pytest.raises(TypeError, match="'power'"):
        Choice("adam", 6, (), {"power": 1.0}).start(learning_rate=0.1)


def test_rows_are_named_by_what_is_changed_sweep_by_sweep(every):
    assert list(every) == [
        *(f"kappa_{x}" for x in ("1", "0.5", "0", "-0.25", "-0.5", "-0.75", "-1")),
        *(f"rcond_{x}" for x in ("0.01", "0.0001", "1e-06", "1e-08")),
        *(f"batch_{x}" for x in (8, 16, 64, 128, 256)),
        *(f"width_{x}" for x in (5, 10, 40, 80)),
        *("adam", "levenberg_marquardt", "spring"),
        *(f"levenberg_marquardt_damping_{x}" for x in ("1e-07", "1e-05", 0.001, 0.1)),
        *(f"spring_damping_{x}" for x in ("1e-05", 0.001, 0.1, 1)),
        *(f"spring_decay_{x}" for x in (0, 0.5, 0.99)),
    ]


@pytest.mark.parametrize("problem", choices.PROBLEMS)
def test_every_sweep_passes_through_the_same_setting(problem):
    every = sweeps.rows(Settings(problem=problem))
    half = every["kappa_-0.5"]
    assert {"kappa", "rcond", "batch"} <= set(half.at)
    for row in every.values():
        if row.choice.kind == "hig" and "kappa" not in row.at:
            changed = [a != b for a, b in zip(row.choice, half.choice, strict=True)]
            assert sum(changed) == 1
            assert row.power == -0.5
    assert {"damping", "decay"} == set(every["spring"].at)


def test_a_batch_size_asked_for_is_that_of_all_but_its_sweep():
    every = sweeps.rows(Settings(), RunOptions(batch_size=16))
    for row in every.values():
        own = set(row.at) == {"batch"}
        assert (row.choice.batch_size == 16) != own
        assert row.recipe(Settings()).batch_size == row.choice.batch_size
    assert "batch_32" in every
    assert "batch_16" not in every


def test_the_name_of_a_sweep_is_all_of_its_settings(every):
    assert ablations.chosen(("decay", "adam"), every) == (
        "spring",
        "spring_decay_0",
        "spring_decay_0.5",
        "spring_decay_0.99",
        "adam",
    )
    with pytest.raises(ValueError, match="Did you mean 'kappa'"):
        ablations.chosen(("kapa",), every)


def test_a_rate_of_one_is_the_true_step_of_gauss_newton(every):
    assert rates.rate_unit(every["kappa_-1"].choice, 10.0) == 16.0
    assert rates.rate_unit(every["kappa_1"].choice, 10.0) == 0.16


def test_the_best_rate_did_not_diverge():
    ends = [
        {"status": "diverged", "train_loss": 0.1},
        {"status": "finished", "train_loss": 0.3},
        {"status": "finished", "train_loss": 0.2},
    ]
    assert rates.best_of(ends) == 2
    assert rates.best_of(ends[:1]) == 0


EXPONENTS = {"powers": (1.0, -1.0), "rates": (0.3, 1.0)}


def run(out, *methods, steps=2, resume=False, **settings):
    options = RunOptions(
        method=methods,
        batch_size=2,
        steps=steps,
        out=out,
        resume=resume,
        progress=False,
    )
    settings = {"problem": "poisson", "samples": 8} | settings
    experiments.run("ablations", options, **settings)
    return json.loads((out / "results.json").read_text())["methods"]


@pytest.fixture(scope="module")
def exponents(tmp_path_factory):
    """A run of three exponents: its directory, its rows, and what it printed."""
    out = tmp_path_factory.mktemp("ablations") / "run"
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        methods = run(out, "kappa", **EXPONENTS)
    return out, methods, printed.getvalue()


def test_exponents_share_a_compilation(exponents):
    _, methods, _ = exponents
    assert list(methods) == ["kappa_1", "kappa_-0.5", "kappa_-1"]
    first, *others = methods.values()
    assert all(
        each["compile_seconds"] < 0.3 * first["compile_seconds"] for each in others
    )


def test_the_rate_of_the_lowest_train_loss_is_kept(exponents):
    _, methods, _ = exponents
    for entry in methods.values():
        final = entry["final"]
        assert [end["rate"] for end in final["rates"]] == [0.3, 1]
        assert final["train_loss"] == min(end["train_loss"] for end in final["rates"])


def test_a_run_says_its_budget_and_draws_two_figures(exponents):
    out, _, printed = exponents
    assert "each rate: 2 updates" in printed
    assert {p.name for p in out.glob("*.png")} == {"ablations.png", "comparison.png"}


@pytest.mark.long
def test_a_run_goes_on_with_more_updates_and_other_sweeps(tmp_path):
    out = tmp_path / "run"
    first = run(out, "kappa", **EXPONENTS)
    assert [h["step"] for h in first["kappa_1"]["history"]] == [0, 1, 2]
    methods = ("spring", "kappa")
    then = run(out, *methods, steps=3, resume=True, **EXPONENTS)
    assert [h["step"] for h in then["kappa_1"]["history"]] == [0, 1, 2, 3]
    assert list(then) == [*first, "spring"]


@pytest.mark.measured
def test_every_setting_runs(tmp_path):
    settings = {"batches": (2, 4), "widths": (5,)}
    methods = run(tmp_path / "run", "all", **settings)
    for entry in methods.values():
        assert np.isfinite(entry["final"]["test_loss"])
    asked = Settings(problem="poisson", **settings)
    assert set(methods) == set(sweeps.rows(asked, RunOptions(batch_size=2)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"problem": "oscilators"}, "Did you mean 'oscillators'"),
        ({"rates": ()}, "expected one or more"),
        ({"near_rates": (-1.0,)}, "all > 0"),
        ({"batches": (24,)}, "does not divide"),
        ({"samples": 0}, "samples is 0"),
    ],
)
def test_invalid_settings_are_told_before_anything_is_written(
    change, message, tmp_path
):
    options = RunOptions(out=tmp_path / "run", progress=False)
    with pytest.raises(ValueError, match=message):
        experiments.run("ablations", options, **change)
    assert not (tmp_path / "run").exists()


@pytest.mark.measured
def test_half_inverse_gradients_beat_gradient_descent_in_as_many_updates(tmp_path):
    """Each by the best of its rates; their updates take the same time."""
    names = ("kappa_1", "kappa_-0.5")
    options = RunOptions(method=names, steps=500, out=tmp_path, progress=False)
    done = experiments.run("ablations", options, rates=(0.3, 1.0, 2.0))
    gradient, half = (
        done.results["methods"][name]["final"]["test_loss"] for name in names
    )
    assert gradient < 1e-2
    assert half < 1e-3 * gradient
