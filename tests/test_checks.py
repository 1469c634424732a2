"""Numbers that make no sense are refused by name, before anything is compiled."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxphys import cli, commands, learning, losses, models, optim, training, trees
from jaxphys.checks import check_count, check_rate

NAN, INF = float("nan"), float("inf")
MODEL = models.mlp((2, 4, 1))


def fit(**options):
    tx = optax.adam(1e-2)
    step = training.make_train_step(MODEL.apply, losses.squared_error, tx)
    start = training.init_state(MODEL.init(jax.random.key(0)), tx)
    data = (jnp.ones((16, 2)), jnp.ones((16, 1)))
    options = {"batch_size": 8, "progress": False} | options
    return training.fit(step, start, data, **options)


def step_of(tx):
    return training.make_train_step(MODEL.apply, losses.squared_error, tx)


def looks(**options):
    return fit(steps=2, looks=training.Looks(**options))


TABLE = {
    "steps": (lambda x: fit(steps=x), [2.5, True, "3", -1, 0, NAN, INF, [3]]),
    "seconds": (lambda x: fit(seconds=x), ["3", -1, 0, NAN, INF, 1j]),
    "epochs": (lambda x: fit(epochs=x), ["3", -1, 0, NAN, INF]),
    "batch_size": (
        lambda x: fit(steps=2, batch_size=x),
        [2.5, "8", None, -8, 0, NAN, jnp.ones(2)],
    ),
    "skips": (lambda x: fit(steps=2, skips=x), [2.5, -1, "1", NAN, None]),
    "every": (lambda x: looks(every=x), [0, 1.5, "1", -1, NAN]),
    "patience": (
        lambda x: looks(early_stopping=training.EarlyStopping(patience=x)),
        [0, 1.5, "1", NAN],
    ),
    "learning_rate": (optim.hig, [-1, 0, NAN, INF, "0.1", None, 1j]),
    "learning_rate of gauss_newton": (optim.gauss_newton, [-1, 0, NAN, "0.1", None]),
    "learning_rate of spring": (optim.spring, [-1, 0, NAN, "0.1", None]),
    "max_bend": (lambda x: optim.levenberg_marquardt(max_bend=x), [-1, 0, NAN]),
    "increase": (lambda x: optim.levenberg_marquardt(increase=x), [-1, 1, NAN]),
    "tx": (step_of, ["adam", optim.hig, None, 3]),
    "tx of init_state": (
        lambda x: training.init_state(jnp.ones(2), x),
        ["adam", optim.hig, None],
    ),
    "dtype": (trees.real_dtype, ["float33", "x", 3, "int32", complex, "float16"]),
    "seed": (lambda x: commands.RunOptions(seed=x).check(), [1.5, "3", -1, None]),
    "seeds": (lambda x: commands.RunOptions(seeds=x).check(), [1.5, "3", -1, 0, None]),
    "memory_limit": (
        lambda x: commands.RunOptions(memory_limit=x).check(),
        ["3", -1, 0, NAN],
    ),
} | {
    f"{name} of a recipe": (
        lambda x, name=name: learning.Recipe(**({"steps": 3} | {name: x})).check(),
        values,
    )
    for name, values in {
        "learning_rate": [-1, 0, NAN, INF, "0.1", None],
        "weight_decay": [-1, NAN, INF, "0.1"],
        "decay_factor": [-1, 0, NAN, "0.1", None],
        "steps": [2.5, "3", -1, 0, NAN],
        "chunk": [2.5, "3", -1, 0, NAN, None],
        "starts": [2.5, "3", -1, 0, NAN],
    }.items()
}


@pytest.mark.parametrize("what", TABLE)
def test_what_makes_no_sense_is_refused_by_name(what):
    make, values = TABLE[what]
    for value in values:
        with pytest.raises((TypeError, ValueError), match=what.split()[0]) as raised:
            make(value)
        said = str(raised.value)
        assert "expected" in said or "must exceed" in said, said


def test_what_makes_sense_is_taken():
    assert check_count("steps", np.int64(3)) == 3
    assert check_count("steps", jnp.asarray(3)) == 3
    assert fit(steps=4.0).state.step == 4
    for rate in (0.1, np.float32(0.1), jnp.asarray(0.0), optax.constant_schedule(0.1)):
        check_rate("learning_rate", rate)
    # As a sweep has them, or hyperparameters that live in the optimizer's state.
    jax.jit(jax.vmap(lambda rate: optim.hig(rate) and rate))(jnp.ones(2))


def test_a_rate_that_makes_no_sense_ends_a_command(tmp_path, capsys):
    table = tmp_path / "t.csv"
    table.write_text("t,q,p\n" + "".join(f"{i},{i % 3},1\n" for i in range(60)))
    fitting = ["fit", "hnn", "--data", str(table), "--out", str(tmp_path / "out")]
    fitting += ["--chunk", "2", "--optimizer", "adam", "--learning-rate"]
    for rate in ("nan", "-1", "0", "inf"):
        assert cli.main([*fitting, rate]) == 2
        assert "learning_rate is" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
