"""Motions are learned from trajectories by one call, whatever is matched and how."""

import shutil

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxphys import data, learning, mechanics, metrics, models, systems, training
from jaxphys.learning import Recipe, learn, matching, transformation
from jaxphys.training import Storage
from jaxphys.types import PhaseState, TangentState, Trajectories

LM = {"optimizer": "levenberg_marquardt"}


def spring(dtype="float32", end=3.0, times=16, num=6):
    """Motions of H = q² + p², which turn with ω = 2."""
    draw = np.random.default_rng(0)
    size = draw.uniform(0.1, 1.0, (num, 1, 1))
    angle = draw.uniform(0, 2 * np.pi, (num, 1, 1))
    t = np.linspace(0, end, times)
    turned = 2 * t[:, None] + angle
    q, p = size * np.cos(turned), -size * np.sin(turned)
    rate = PhaseState(2 * p, -2 * q)
    (seen,) = data.cast([Trajectories(t, PhaseState(q, p), rate)], dtype)
    return seen


def motion(make=models.hnn, dtype="float32", **options):
    return models.dynamics(make(1, hidden=(8,), dtype=dtype, **options))


def fitted(what, recipe, train, **options):
    options = {"key": jax.random.key(1), "progress": False} | options
    return learn(what, recipe, [train], **options)


def losses(fit):
    return [record["train_loss"] for record in fit.history]


def same(a, b):
    leaves = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return all(np.array_equal(np.asarray(x), np.asarray(y)) for x, y in leaves)


def against(what, params, system, size):
    """Relative error of the field, and the spread of H − H_true, in a square."""
    points = jax.random.uniform(jax.random.key(3), (2, 100, 1), minval=-1)
    y = PhaseState(*(size * points))
    true = mechanics.vector_field(system)

    @jax.jit
    def compared(y):
        rates = jax.vmap(lambda y: true(0.0, y, system.params))(y)
        error = metrics.derivative_error(what, params, y, rates).relative
        ours = jax.vmap(what.energy, (None, 0, 0))(params, *y)
        return error, ours - jax.vmap(system.hamiltonian, (None, 0, 0))(
            system.params, *y
        )

    error, apart = compared(y)
    return float(error), float(jnp.std(apart)), float(jnp.mean(apart))


@pytest.mark.x64
def test_the_energy_of_a_spring_is_found_up_to_a_constant():
    what = models.dynamics(models.hnn(1, hidden=(16,), dtype=jnp.float64))
    fit = fitted(what, Recipe(**LM, steps=1000), spring("float64"))
    error, spread, constant = against(
        what, fit.state.params, systems.mass_spring(), 0.6
    )
    assert error < 1e-4
    assert spread < 1e-4
    assert abs(constant) > 0.1


@pytest.mark.x64
def test_the_energy_of_a_pendulum_is_found_up_to_a_constant():
    """All of it, beyond the heights that the data reach: an angle has its period."""
    pendulum = systems.pendulum()
    draw = np.random.default_rng(0)
    q, p = draw.uniform(-2, 2, (2, 1, 100, 1))
    rate = PhaseState(2 * p, -3 * np.sin(q))
    seen = Trajectories(np.arange(100.0), PhaseState(q, p), rate)
    what = models.dynamics(
        models.hnn(1, hidden=(16,), periodic=(True,), dtype=jnp.float64)
    )
    fit = fitted(what, Recipe(**LM, steps=1000), seen)
    error, spread, _ = against(what, fit.state.params, pendulum, 1.5)
    assert error < 1e-4
    assert spread < 1e-4


@pytest.mark.x64
def test_a_field_is_found_without_derivatives():
    seen = spring("float64")._replace(rate=None)
    what = motion(dtype="float64")
    recipe = Recipe("trajectories", learning_rate=1e-2, chunk=2, steps=4000)
    fit = fitted(what, recipe, seen)
    error, _, _ = against(what, fit.state.params, systems.mass_spring(), 0.6)
    assert error < 0.02


