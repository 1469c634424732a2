"""A linearised batch has the Jacobian that JAX has, by whatever route it is read."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx

from jaxphys import mechanics, models, trees
from jaxphys._jaxpr import layers
from jaxphys.optim import linearise
from jaxphys.optim.factors import pull_back


def plain_mlp():
    model = models.mlp((3, 7, 5, 2))
    return model.apply, model.init(jax.random.key(0))


def linen_dense_without_bias():
    class Net(linen.Module):
        @linen.compact
        def __call__(self, x):
            x = linen.Dense(6, use_bias=False)(x)
            return linen.Dense(2)(jax.nn.softplus(x))

    model = models.from_linen(Net(), jnp.zeros(3))
    return model.apply, model.init(jax.random.key(1))


def nnx_network():
    class Net(nnx.Module):
        def __init__(self, rngs):
            self.first = nnx.Linear(3, 5, rngs=rngs)
            self.second = nnx.Linear(5, 2, rngs=rngs)

        def __call__(self, x):
            return self.second(jnp.tanh(self.first(x)))

    model = models.from_nnx(Net)
    return model.apply, model.init(jax.random.key(2))


def equinox_network():
    model = models.from_equinox(lambda key: eqx.nn.MLP(3, 2, 5, 2, key=key))
    return model.apply, model.init(jax.random.key(11))


def equinox_module_of_several_points():
    """The module itself under vmap, whose products have the weight first."""
    model = models.from_equinox(lambda key: eqx.nn.MLP(3, 2, 5, 1, key=key))

    def outputs(params, x):
        points = jnp.stack([x, 2 * x, x**2, 1 - x])
        return jax.vmap(model.parts["module"](params))(points).sum(axis=0)

    return outputs, model.init(jax.random.key(12))


def matrix_times_vector():
    keys = jax.random.split(jax.random.key(3), 3)
    params = [jax.random.normal(keys[0], (6, 3)), jax.random.normal(keys[1], (2, 6))]
    return lambda p, x: p[1] @ jax.jit(jnp.tanh)(p[0] @ x), params


def tied_weights():
    params = {"w": jax.random.normal(jax.random.key(4), (3, 3)), "b": jnp.ones(3)}

    def outputs(p, x):
        for _ in range(3):
            x = jnp.tanh(x @ p["w"] + p["b"])
        return x[:2]

    return outputs, params


def used_forwards_and_backwards():
    params = jax.random.normal(jax.random.key(5), (3, 4))
    return lambda w, x: jnp.tanh(jnp.tanh(x @ w) @ w.T) + x @ (w @ jnp.ones(4)), params


def several_points_at_once():
    model = models.mlp((3, 6, 2))

    def outputs(params, x):
        points = jnp.stack([x, 2 * x, x**2, 1 - x])
        return jax.vmap(model.apply, in_axes=(None, 0))(params, points).sum(axis=0)

    return outputs, model.init(jax.random.key(6))


def under_second_derivatives():
    """An acceleration, as a learned Lagrangian has it."""
    model = models.mlp((4, 6, 1), activation="softplus")

    def outputs(params, x):
        def energy(q, v):
            return model.apply(params, jnp.concatenate([q, v]))[0] + v @ v

        q, v = jnp.concatenate([x[:1], x[1:2]]), jnp.concatenate([x[2:], x[:1]])
        gradient = jax.grad(energy, argnums=1)
        mass = jax.jacfwd(gradient, argnums=1)(q, v)
        mixed = jax.jvp(lambda q: gradient(q, v), (q,), (v,))[1]
        return jnp.linalg.solve(mass, jax.grad(energy)(q, v) - mixed)

    return outputs, model.init(jax.random.key(7))


def learned_lagrangian():
    """The same by `mechanics.acceleration`, which has derivatives of its own."""
    model = models.mlp((4, 8, 8, 1), activation="softplus")

    def lagrangian(params, q, v):
        return model.apply(params, jnp.concatenate([q, v]))[0] + v @ v

    def outputs(params, x):
        q, v = jnp.concatenate([x[:1], x[1:2]]), jnp.concatenate([x[2:], x[:1]])
        return mechanics.acceleration(lagrangian)(params, q, v)

    return outputs, model.init(jax.random.key(7))


def convolution():
    class Net(linen.Module):
        @linen.compact
        def __call__(self, x):
            x = jnp.tanh(linen.Conv(4, (3,))(x[:, None]))
            x = linen.LayerNorm()(x)
            return linen.Dense(2)(x.reshape(-1))

    model = models.from_linen(Net(), jnp.zeros(3))
    return model.apply, model.init(jax.random.key(8))


def scan_over_layers():
    params = jax.random.normal(jax.random.key(9), (4, 3, 3))

    def outputs(weights, x):
        return jax.lax.scan(lambda x, w: (jnp.tanh(x @ w), None), x, weights)[0][:2]

    return outputs, params


def positional_table_and_unused_leaf():
    params = {"table": jnp.ones((2, 3)), "unused": jnp.ones(4), "out": jnp.ones((3, 2))}

    def outputs(p, x):
        return jnp.tanh(p["table"] + x).sum(axis=0) @ p["out"]

    return outputs, params


NETWORKS = [
    plain_mlp,
    linen_dense_without_bias,
    nnx_network,
    equinox_network,
    equinox_module_of_several_points,
    matrix_times_vector,
    tied_weights,
    used_forwards_and_backwards,
    several_points_at_once,
    under_second_derivatives,
    learned_lagrangian,
    convolution,
    scan_over_layers,
    positional_table_and_unused_leaf,
]


@pytest.fixture(params=NETWORKS, ids=lambda make: make.__name__)
def network(request, dtype):
    outputs, params = request.param()
    params = jax.tree.map(lambda leaf: leaf.astype(dtype), params)
    inputs = jax.random.normal(jax.random.key(10), (5, 3), jnp.float32).astype(dtype)
    return outputs, params, inputs


def true_jacobian(outputs, params, inputs):
    flat, unravel = trees.ravel(params)

    def all_outputs(flat):
        return jax.vmap(outputs, in_axes=(None, 0))(unravel(flat), inputs).reshape(-1)

    return np.asarray(jax.jit(jax.jacrev(all_outputs))(flat))


def close(actual, desired, dtype, rtol32=3e-4):
    rtol = rtol32 if dtype == jnp.float32 else 1e-10
    scale = np.max(np.abs(desired)) + 1e-30
    np.testing.assert_allclose(np.asarray(actual) / scale, desired / scale, atol=rtol)


@pytest.mark.long
def test_values_and_products_are_those_of_jax(network, dtype):
    outputs, params, inputs = network
    num_outputs = jax.eval_shape(outputs, params, inputs[0]).shape[0]
    weights = jax.random.normal(jax.random.key(1), (5, num_outputs), dtype)
    flat, unravel = trees.ravel(params)
    tangent = jax.random.normal(jax.random.key(2), flat.shape, dtype)

    @jax.jit
    def products(params):
        batch = linearise(outputs, params, inputs)
        return (
            batch.values,
            trees.ravel(batch.vjp(weights))[0],
            trees.ravel(pull_back(batch.factors(), weights))[0],
            batch.jvp(unravel(tangent)).reshape(-1),
        )

    values, by_vjp, by_factors, pushed = products(params)
    jacobian = true_jacobian(outputs, params, inputs)
    pulled = jacobian.T @ np.asarray(weights).reshape(-1)
    close(values, jax.jit(jax.vmap(outputs, (None, 0)))(params, inputs), dtype)
    close(by_vjp, pulled, dtype)
    close(by_factors, pulled, dtype)
    close(pushed, jacobian @ np.asarray(tangent), dtype)


def test_derivatives_of_a_functions_own_are_heeded(dtype):
    @jax.custom_jvp
    def layer(weights, x):
        return jnp.tanh(weights @ x)

    @layer.defjvp
    def as_if_linear(values, rates):
        weights, x = values
        return layer(weights, x), rates[0] @ x + weights @ rates[1]

    weights = jax.random.normal(jax.random.key(0), (2, 3), dtype)
    inputs = jax.random.normal(jax.random.key(1), (5, 3), dtype)
    batch = linearise(layer, weights, inputs)
    close(batch.values, jnp.tanh(inputs @ weights.T), dtype)
    close(batch.vjp(batch.values), batch.values.T @ inputs, dtype)


def test_every_route_to_the_jacobian_and_its_squares_agrees(network, dtype):
    outputs, params, inputs = network

    @jax.jit
    def routes(params):
        whole = linearise(outputs, params, inputs)
        pieces = linearise(outputs, params, inputs, block_bytes=300)
        ones = jnp.ones(whole.values.shape, dtype)
        return (
            (whole.jacobian(), pieces.jacobian()),
            (whole.gram(), whole.gram(route="dense"), pieces.gram()),
            (whole.normal(), pieces.normal()),
            jax.vmap(whole.product())(jnp.eye(whole.values.size, dtype=dtype)),
            trees.ravel(pull_back(pieces.factors(), ones))[0],
        )

    jacobians, grams, normals, products, pulled = routes(params)
    expected = true_jacobian(outputs, params, inputs)
    for jacobian in jacobians:
        close(jacobian, expected, dtype)
    for gram in (*grams, products):
        close(gram, expected @ expected.T, dtype)
    for normal in normals:
        close(normal, expected.T @ expected, dtype)
    close(pulled, expected.sum(axis=0), dtype)


def test_jit_changes_nothing(dtype):
    model = models.mlp((3, 7, 2), dtype=dtype)
    params, inputs = model.init(jax.random.key(0)), jnp.ones((5, 3), dtype)

    def gram(params):
        return linearise(model.apply, params, inputs).gram()

    close(jax.jit(gram)(params), np.asarray(gram(params)), dtype)
    assert gram(params).dtype == dtype


def test_vmap_over_networks_is_a_loop(dtype):
    model = models.mlp((3, 7, 2), dtype=dtype)
    keys = jax.random.split(jax.random.key(0), 3)
    params = jax.vmap(model.init)(keys)
    inputs = jax.random.normal(jax.random.key(1), (4, 3), dtype)
    together = jax.vmap(lambda p: linearise(model.apply, p, inputs).gram())(params)
    for number in range(3):
        one = jax.tree.map(lambda leaf, n=number: leaf[n], params)
        close(
            together[number],
            np.asarray(linearise(model.apply, one, inputs).gram()),
            dtype,
        )


def working_memory(function, *args) -> int:
    """Bytes that a compiled function needs beside its arguments and results."""
    compiled = jax.jit(function).lower(*args).compile()
    return compiled.memory_analysis().temp_size_in_bytes


def test_the_gram_matrix_of_a_wide_network_never_forms_its_jacobian():
    model = models.mlp((4, 300, 300, 2))
    params = model.init(jax.random.key(0))
    inputs = jnp.ones((8, 4))
    jacobian_bytes = 16 * 4 * sum(leaf.size for leaf in jax.tree.leaves(params))

    def gram(params, route):
        return linearise(model.apply, params, inputs).gram(route=route)

    def by_jacobian(params):
        return gram(params, "dense")

    assert working_memory(lambda p: gram(p, "layers"), params) < jacobian_bytes / 5
    assert working_memory(by_jacobian, params) > jacobian_bytes


@pytest.mark.parametrize(
    ("make", "sites", "others"),
    [
        (plain_mlp, 6, 0),
        (nnx_network, 4, 0),
        (equinox_network, 6, 0),
        (equinox_module_of_several_points, 4, 0),
        (several_points_at_once, 4, 0),
        (matrix_times_vector, 2, 0),
        (tied_weights, 6, 0),
        (used_forwards_and_backwards, 3, 0),
        (learned_lagrangian, 18, 0),
        (convolution, 4, 2),
        (scan_over_layers, 0, 1),
        (positional_table_and_unused_leaf, 1, 2),
    ],
)
def test_dense_layers_are_found_wherever_they_are(make, sites, others):
    outputs, params = make()
    traced = layers.trace(outputs, params, jnp.zeros(3))
    assert (len(traced.sites), len(traced.others)) == (sites, others)


def test_bad_input_is_told():
    with pytest.raises(ValueError, match=r"one vector \(d,\)"):
        linearise(lambda p, x: p @ x, jnp.ones(3), jnp.ones((2, 3)))
    with pytest.raises(ValueError, match="Stack the real and imaginary parts"):
        linearise(lambda p, x: p * (1j * x), jnp.ones(3), jnp.ones((2, 3)))
    with pytest.raises(ValueError, match="one batch axis"):
        linearise(lambda p, x: p, jnp.ones(3), (jnp.ones((2, 3)), jnp.ones((4, 3))))
    with pytest.raises(ValueError, match="one real floating dtype"):
        linearise(lambda p, x: p, jnp.ones(3, int), jnp.ones((2, 3)))
    with pytest.raises(ValueError, match="known: auto, layers, dense"):
        linearise(lambda p, x: p * x, jnp.ones(3), jnp.ones((2, 3))).gram(route="lu")


@pytest.mark.parametrize("backward_only", [False, True])
def test_few_parameters_of_many_outputs_are_linearised_either_way(backward_only):
    """By tangents where there are some; a custom_vjp has cotangents alone."""

    def curve(params, x):
        return jnp.sin(params[0] * x) * jnp.exp(params[1])

    chosen = curve
    if backward_only:
        chosen = jax.custom_vjp(curve)
        chosen.defvjp(
            lambda params, x: jax.vjp(curve, params, x),
            lambda pull, cotangent: pull(cotangent),
        )
    params, inputs = jnp.array([0.7, -0.2]), jnp.linspace(0.0, 2.0, 12).reshape(2, 6)
    found = linearise(chosen, params, inputs).jacobian()
    expected = jax.vmap(jax.jacrev(curve), (None, 0))(params, inputs)
    np.testing.assert_allclose(found, expected.reshape(12, 2), rtol=1e-5, atol=1e-6)


def test_without_forward_derivatives_tangents_come_from_the_factors(dtype):
    model = models.mlp((3, 6, 2), dtype=dtype)
    simulate = jax.custom_vjp(lambda u: jnp.sin(u) * u[::-1])
    simulate.defvjp(
        lambda u: jax.vjp(lambda u: jnp.sin(u) * u[::-1], u),
        lambda pull, cotangent: pull(cotangent),
    )
    params = model.init(jax.random.key(0))
    inputs = jax.random.normal(jax.random.key(1), (5, 3), dtype)

    @jax.jit
    def tangents(params):
        batch = linearise(lambda p, x: simulate(model.apply(p, x)), params, inputs)
        return batch.jvp(params), batch.jacobian()

    found, jacobian = tangents(params)
    expected = jacobian @ trees.ravel(params)[0]
    close(found.reshape(-1), np.asarray(expected), dtype)


def test_small_kernels_over_many_nodes_are_pushed_forward():
    """A kernel whose δ would be one for each pair of an output and a node."""
    nodes = 64
    kernel = {
        "in": 0.3 * jax.random.normal(jax.random.key(0), (3, 2)),
        "b": jnp.ones(2),
    }

    def outputs(params, x):
        near = jnp.stack([jnp.roll(x, i) for i in (-1, 0, 1)], axis=-1)
        return jnp.sum(jnp.tanh(near @ params["in"] + params["b"]), axis=-1)

    x = jax.random.normal(jax.random.key(1), (3, nodes))
    usual = linearise(outputs, kernel, x)
    little = linearise(outputs, kernel, x, block_bytes=5000)
    assert set(usual.ways().values()) == {"layer"}
    assert set(little.ways().values()) <= {"forward", "pieces"}

    @jax.jit
    def jacobians(kernel):
        some = linearise(outputs, kernel, x, block_bytes=5000)
        return linearise(outputs, kernel, x).jacobian(), some.jacobian(), some.gram()

    whole, forward, gram = jacobians(kernel)
    np.testing.assert_allclose(forward, whole, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(gram, whole @ whole.T, rtol=1e-4, atol=1e-5)
