"""One training on several devices and on one, in a process that has eight of them.

`python many_devices.py NAME…` prints what differs as JSON; `tests/test_many_devices.py`
starts it, as JAX makes its devices once a process.
"""

import json
import os
import pathlib
import sys
import tempfile

if __name__ == "__main__":
    eight = "--xla_force_host_platform_device_count=8"
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {eight}"

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxphys import devices, losses, models, optim, training, trees

SAMPLES, BATCH, STEPS = 64, 32, 4


def kronecker():
    """The layerwise approximation, with the momentum that it asks for."""
    return optax.chain(optim.scale_by_kronecker(power=-0.5), optax.sgd(0.05, 0.9))


#: Every optimizer, and every route of those that have several.
OPTIMIZERS = {
    "adam": lambda: optax.adam(1e-2),
    "hig": lambda: optim.hig(0.5, rcond=1e-4),
    "hig, svd": lambda: optim.hig(0.5, rcond=1e-4, method="svd"),
    "hig, newton": lambda: optim.hig(0.5, rcond=1e-3, method="newton"),
    "hig, lanczos": lambda: optim.hig(0.5, method="lanczos", iterations=20),
    "gauss_newton": lambda: optim.gauss_newton(1.0, rcond=1e-3),
    "levenberg_marquardt": lambda: optim.levenberg_marquardt(),
    "levenberg_marquardt, bent": lambda: optim.levenberg_marquardt(max_bend=0.75),
    "levenberg_marquardt, qr": lambda: optim.levenberg_marquardt(method="qr"),
    "levenberg_marquardt, lanczos": lambda: optim.levenberg_marquardt(
        method="lanczos", iterations=20
    ),
    "spring": lambda: optim.spring(damping=1e-4),
    "kronecker": kronecker,
}


def trained(name, directory=None, *, steps=STEPS, resume=False, dtype=jnp.float64):
    """A fit by one optimizer; of weights that are no dense layer's as well."""
    small = name == "levenberg_marquardt, small"  # fewer parameters than outputs
    net = models.mlp((2, 4, 3) if small else (2, 8, 3), dtype=dtype)
    first = {"net": net.init(jax.random.key(0)), "scale": jnp.ones(3, dtype)}

    def outputs(params, x):
        return params["scale"] * jnp.sin(net.apply(params["net"], x))

    def physics(u, x):
        return u + 0.1 * jnp.roll(u, 1) ** 3 + 0 * x[0]

    objective, tx = losses.squared_error, OPTIMIZERS.get(name)
    x = jax.random.normal(jax.random.key(1), (SAMPLES, 2), dtype)
    goal = jnp.stack([jnp.sin(x[:, 0]), x[:, 0] * x[:, 1], x[:, 1] ** 2], axis=1)
    pair = x, goal
    if name == "sip":
        objective, tx = optim.sip(physics, objective), OPTIMIZERS["adam"]
        pair = x, pair
    tx = optim.levenberg_marquardt() if tx is None else tx()
    step = training.make_train_step(outputs, objective, tx)
    evaluate = training.make_evaluate(outputs, objective)
    looks = training.Looks(lambda params: evaluate(params, {"train_loss": pair}))
    return training.fit(
        step,
        training.init_state(first, tx),
        pair,
        batch_size=BATCH,
        steps=steps,
        key=jax.random.key(2),
        looks=looks,
        storage=directory and training.Storage(directory, resume),
        progress=False,
    ), first


def flat(tree):
    """All numbers of a pytree of arrays, wherever these are."""
    return trees.ravel(jax.tree.map(np.asarray, tree))[0]


def apart(one, many, first):
    """How far two fits are apart, relative to how far they went."""
    a, b = flat(one.state.params), flat(many.state.params)
    size = jnp.linalg.norm(a - flat(first))
    return float(jnp.linalg.norm(a - b) / size)


def difference(name, dtype=jnp.float64):
    """Between one device and eight, and what of the eight each has."""
    one, first = trained(name, dtype=dtype)
    with devices.across(8):
        many, _ = trained(name, dtype=dtype)
    places = {x.sharding.is_fully_replicated for x in jax.tree.leaves(many.state)}
    return {
        "params": apart(one, many, first),
        "fell": many.history[-1]["train_loss"] / many.history[0]["train_loss"],
        "replicated": places == {True},
    }


def resumed(name):
    """From eight devices to one half-way, beside one device all the way."""
    whole, first = trained(name)
    with tempfile.TemporaryDirectory() as folder:
        place = pathlib.Path(folder) / "fit"
        with devices.across(8):
            half, _ = trained(name, place, steps=STEPS // 2)
        on_disk, _ = trained(name, place, steps=STEPS // 2, resume=True)
        on_one, _ = trained(name, place, resume=True)
    return {
        "kept": bool(jnp.all(flat(half.state.params) == flat(on_disk.state.params))),
        "params": apart(whole, on_one, first),
        "devices": [len(x.state.step.sharding.device_set) for x in (half, on_one)],
    }


def blocks():
    """J Jᵀ and JᵀJ where J is made in blocks: how far from J as a whole."""
    weights = {"w": jnp.ones((2, 3)), "scale": jnp.arange(1.0, 4.0)}
    x = jax.random.normal(jax.random.key(1), (BATCH, 2))

    def outputs(params, x):
        return params["scale"] * jnp.sin(x @ params["w"])

    def matrices(params, x):
        batch = optim.linearise(outputs, params, devices.split(x), block_bytes=800)
        return batch.gram(), batch.normal()

    rows = optim.linearise(outputs, weights, x).jacobian()
    with devices.across(8):
        found = jax.jit(matrices)(*devices.whole((weights, x)))
    wanted = rows @ rows.T, rows.T @ rows
    return [
        float(np.abs(np.asarray(a) - b).max() / np.abs(b).max())
        for a, b in zip(found, wanted, strict=True)
    ]


def share(batch=128):
    """Of the work of one device that which each of eight has, for a Gram matrix."""
    net = models.mlp((2, 16, 4), dtype=jnp.float64)
    params = net.init(jax.random.key(0))

    def gram(params, x):
        return optim.linearise(net.apply, params, devices.split(x)).gram()

    flops = []
    for number in (1, 8):
        with devices.across(number):
            x = devices.whole(jnp.ones((batch, 2)))
            compiled = jax.jit(gram).lower(devices.whole(params), x).compile()
            flops.append(compiled.cost_analysis()["flops"])
    return flops[1] / flops[0]


def refused():
    """What is said where batches or devices do not fit."""
    told = {}
    with devices.across(8):
        step = training.make_train_step(
            lambda w, x: w * x, losses.squared_error, optax.sgd(0.1)
        )
        state = training.init_state(jnp.ones(1), optax.sgd(0.1))
        odd = jnp.ones((12, 1)), jnp.ones((12, 1))
        try:
            training.fit(step, state, odd, batch_size=12, steps=1, progress=False)
        except ValueError as error:
            told["batch"] = str(error)
    try:
        devices.mesh(9)
    except ValueError as error:
        told["devices"] = str(error)
    return told


def main(names):
    """One JSON of what is asked for."""
    jax.config.update("jax_enable_x64", True)
    other = {"share": share, "refused": refused, "blocks": blocks}
    found = {}
    for name in names:
        kind, _, of = name.partition(": ")
        if kind == "resumed":
            found[name] = resumed(of)
        elif kind == "float32":
            found[name] = difference(of, jnp.float32)
        else:
            found[name] = other[name]() if name in other else difference(name)
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1:])