def kicked(dt, times=12, num=10):
    """Leapfrog's own motions of H = q² + p², a drift on either side of a kick."""
    q, p = np.random.default_rng(0).uniform(-0.8, 0.8, (2, num, 1))
    path = [(q, p)]
    for _ in range(times - 1):
        half = q + dt / 2 * 2 * p
        p = p - dt * 2 * half
        q = half + dt / 2 * 2 * p
        path.append((q, p))
    q, p = (np.stack(x, axis=1) for x in zip(*path, strict=True))
    return Trajectories(dt * np.arange(times), PhaseState(q, p))


@pytest.mark.x64
@pytest.mark.long
def test_leapfrog_finds_the_energy_that_leapfrog_followed_however_coarse():
    what = motion(models.separable, "float64")
    recipe = Recipe("trajectories", integrator="leapfrog", chunk=2, **LM, steps=2000)
    fit = fitted(what, recipe, kicked(0.4))
    error, spread, _ = against(what, fit.state.params, systems.mass_spring(), 0.6)
    assert error < 1e-3
    assert spread < 1e-3


@pytest.mark.parametrize("integrator", ["leapfrog", "symplectic_euler", "euler"])
def test_a_symplectic_step_of_a_separable_energy_learns(integrator):
    seen = spring(times=31)._replace(rate=None)
    recipe = Recipe(
        "trajectories",
        integrator=integrator,
        learning_rate=1e-2,
        chunk=1,
        steps=500,
    )
    fit = fitted(motion(models.separable), recipe, seen)
    assert losses(fit)[-1] < 0.02 * losses(fit)[0]


RATES = {"adam": 1e-2, "hig": 0.1, "gauss_newton": 0.1, "spring": 1.0}


@pytest.mark.x64
@pytest.mark.parametrize("name", learning.OPTIMIZERS)
def test_every_optimizer_learns_by_the_same_call(name):
    """Fewer samples than weights: there Gauss–Newton's step is well defined."""
    recipe = Recipe(optimizer=name, learning_rate=RATES.get(name, 1.0), steps=300)
    fit = fitted(motion(dtype="float64"), recipe, spring("float64", times=2, num=4))
    assert fit.status == "finished"
    assert losses(fit)[-1] < 0.01 * losses(fit)[0]


@pytest.mark.parametrize("name", ["adam", "levenberg_marquardt"])
def test_weights_of_single_precision_stay_so(name):
    recipe = Recipe(optimizer=name, learning_rate=1e-2, steps=60)
    fit = fitted(motion(), recipe, spring())
    assert losses(fit)[-1] < 0.5 * losses(fit)[0]
    dtypes = {str(x.dtype) for x in jax.tree.leaves(fit.state.params)}
    assert dtypes == {"float32"}


def test_an_acceleration_is_learned_from_velocities():
    what = models.second_order(1, hidden=(8,))
    # Of H = q² + p² the velocity is 2p, the acceleration −4q.
    q, p = spring().y
    seen = Trajectories(spring().t, TangentState(q, 2 * p), TangentState(2 * p, -4 * q))
    fit = fitted(what, Recipe(**LM, steps=60), seen)
    assert losses(fit)[-1] < 1e-2 * losses(fit)[0]


def test_an_input_is_learned_with_the_motion():
    """The force of u = cos 5t on a spring: dp/dt = −2q + 3u."""
    seen = spring()
    u = np.broadcast_to(np.cos(5 * seen.t)[None, :, None], seen.y.q.shape)
    rate = PhaseState(seen.rate.q, seen.rate.p + 3 * u)
    (seen,) = data.cast([seen._replace(u=u, rate=rate)], "float32")
    what = models.port_hamiltonian(1, 1, energy="plain", hidden=(8,))
    fit = fitted(what, Recipe(**LM, steps=60), seen)
    assert losses(fit)[-1] < 1e-3 * losses(fit)[0]
    y = PhaseState(jnp.array([0.2]), jnp.array([0.1]))
    push = [
        jax.jit(what.vector_field)(0.0, y, (fit.state.params, jnp.array([u]))).p
        for u in (0.0, 1.0)
    ]
    assert float((push[1] - push[0])[0]) == pytest.approx(3, rel=0.2)


