"""The training loop: budgets, orders, clocks, divergence, and going on after a stop."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxphys import checkpoint, data, losses, models, optim, training
from jaxphys.training.journal import Journal, verdict

SAMPLES, BATCH = 64, 16
MODEL = models.mlp((2, 8, 1))


def target(x):
    return jnp.sin(x[:, :1]) * x[:, 1:]


def dataset(key=0):
    inputs = jax.random.normal(jax.random.key(key), (SAMPLES, 2), jnp.float32)
    return inputs, target(inputs)


def setting(tx, objective=losses.squared_error):
    step = training.make_train_step(MODEL.apply, objective, tx)
    params = MODEL.init(jax.random.key(1))
    evaluate = evaluated(
        MODEL.apply, {"train_loss": dataset(), "test_loss": dataset(5)}
    )
    return step, training.init_state(params, tx), evaluate


def evaluated(outputs, sets):
    losses_of = training.make_evaluate(outputs, losses.squared_error)
    return lambda params: losses_of(params, sets)


def fit(tx, *, evaluate=None, every=None, stopping=None, run=None, **options):
    """By 16 samples an update; `run` is a directory, or one and whether to resume."""
    step, state, usual = setting(tx)
    looks = training.Looks(evaluate or usual, every, stopping)
    storage = run and training.Storage(*(run if isinstance(run, tuple) else (run,)))
    options = {"batch_size": BATCH, "progress": False} | options
    return training.fit(step, state, dataset(), looks=looks, storage=storage, **options)


def same(a, b):
    leaves = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return all(np.array_equal(np.asarray(x), np.asarray(y)) for x, y in leaves)


def test_the_train_step_of_adam_is_optax_adam_by_hand():
    tx = optax.adam(1e-2)
    step, state, _ = setting(tx)
    inputs, targets = dataset()
    state, info = step(state, (inputs, targets))

    def loss(params):
        values = jax.vmap(MODEL.apply, (None, 0))(params, inputs)
        return jnp.mean(jnp.sum((values - targets) ** 2, axis=1))

    params = MODEL.init(jax.random.key(1))
    value, gradient = jax.value_and_grad(loss)(params)
    updates, _ = tx.update(gradient, tx.init(params), params)
    expected = optax.apply_updates(params, updates)
    assert info.loss == pytest.approx(float(value), rel=1e-5)
    for new, wanted in zip(
        jax.tree.leaves(state.params), jax.tree.leaves(expected), strict=True
    ):
        np.testing.assert_allclose(new, wanted, atol=1e-5)


def test_a_budget_of_steps_or_epochs_is_kept_to_the_step():
    result = fit(optax.adam(1e-2), steps=37)
    assert result.state.step == 37
    assert result.history[-1]["step"] == 37
    assert fit(optax.adam(1e-2), epochs=3).state.step == 3 * SAMPLES // BATCH


def test_a_budget_of_seconds_counts_training_alone():
    result = fit(optax.adam(1e-2), seconds=0.3)
    assert 0.3 <= result.seconds < 2.0
    assert result.compile_seconds > 0
    assert result.history[-1]["seconds"] == pytest.approx(result.seconds)


def test_the_history_sees_the_first_updates_the_first_epochs_and_the_end():
    result = fit(optax.adam(1e-2), epochs=10)
    steps = [h["step"] for h in result.history]
    assert steps[:6] == [0, 1, 2, 4, 8, 12]
    assert steps[-1] == 40
    assert set(result.history[0]) == {
        "step",
        "epoch",
        "seconds",
        "train_loss",
        "test_loss",
    }
    assert result.history[-1]["train_loss"] < result.history[0]["train_loss"]
    seconds = [h["seconds"] for h in result.history]
    assert seconds == sorted(seconds)


def test_an_epoch_sees_every_sample_once_in_an_order_of_its_own():
    orders = [data.epoch_order(jax.random.key(0), epoch, 12, 4) for epoch in range(2)]
    for order in orders:
        assert order.shape == (3, 4)
        assert sorted(np.asarray(order).ravel()) == list(range(12))
    assert not np.array_equal(*orders)
    stored = data.epoch_order(None, 7, 12, 4)
    assert np.array_equal(np.asarray(stored).ravel(), range(12))


@pytest.mark.parametrize("key", [None, 3])
def test_the_loop_is_the_python_loop_over_the_same_batches(key):
    tx = optax.sgd(0.05)
    step, state, _ = setting(tx)
    inputs, targets = dataset()
    key = None if key is None else jax.random.key(key)
    jitted = jax.jit(step)
    for epoch in range(3):
        for rows in data.epoch_order(key, epoch, SAMPLES, BATCH):
            state, _ = jitted(state, (inputs[rows], targets[rows]))
    result = fit(tx, epochs=3, key=key)
    for ours, theirs in zip(
        jax.tree.leaves(result.state.params), jax.tree.leaves(state.params), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_one_batch_an_epoch_is_full_batch_training():
    result = fit(optax.sgd(0.05), epochs=5, batch_size=SAMPLES, key=jax.random.key(0))
    assert result.state.step == 5
    assert result.status == "finished"


@pytest.mark.parametrize("make", [lambda: optax.adam(1e-2), optim.levenberg_marquardt])
def test_a_resumed_fit_is_the_uninterrupted_one(make, tmp_path):
    options = {"key": jax.random.key(4)}
    tx = make()
    whole = fit(tx, steps=22, **options)
    fit(tx, steps=9, run=tmp_path / "run", **options)
    rest = fit(tx, steps=22, run=(tmp_path / "run", True), **options)
    assert same(whole.state, rest.state)
    assert rest.history[0]["step"] == 0
    assert rest.history[-1]["step"] == 22
    again = fit(tx, steps=22, run=(tmp_path / "run", True), **options)
    assert same(again.state, rest.state)


def test_without_resume_a_checkpoint_is_not_gone_on_from(tmp_path):
    fit(optax.adam(1e-2), steps=9, run=tmp_path)
    result = fit(optax.adam(1e-2), steps=3, run=tmp_path)
    assert result.state.step == 3


def test_checkpoints_give_back_what_was_saved(tmp_path, dtype):
    _, state, _ = setting(optim.spring())
    state = jax.tree.map(
        lambda x: x.astype(dtype) if jnp.issubdtype(x.dtype, jnp.floating) else x, state
    )
    assert not checkpoint.exists(tmp_path / "none")
    checkpoint.save(
        tmp_path / "here", 3, state, {"seconds": 1.5, "history": [{"a": 1}]}
    )
    assert checkpoint.exists(tmp_path / "here")
    restored, notes = checkpoint.restore(tmp_path / "here", state)
    assert same(restored, state)
    assert jax.tree.leaves(restored.params)[0].dtype == dtype
    assert notes == {"seconds": 1.5, "history": [{"a": 1}]}


def test_a_diverging_fit_stops_says_when_and_keeps_the_last_good_state():
    result = fit(optax.sgd(1e4), epochs=200)
    assert result.status == "diverged"
    assert "update" in result.message
    assert result.state.step < 800
    assert all(
        np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(result.state.params)
    )
    assert all(np.isfinite(h["train_loss"]) for h in result.history)


def test_an_update_that_is_not_finite_is_caught_before_it_is_kept():
    broken = optax.stateless(
        lambda updates, params: jax.tree.map(lambda x: x * jnp.nan, updates)
    )
    result = fit(broken, steps=10)
    assert result.status == "diverged"
    assert "update 1" in result.message
    assert same(result.state.params, MODEL.init(jax.random.key(1)))


def test_a_few_updates_that_are_not_finite_are_left_out_and_counted():
    """One batch in four divides by zero: the rest train as if it were not there."""
    x = jnp.arange(1.0, 17.0, dtype=jnp.float32).at[5].set(0.0)

    def outputs(w, x):
        return (w - 3.0) / x[None]

    tx = optax.adam(0.1)
    step = training.make_train_step(outputs, losses.squared_error, tx)
    pair = (x, jnp.zeros((16, 1), jnp.float32))
    start = training.init_state(jnp.zeros((), jnp.float32), tx)
    options = {"batch_size": 4, "steps": 12, "progress": False}
    looks = training.Looks(every=6)
    result = training.fit(step, start, pair, skips=1, looks=looks, **options)
    assert result.status == "finished"
    assert result.history[-1]["skipped"] == 3
    expected = start
    for number in range(12):
        rows = slice(4 * (number % 4), 4 * (number % 4) + 4)
        if number % 4 != 1:
            batch = jax.tree.map(lambda a, rows=rows: a[rows], pair)
            expected, _ = jax.jit(step)(expected, batch)
    assert result.state.params == pytest.approx(float(expected.params), rel=1e-5)
    halved = training.fit(step, start, pair, **options)
    assert halved.history[-1]["rate"] == 1 / 8
    assert halved.message.startswith("updates shortened to 1/8, first not finite at")

    # A loss that is never finite is allowed as often, and no oftener.
    looks = training.Looks(evaluated(outputs, {"all": pair}), every=1)
    result = training.fit(step, start, pair, skips=3, looks=looks, **options)
    assert result.status == "diverged"
    assert len(result.history) == 4
    assert result.history[-1]["all"] == training.NOT_FINITE


def test_levenberg_marquardt_damps_more_where_a_batch_is_not_finite():
    tx = optim.levenberg_marquardt(damping=1e-3)
    step = training.make_train_step(
        lambda w, x: jnp.sqrt(w - x), losses.squared_error, tx
    )
    data = (jnp.full((4, 1), 2.0, jnp.float32), jnp.zeros((4, 1), jnp.float32))
    start = training.init_state(jnp.ones(1, jnp.float32), tx)
    options = {"batch_size": 4, "progress": False}
    result = training.fit(step, start, data, steps=3, skips=3, **options)
    assert result.history[-1]["skipped"] == 3
    assert result.state.opt_state.damping == pytest.approx(1e-3 * 4**3, rel=1e-5)
    assert result.state.params == start.params
    ended = training.fit(step, start, data, steps=9, skips=3, **options)
    assert ended.status == "diverged"
    assert "after 3 in a row" in ended.message


def test_ctrl_c_leaves_what_was_done(tmp_path):
    _, state, evaluate = setting(optax.adam(1e-2))
    calls = 0

    def evaluate_then_interrupt(params):
        nonlocal calls
        calls += 1
        if calls == 4:
            raise KeyboardInterrupt
        return evaluate(params)

    tx = optax.adam(1e-2)
    result = fit(tx, steps=50, evaluate=evaluate_then_interrupt, run=tmp_path)
    assert result.status == "interrupted"
    assert [h["step"] for h in result.history] == [0, 1, 2]
    assert result.state.step == 2
    restored, notes = checkpoint.restore(tmp_path, state)
    assert restored.step == 2
    assert notes["history"] == result.history


def test_seeds_may_be_vmapped_in_one_step():
    """A step over stacked states is the steps one by one: the spread over seeds."""
    tx = optim.levenberg_marquardt()
    step, _, _ = setting(tx)
    states = [
        training.init_state(MODEL.init(jax.random.key(seed)), tx) for seed in range(3)
    ]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)
    _, infos = jax.jit(jax.vmap(step, in_axes=(0, None)))(stacked, dataset())
    alone = [float(jax.jit(step)(state, dataset())[1].loss) for state in states]
    np.testing.assert_allclose(infos.loss, alone, rtol=1e-5)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "expected exactly one of steps, epochs and seconds"),
        ({"steps": 3, "seconds": 1.0}, "expected exactly one"),
        ({"steps": 0}, "steps is 0"),
        ({"seconds": 0.0}, "seconds is 0.0"),
        ({"seconds": float("inf")}, "finite"),
        ({"steps": 3, "batch_size": 100}, "larger than the data, 64 samples"),
        ({"steps": 3, "batch_size": 24}, "nearest below that does is 16"),
        ({"steps": 3, "batch_size": 0}, "batch_size is 0"),
    ],
)
def test_budgets_and_batches_that_do_not_fit_are_told(options, words):
    with pytest.raises(ValueError, match=words):
        fit(optax.adam(1e-2), **options)


def test_nan_in_the_data_is_found_before_anything_is_compiled():
    _, state, _ = setting(optax.adam(1e-2))
    inputs, targets = dataset()
    inputs = inputs.at[3, 1].set(jnp.nan)

    def never(*args):
        raise AssertionError("the step was traced")

    with pytest.raises(
        ValueError, match=r"data\[0\] has 1 entries .* first at \(3, 1\)"
    ):
        training.fit(never, state, (inputs, targets), batch_size=BATCH, steps=2)


def test_an_objective_that_is_no_scalar_is_told():
    step, state, _ = setting(optax.adam(1e-2), lambda y, t: (y - t) ** 2)
    with pytest.raises(ValueError, match="expected a scalar"):
        step(state, (dataset()[0], jnp.zeros((SAMPLES, 2))))


def scripted(values):
    """A validation loss that is told beforehand, one value a look."""
    coming = iter(values)
    return lambda params: {"validation_loss": next(coming), "train_loss": 1.0}


def stopped(values, patience=3, steps=100, every=2, **options):
    rule = {"least": options.pop("least")} if "least" in options else {}
    return fit(
        optax.adam(1e-2),
        evaluate=scripted(values),
        stopping=training.EarlyStopping(patience=patience, **rule),
        every=every,
        steps=steps,
        **options,
    )


def test_early_stopping_gives_up_after_its_patience_and_keeps_the_best_state():
    result = stopped([9, 5, 3, 4, 2, 7, 3, 2, 0])
    assert [h["step"] for h in result.history] == [0, 2, 4, 6, 8, 10, 12, 14]
    assert result.status == "finished"
    assert result.message == "stopped early, kept update 8, validation_loss 2"
    assert same(result.state, fit(optax.adam(1e-2), steps=8).state)


def test_without_a_new_lowest_value_the_weights_at_the_start_are_kept():
    result = stopped([1, 2, 2, 2, 0])
    assert len(result.history) == 4
    assert same(result.state.params, MODEL.init(jax.random.key(1)))


def test_the_best_state_is_kept_where_the_budget_ends_first():
    result = stopped([9, 5, 3, 4, 4], steps=7)
    assert [h["step"] for h in result.history] == [0, 2, 4, 6, 7]
    assert result.message == "kept update 4, validation_loss 3"
    assert same(result.state, fit(optax.adam(1e-2), steps=4).state)


def test_an_improvement_below_the_least_is_none():
    values = [10, 9.5, 9.0, 8.6, 1.0]
    assert stopped(values, least=0.2).message.endswith("update 0, validation_loss 10")
    assert stopped(values, steps=8).message == "kept update 8, validation_loss 1"


@pytest.mark.parametrize(("every", "wanted"), [(3, [0, 3, 6, 9, 10]), (20, [0, 10])])
def test_looks_come_after_so_many_updates_and_at_the_end(every, wanted):
    result = fit(optax.adam(1e-2), steps=10, every=every)
    assert [h["step"] for h in result.history] == wanted


def test_a_watched_loss_must_be_evaluated():
    rule = training.EarlyStopping(watch="valid_loss")
    with pytest.raises(
        ValueError, match=r"watches 'valid_loss'.*returns test_loss, train_loss\."
    ):
        fit(optax.adam(1e-2), steps=3, stopping=rule)


def test_a_resumed_fit_keeps_the_best_state_of_before(tmp_path):
    run = tmp_path / "run"
    options = {"patience": 4}
    first = stopped([9, 1, 2, 3], steps=6, run=run, **options)
    assert first.message == "kept update 2, validation_loss 1"
    rest = stopped([4, 5, 6, 0], steps=50, run=(run, True), **options)
    # Two looks without a new lowest value before, and two after.
    assert [h["step"] for h in rest.history] == [0, 2, 4, 6, 8, 10]
    assert rest.message == "stopped early, kept update 2, validation_loss 1"
    assert same(rest.state, fit(optax.adam(1e-2), steps=2).state)
    again = stopped([], steps=50, run=(run, True), **options)
    assert same(again.state, rest.state)
    assert again.message == rest.message


def test_a_resumed_fit_may_find_a_better_state(tmp_path):
    run = tmp_path / "run"
    stopped([9, 1, 2], steps=4, run=run)
    rest = stopped([0.5, 3], steps=8, run=(run, True))
    assert rest.message == "kept update 6, validation_loss 0.5"
    assert same(rest.state, fit(optax.adam(1e-2), steps=6).state)


def test_a_run_that_diverges_after_many_looks_ends_with_what_was_good():
    def outputs(params, x):
        return params * x

    tx = optax.sgd(1e4)  # 1/4096 of it is still too much
    step = training.make_train_step(outputs, losses.squared_error, tx)
    start = training.init_state(jnp.ones(1), tx)
    data = (jnp.ones((4, 1)), jnp.zeros((4, 1)))
    evaluate = evaluated(outputs, {"train_loss": data})
    looks = training.Looks(evaluate, every=1)
    options = {"batch_size": 4, "steps": 500, "skips": 3, "progress": False}
    ended = training.fit(step, start, data, looks=looks, **options)
    assert ended.status == "diverged"
    first, last = (
        float(evaluate(x)["train_loss"]) for x in (start.params, ended.state.params)
    )
    assert last <= first
    assert ended.history[-1]["rate"] == 2.0**-training.HALVINGS
    assert "the best weights were kept" in ended.message
    assert "smaller rate" in ended.message


def test_a_verdict_says_in_words_what_the_losses_did():
    def said(losses, step=None, **more):
        history = [
            {"step": n, "epoch": n, "seconds": n, "train_loss": loss} | more
            for n, loss in enumerate(losses)
        ]
        return verdict(history, len(losses) - 1 if step is None else step)

    falling = [0.5**n for n in range(9)]
    assert said(falling).startswith("still falling: ")
    assert said([1.0, *[1e-6] * 8]).startswith("converged: ")
    assert said([1.0, *[0.4] * 8]).startswith("stalled: ")
    assert said([1.0, *[2.0] * 8]).startswith("worse than at the start: ")
    assert said([1.0, *[0.4] * 8], step=0).startswith("stuck where it began: ")
    assert said(falling, skipped=3).endswith("; 3 of 8 updates were skipped")
    assert said([1.0]) == said([training.NOT_FINITE] * 3) == ""
    assert fit(optax.adam(1e-2), steps=40).verdict.startswith("still falling")


@pytest.mark.parametrize("rate", [1.5, 40.0])
def test_a_rate_that_is_too_large_is_halved_until_it_is_not(rate, tmp_path):
    """Gradient descent on (w x)² contracts where η < 1."""

    def fit(rate, **options):
        tx = optax.sgd(rate)
        step = training.make_train_step(lambda w, x: w * x, losses.squared_error, tx)
        start = training.init_state(jnp.ones(1), tx)
        # Looks that hang on the clock would find the trouble now here, now there.
        looks = training.Looks(evaluated(lambda w, x: w * x, {"train_loss": data}), 3)
        return training.fit(
            step, start, data, batch_size=4, looks=looks, progress=False, **options
        )

    data = (jnp.ones((4, 1)), jnp.zeros((4, 1)))
    found = fit(rate, steps=600)
    assert found.status == "finished"
    assert found.history[-1]["train_loss"] < 1e-6
    assert rate * found.history[-1]["rate"] < 1
    assert "updates shortened to 1/" in found.message
    assert found.state.step == 600
    storage = training.Storage(tmp_path / "run")
    part = fit(rate, steps=2, storage=storage)
    assert "rate" not in part.history[-1]
    for steps in (40, 400, 600):
        rest = fit(rate, steps=steps, storage=storage._replace(resume=True))
    assert same(rest.state, found.state)
    assert rest.history[-1]["rate"] == found.history[-1]["rate"]
    healthy = fit(0.4, steps=20)
    assert healthy.message == ""
    assert "rate" not in healthy.history[-1]


@pytest.mark.x64
def test_trainings_side_by_side_are_those_alone():
    model = models.mlp((1, 5, 1), dtype=jnp.float64)
    inputs = jnp.linspace(-1.0, 1.0, 16)[:, None]
    batch = (inputs, jnp.sin(3 * inputs))
    tx = optim.levenberg_marquardt()
    step = training.make_train_step(model.apply, losses.squared_error, tx)
    many = jax.jit(training.side_by_side(step))
    params = jax.vmap(model.init)(jax.random.split(jax.random.key(0), 3))
    together = training.init_side_by_side(params, tx)
    alone = [
        training.init_state(jax.tree.map(lambda x, i=i: x[i], params), tx)
        for i in range(3)
    ]
    single = jax.jit(step)
    for _ in range(5):
        together, info = many(together, batch)
        alone, infos = zip(*(single(state, batch) for state in alone), strict=True)
    assert int(together.step) == 5
    lowest = min(infos, key=lambda x: float(x.loss))
    np.testing.assert_allclose(info.loss, lowest.loss, rtol=1e-6)
    for i, state in enumerate(alone):
        for a, b in zip(
            jax.tree.leaves(together.params), jax.tree.leaves(state.params), strict=True
        ):
            np.testing.assert_allclose(a[i], b, rtol=1e-5, atol=1e-8)


def test_one_training_that_breaks_leaves_the_others_alone():
    tx = optax.sgd(0.1)
    step = training.make_train_step(
        lambda w, x: jnp.sqrt(w) * x, losses.squared_error, tx
    )
    many = jax.jit(training.side_by_side(step))
    state = training.init_side_by_side(jnp.array([[-1.0], [4.0]]), tx)
    for _ in range(3):
        state, info = many(state, (jnp.ones((2, 1)), jnp.ones((2, 1))))
    assert bool(info.finite)
    assert float(state.params[0, 0]) == -1.0
    assert 1 < float(training.best_of(state.params, jnp.array([jnp.nan, 2.0]))[0]) < 4


def test_a_trainer_compiles_once_for_many_seeds_and_budgets():
    traced = 0
    tx = optax.sgd(0.05)
    made = training.make_train_step(MODEL.apply, losses.squared_error, tx)

    def step(state, batch):
        nonlocal traced
        traced += 1
        return made(state, batch)

    trainer = training.Trainer(step, BATCH)
    seen = []
    for seed, budget in ((1, {"steps": 3}), (2, {"steps": 9}), (3, {"seconds": 0.01})):
        start = training.init_state(MODEL.init(jax.random.key(seed)), tx)
        key = jax.random.key(seed)
        budget = training.Budget(**budget)
        trainer.fit(start, dataset(), budget, key=key, progress=False)
        seen.append(traced)
    assert seen[0] == seen[1] == seen[2]


def journal(every=None, batches=4, skips=0, losses=()):
    coming = iter(losses)
    looks = training.Looks(lambda params: {"train_loss": next(coming)}, every)
    state = training.TrainState(jnp.zeros(1), (), jnp.zeros((), jnp.int32))
    return Journal(looks, batches, skips, state), state


def test_looks_double_in_the_first_epoch_and_then_come_at_epochs():
    book, _ = journal()
    assert [book.next_look(n) for n in (0, 1, 2, 4, 8, 40)] == [1, 2, 4, 8, 12, 44]
    book, _ = journal(every=5)
    assert [book.next_look(n) for n in (0, 5, 7)] == [5, 10, 10]


def test_a_loss_far_above_its_first_is_trouble_and_the_state_before_is_sound():
    book, state = journal(losses=[1.0, 0.5, 1e7])
    assert book.look(state, 0.0, 0) == ""
    better = state._replace(params=jnp.ones(1))
    assert book.look(better, 1.0, 0) == ""
    assert "1e+07" in book.look(state, 2.0, 0)
    assert book.sound is better
    assert [h["train_loss"] for h in book.history] == [1.0, 0.5]
