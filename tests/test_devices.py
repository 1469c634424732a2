"""What a GPU or a TPU gets, as far as a machine without one can show it."""

import every_computation
import jax
import jax.numpy as jnp
import optax
import pytest
from flax import linen

from jaxphys import linalg, losses, mechanics, models, training
from jaxphys._jaxpr.products import inexact

EVERY = every_computation.EVERY
PLATFORMS = ("cpu", "cuda", "rocm", "tpu")


def traced(name):
    function, arguments = EVERY[name]
    return jax.make_jaxpr(function)(*arguments).jaxpr


@pytest.mark.parametrize("name", EVERY)
def test_every_product_is_exact(name):
    assert inexact(traced(name)) == []


# diffrax checks times by a call to the host; see the page of limits.
ELSEWHERE = [name for name in EVERY if not name.startswith("ode.solve")]


@pytest.mark.long
@pytest.mark.parametrize("name", ELSEWHERE)
def test_every_computation_lowers_for_every_platform(name):
    function, arguments = EVERY[name]
    lowered = jax.jit(function).trace(*arguments).lower(lowering_platforms=PLATFORMS)
    assert "callback" not in lowered.as_text()


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