def test_the_loss_is_the_mean_over_samples_and_components():
    seen, what = spring(), motion()
    params = what.init(jax.random.key(5))
    moments, rates = data.moments([seen])
    found = jax.vmap(what.vector_field, (0, 0, None))(moments.t, moments.y, params)
    wanted = np.mean(np.square(np.hstack(found) - np.hstack(rates)))
    fit = fitted(what, Recipe(steps=1), seen, params=params)
    assert losses(fit)[0] == pytest.approx(float(wanted), rel=1e-5)


WEIGHTS = {"w": jnp.array([[1.0, -2.0], [0.5, 3.0]], "float32")}


def path_of(tx, gradient, steps=4):
    """Weights along some updates by a gradient of them."""
    state, params, seen = tx.init(WEIGHTS), WEIGHTS, []
    for _ in range(steps):
        updates, state = tx.update(jax.tree.map(gradient, params), state, params)
        params = optax.apply_updates(params, updates)
        seen.append(params["w"])
    return np.stack(seen)


def test_weight_decay_is_the_gradient_of_a_square_of_the_weights():
    """Adam of g + λθ, that is of the loss + λ‖θ‖²/2."""
    recipe = Recipe(learning_rate=0.1, weight_decay=0.3, steps=4)
    found = path_of(transformation(recipe), jnp.sin)
    wanted = path_of(optax.adam(0.1), lambda w: jnp.sin(w) + 0.3 * w)
    np.testing.assert_allclose(found, wanted, rtol=1e-6)


@pytest.mark.x64
def test_a_fit_with_weight_decay_goes_down_the_loss_with_a_square_beside_it():
    seen, what = spring("float64"), motion(dtype="float64")
    moments, rates = data.moments([seen])

    def loss(params):
        found = jax.vmap(what.vector_field, (0, 0, None))(moments.t, moments.y, params)
        apart = jnp.hstack(found) - jnp.hstack(rates)
        return jnp.mean(apart**2) + 0.2 * optax.tree.norm(params, squared=True) / 2

    params = start = what.init(jax.random.key(5))
    tx = optax.adam(0.05)
    state, gradient = tx.init(params), jax.jit(jax.grad(loss))
    for _ in range(3):
        updates, state = tx.update(gradient(params), state)
        params = optax.apply_updates(params, updates)
    recipe = Recipe(learning_rate=0.05, weight_decay=0.2, steps=3)
    fit = fitted(what, recipe, seen, params=start)
    for ours, theirs in zip(
        jax.tree.leaves(fit.state.params), jax.tree.leaves(params), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-8)


def rates_of(recipe, steps):
    """The size of Adam's updates by a gradient that is always one."""
    where = path_of(transformation(recipe), jnp.ones_like, steps)
    before = np.concatenate([np.asarray(WEIGHTS["w"])[None], where[:-1]])
    return (before - where)[:, 0, 0]


def test_a_constant_rate_stays():
    found = rates_of(Recipe(learning_rate=0.1, steps=5), 5)
    np.testing.assert_allclose(found, 0.1, rtol=1e-4)


def test_a_cosine_ends_at_zero_with_the_budget():
    recipe = Recipe(learning_rate=0.1, schedule="cosine", steps=10)
    found = rates_of(recipe, 13)
    wanted = 0.05 * (1 + np.cos(np.pi * np.minimum(np.arange(13), 10) / 10))
    np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-6)
    assert np.all(found[10:] == 0)


