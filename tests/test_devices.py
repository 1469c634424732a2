"""What a GPU or a TPU gets, as far as a machine without one can show it."""

import every_computation
import jax
import jax.numpy as jnp
import optax
import pytest
from flax import linen

from jaxphys import linalg, losses, mechanics, models, training
from jaxphys._jaxpr.products import inexact

ROOMS = every_computation.ROOMS
QUICK = (every_computation.of_mechanics, every_computation.of_linalg)
SOME = [
    *QUICK,
    *(pytest.param(x, marks=pytest.mark.long) for x in ROOMS if x not in QUICK),
]
PLATFORMS = ("cpu", "cuda", "rocm", "tpu")


@pytest.mark.parametrize("room", SOME, ids=lambda room: room.__name__)
def test_every_product_is_exact_and_every_promotion_is_meant(room):
    for name, function, arguments in room():
        # optax raises a number to the power of a count.
        promotion = "standard" if name.startswith("step of adam") else "strict"
        with (
            jax.numpy_dtype_promotion(promotion),
            jax.numpy_rank_promotion("raise"),
        ):
            jaxpr = jax.make_jaxpr(function)(*arguments).jaxpr
        assert inexact(jaxpr) == [], name


@pytest.mark.long
@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.__name__)
def test_every_computation_lowers_for_every_platform(room):
    for name, function, arguments in room():
        if name.startswith("ode.solve"):
            continue  # diffrax checks times by a call to the host; see the limitations
        traced = jax.jit(function).trace(*arguments)
        lowered = traced.lower(lowering_platforms=PLATFORMS)
        assert "callback" not in lowered.as_text(), name


def test_the_switch_of_jax_chooses_less_but_not_for_second_order_steps():
    model = models.lnn(2, hidden=(8,))
    q = jnp.ones(2, jnp.float32)
    accelerate = mechanics.acceleration(model.apply)
    arguments = (model.init(jax.random.key(0)), q, q)
    rows = jnp.ones((3, 4), jnp.float32)
    with jax.default_matmul_precision("tensorfloat32"):
        quick = jax.make_jaxpr(accelerate)(*arguments).jaxpr
        gram = jax.make_jaxpr(linalg.self_product)(rows).jaxpr
    assert inexact(quick)
    assert inexact(gram) == []
    assert inexact(jax.make_jaxpr(accelerate)(*arguments).jaxpr) == []
    with jax.default_matmul_precision("float32"):
        assert inexact(jax.make_jaxpr(accelerate)(*arguments).jaxpr) == []


def test_a_layer_keeps_what_it_says():
    quick = linen.Dense(3, precision="default")
    silent = linen.Dense(3)
    for layer, count in ((quick, 1), (silent, 0)):
        model = models.from_linen(layer, jnp.zeros(2), dtype=jnp.float32)
        params = model.init(jax.random.key(0))
        step = training.make_train_step(
            model.apply, losses.squared_error, optax.sgd(0.1)
        )
        batch = jnp.ones((4, 2), jnp.float32), jnp.ones((4, 3), jnp.float32)
        state = training.init_state(params, optax.sgd(0.1))
        found = inexact(jax.make_jaxpr(step)(state, batch).jaxpr)
        assert bool(found) == bool(count)


def test_a_layer_of_few_digits_is_told_where_it_matters(monkeypatch):
    tx = optax.sgd(0.1)
    batch = jnp.ones((4, 2), jnp.float32), jnp.ones((4, 3), jnp.float32)

    def trace(layer):
        model = models.from_linen(layer, jnp.zeros(2), dtype=jnp.float32)
        state = training.init_state(model.init(jax.random.key(0)), tx)
        step = training.make_train_step(model.apply, losses.squared_error, tx)
        jax.eval_shape(step, state, batch)

    trace(linen.Dense(3, precision="default"))  # exact on a CPU
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    trace(linen.Dense(3))
    with pytest.warns(UserWarning, match="products of matrices have fewer digits"):
        trace(linen.Dense(3, precision="default"))
    with (
        jax.default_matmul_precision("tensorfloat32"),
        pytest.warns(UserWarning, match="fewer digits"),
    ):
        trace(linen.Dense(3))