def test_a_step_halves_the_rate_and_holds_it_between():
    recipe = Recipe(learning_rate=0.1, schedule="step", decay_every=3, steps=9)
    wanted = 0.1 * np.repeat([1, 0.5, 0.25], 3)
    np.testing.assert_allclose(rates_of(recipe, 9), wanted, rtol=1e-4)
    fast = Recipe(schedule="step", decay_every=2, decay_factor=0.1, steps=4)
    wanted = 1e-3 * np.array([1, 1, 0.1, 0.1])
    np.testing.assert_allclose(rates_of(fast, 4), wanted, rtol=1e-2)


def test_batches_that_do_not_divide_are_filled_up_and_no_sample_is_left_out():
    """Of 96 samples 40 an update make three updates an epoch; the loss is of the 96."""
    whole, part = (
        fitted(motion(), Recipe(batch_size=size, steps=6), spring())
        for size in (None, 40)
    )
    assert part.history[-1] | {"step": 6, "epoch": 2.0} == part.history[-1]
    assert losses(part)[0] == losses(whole)[0]
    assert whole.history[-1]["epoch"] == 6


def test_batches_are_the_same_each_epoch_where_they_are_not_shuffled():
    """Then nothing depends on the key but the weights, which are given here."""
    recipe, train = Recipe(steps=30, batch_size=16), spring()
    what = motion()
    params = what.init(jax.random.key(0))
    kept, again, mixed = (
        fitted(what, recipe, train, params=params, key=jax.random.key(seed), shuffle=s)
        for seed, s in ((1, False), (2, False), (2, True))
    )
    assert same(kept.state.params, again.state.params)
    assert not same(kept.state.params, mixed.state.params)


def test_budgets_and_seeds_share_one_compiled_step():
    what, traced = motion(), []

    def field(t, y, params):
        traced.append(t)
        return what.vector_field(t, y, params)

    recipe = Recipe(steps=3)
    target = matching(what._replace(vector_field=field), recipe)
    learner, counts = learning.Learner(target, recipe), []
    for seed, budget in enumerate([{"steps": 3}, {"steps": 4}, {"seconds": 0.05}]):
        keys = jax.random.split(jax.random.key(seed))
        sets, budget = {"train_loss": [spring()]}, training.Budget(**budget)
        learner.fit(sets, *keys, budget=budget, progress=False)
        counts.append(len(traced))
    assert counts[0] == counts[1] == counts[2]


def test_growing_batches_are_one_history():
    recipe = Recipe(batch_growth=(16, 32), batch_size=96, steps=9, **LM)
    assert recipe.stages == ((0, 16), (0, 32), (0, 96))
    fit = fitted(motion(), recipe, spring())
    assert fit.history[-1]["step"] == 9
    assert losses(fit)[-1] < losses(fit)[0]
    both = {"mode": "trajectories", "growth": (1,), "chunk": 3, "batch_growth": (16,)}
    mixed = Recipe(steps=2, **both)
    assert mixed.check().stages == ((1, 16), (3, None))


def test_a_batch_larger_than_the_data_is_the_data():
    whole, large = (
        fitted(motion(), Recipe(batch_size=size, steps=3), spring())
        for size in (None, 1000)
    )
    assert same(whole.state.params, large.state.params)


GROWING = Recipe(
    "trajectories", integrator="euler", growth=(1,), chunk=3, steps=20, look_every=5
)


def test_growing_horizons_are_one_history():
    fit = fitted(motion(), GROWING, spring())
    assert GROWING.lengths == (1, 3)
    assert fit.state.step == 20
    steps = [record["step"] for record in fit.history]
    assert steps == [0, 5, 10, 10, 15, 20]
    seconds = [record["seconds"] for record in fit.history]
    assert seconds == sorted(seconds)
    assert seconds[-1] == pytest.approx(fit.seconds)
    # A longer way from the same weights leaves more of an error.
    assert losses(fit)[3] > losses(fit)[2]


@pytest.mark.long
def test_growing_horizons_go_on_at_the_stage_where_they_were(tmp_path):
    storage = Storage(tmp_path / "run")
    whole = fitted(motion(), GROWING, spring(), storage=storage)
    shutil.rmtree(tmp_path / "run-1")
    resumed = storage._replace(resume=True)
    rest = fitted(motion(), GROWING, spring(), storage=resumed)
    assert same(whole.state, rest.state)
    assert losses(rest) == losses(whole)


def test_a_resumed_fit_has_the_weights_of_the_uninterrupted_one(tmp_path):
    def run(steps, **options):
        recipe = Recipe(batch_size=40, learning_rate=1e-2, steps=steps)
        return fitted(motion(), recipe, spring(), **options)

    whole = run(20)
    first = run(8, storage=Storage(tmp_path / "run"))
    assert not same(whole.state.params, first.state.params)
    rest = run(20, storage=Storage(tmp_path / "run", resume=True))
    assert same(whole.state, rest.state)
    assert rest.history[0] == first.history[0]
    assert rest.history[-1]["step"] == 20


def in_units(seen, length, impulse, time):
    """The same motion measured in other units."""
    (q, p), (dq, dp) = seen.y, seen.rate
    return seen._replace(
        t=time * seen.t,
        y=PhaseState(length * q, impulse * p),
        rate=PhaseState(length / time * dq, impulse / time * dp),
    )


def measured(seen, recipe, normalized):
    units = models.normalization(*seen.y, *seen.rate)
    what = motion(dtype="float64", normalization=units)
    return np.array(losses(fitted(what, recipe, seen, normalized=normalized)))


@pytest.mark.x64
@pytest.mark.parametrize("mode", ["derivatives", "trajectories"])
def test_normalized_losses_do_not_know_units(mode):
    recipe = Recipe(
        mode, integrator="euler", chunk=1, learning_rate=1e-2, steps=8, look_every=1
    )
    seen = spring("float64")
    other = in_units(seen, 1e3, 0.02, 7.0)
    here, there = (measured(x, recipe, True) for x in (seen, other))
    np.testing.assert_allclose(there, here, rtol=1e-6)
    assert here[-1] < here[0]


def test_normalized_components_count_alike():
    """Weights of zero, no motion at all: the error is the whole of each component."""
    seen, what = spring(), motion()
    still = jax.tree.map(jnp.zeros_like, what.init(jax.random.key(0)))
    large = seen._replace(rate=seen.rate._replace(q=1000 * seen.rate.q))
    alike, plain = (
        losses(fitted(what, Recipe(steps=1), large, params=still, normalized=each))[0]
        for each in (True, False)
    )
    assert alike == pytest.approx(1, rel=1e-5)
    assert plain == pytest.approx(np.mean(large.rate.q**2) / 2, rel=1e-4)


def test_angles_seen_by_cosine_and_sine_may_be_wrapped():
    t = np.linspace(0, 3, 20, dtype="float32")
    # An angle that turns at the rate 2p, p = 1.2, with no gravity.
    q = 2.4 * t[None, :, None]
    p = np.full_like(q, 1.2)
    seen, wrapped = (
        Trajectories(t, PhaseState(x, p))
        for x in (q, (q + np.pi) % (2 * np.pi) - np.pi)
    )
    assert np.any(wrapped.y.q != seen.y.q)
    what = motion(periodic=(True,))
    recipe = Recipe("trajectories", integrator="euler", chunk=2, steps=1)

    def on_the_circle(y):
        return jnp.concatenate([jnp.cos(y.q), jnp.sin(y.q), y.p])

    def first(seen, **options):
        return losses(fitted(what, recipe, seen, **options))[0]

    plain = [first(x) for x in (seen, wrapped)]
    assert plain[1] > 2 * plain[0]
    turned = [first(x, observe=on_the_circle) for x in (seen, wrapped)]
    assert turned[1] == pytest.approx(turned[0], rel=1e-3)


def test_losses_of_other_trajectories_are_recorded():
    seen = spring()
    fit = fitted(
        motion(),
        Recipe(steps=2),
        seen,
        others={"validation_loss": [spring(num=2)], "again": [seen]},
    )
    for record in fit.history:
        assert record["again"] == record["train_loss"]
        assert record["validation_loss"] != record["train_loss"]


def test_early_stopping_leaves_the_weights_of_the_best_look():
    """Validation on another physics: learning the one unlearns the other."""
    seen = spring()
    other = seen._replace(rate=jax.tree.map(np.negative, seen.rate))
    what = motion()
    recipe = Recipe(learning_rate=1e-2, steps=500, patience=3, look_every=10)
    fit = fitted(what, recipe, seen, others={"validation_loss": [other]})
    found = [record["validation_loss"] for record in fit.history]
    best = int(np.argmin(found))
    assert len(found) == best + 4
    assert fit.state.step == fit.history[best]["step"]
    assert fit.message.startswith("stopped early, kept update")


BUDGET = {"steps": 3}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (BUDGET | {"mode": "derivative"}, "unknown mode.*mean 'derivatives'"),
        (BUDGET | {"optimizer": "adm"}, "unknown optimizer.*mean 'adam'"),
        (BUDGET | {"schedule": "cos"}, "unknown schedule 'cos'.*mean 'cosine'"),
        (BUDGET | {"integrator": "leap_frog"}, "unknown integ.*mean 'leapfrog'"),
        (BUDGET | {"chunk": 0}, "chunk is 0; expected a whole number"),
        (BUDGET | {"chunk": 2.5}, r"chunk is 2\.5"),
        (BUDGET | {"growth": (1, 0)}, "chunk is 0"),
        (BUDGET | {"batch_growth": (0,)}, "batch_growth is 0"),
        (
            BUDGET | {"mode": "trajectories", "growth": (1,), "batch_growth": (8, 16)},
            "growth has 1 entries and batch_growth 2",
        ),
        ({"seconds": 1.0, "schedule": "cosine"}, "cosine needs a number of steps"),
        (BUDGET | {"weight_decay": -1.0}, r"weight_decay is -1\.0"),
        (BUDGET | LM | {"weight_decay": 0.1}, "would undo a weight_decay"),
        ({}, "expected exactly one of steps, epochs and seconds"),
        (BUDGET | {"seconds": 1.0}, "expected exactly one of steps"),
        ({"steps": 0}, "steps is 0; expected a finite number above zero"),
        (BUDGET | {"mode": "trajectories", "chunk": 16}, "Lower the length to 15"),
        (BUDGET | {"patience": 2}, "watches 'validation_loss'.*returns train_loss"),
    ],
)
def test_an_invalid_recipe_is_told(options, words):
    with pytest.raises(ValueError, match=words):
        fitted(motion(), Recipe(**options), spring())


@pytest.mark.parametrize("name", ["leapfrog", "yoshida4", "symplectic_euler"])
def test_friction_is_not_left_out_by_a_symplectic_step(name):
    recipe = Recipe("trajectories", integrator=name, steps=3)
    for what in (models.dissipative(1, hidden=(8,)), models.neural_ode(1)):
        with pytest.raises(ValueError, match=f"{name} integrates a Hamiltonian.*rk4"):
            fitted(what, recipe, spring())


def test_derivatives_that_are_matched_must_be_there():
    with pytest.raises(ValueError, match=r"moments needs.*with_derivatives"):
        fitted(motion(), Recipe(steps=3), spring()._replace(rate=None))


def test_states_of_another_kind_are_told():
    with pytest.raises(ValueError, match=r"kind PhaseState.*one of TangentStates"):
        fitted(models.second_order(1, hidden=(8,)), Recipe(steps=3), spring())


def test_what_is_held_out_may_be_shorter_than_a_chunk():
    recipe = Recipe(mode="trajectories", chunk=10, growth=(2,), steps=2, **LM)
    short = spring(times=5, end=0.8, num=1)
    found = fitted(motion(), recipe, spring(), others={"validation_loss": [short]})
    assert np.isfinite(found.history[-1]["validation_loss"])
    assert found.history[-1]["validation_loss"] != found.history[0]["validation_loss"]
