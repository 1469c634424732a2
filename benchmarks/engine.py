"""Steps a second of every route to a second-order step, by outputs and parameters.

The chain of oscillators under controllers of 1.4 thousand, a hundred thousand and a
million parameters, with 128, 1024 and 4096 outputs a batch. Methods of one size take
turns. What would take minutes or gigabytes on the device at hand is left out, by a rule
that is part of the settings. Inverse roots are timed beside eigenvectors alone, too.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from benchmarks import harness
from benchmarks.peers import dense_hig
from jaxphys import linalg, models, optim, problems, training


class Size(NamedTuple):
    """Samples a batch, of four outputs each, and the width of three layers."""

    batch: int
    width: int


SIZES = (Size(32, 20), Size(256, 212), Size(1024, 700))
#: The largest m for which a processor is asked for a route, where a step by it would
#: take most of a minute; other devices are asked for all.
LIMITS = {
    "dense SVD": 128,
    "hig, newton": 128,
    "hig, eigenvectors": 1024,
    "hig, lanczos": 1024,
    "levenberg_marquardt": 1024,
}
RCOND = 1e-5


def run(*, smoke: bool, gpu: bool = False) -> tuple[dict[str, Any], dict[str, Any]]:
    """Measure; returns (config, results)."""
    sizes = (Size(4, 8),) if smoke else SIZES
    sides = (16,) if smoke else (32, 64, 128, 256, 512)
    seconds = 0.1 if smoke else 5.0 if gpu else 10.0
    # What is large is asked of whatever is no processor, and the size changes only how
    # long each is timed.
    on_cpu = jax.devices()[0].platform == "cpu"
    limits = LIMITS if on_cpu else {}
    config = {
        "sizes": [size._asdict() for size in sizes],
        "rcond": RCOND,
        "seconds_a_size": seconds,
        "largest_outputs": limits,
    }
    rows = [_size(size, limits, seconds) for size in sizes]
    return config, {"rows": rows, "roots": [_roots(m, smoke) for m in sides]}


def _methods() -> dict[str, Any]:
    return {
        "adam": optax.adam(1e-3),
        "hig, eigenvectors": optim.hig(1.0, rcond=RCOND, method="gram"),
        "hig, newton": optim.hig(1.0, rcond=RCOND, method="newton"),
        "hig, lanczos": optim.hig(1.0, rcond=RCOND, method="lanczos"),
        "levenberg_marquardt": optim.levenberg_marquardt(method="gram"),
        "levenberg_marquardt, lanczos": optim.levenberg_marquardt(method="lanczos"),
    }


def _size(size: Size, limits: dict[str, int], seconds: float) -> dict[str, Any]:
    problem = problems.oscillator_control()
    model = models.mlp((4, size.width, size.width, size.width, 24))
    outputs = problems.outputs(problem, model)
    params = model.init(jax.random.key(0))
    batch = problem.sample(jax.random.key(1), size.batch)
    m = 4 * size.batch
    calls = {}
    for name, tx in _methods().items():
        if m <= limits.get(name, m):
            step = training.make_train_step(outputs, problem.objective, tx)
            calls[name] = harness.repeated(step, training.init_state(params, tx), batch)
    if m <= limits.get("dense SVD", m):
        peer = jax.jit(
            dense_hig.step(
                outputs,
                problem.objective,
                learning_rate=1.0,
                rcond=RCOND,
                together=False,
            )
        )
        calls["dense SVD"] = lambda: peer(params, batch)
    # Two of each: the compilation, and one to see how many more there is time for.
    times = harness.in_turns(calls, 1)
    once = sum(t[1] for t in times.values())
    rounds = min(100, int(seconds / once))
    if rounds > 1:
        times = {
            name: times[name][:1] + more[1:]
            for name, more in harness.in_turns(calls, rounds).items()
        }
    return {
        "num_outputs": m,
        "num_params": sum(leaf.size for leaf in jax.tree.leaves(params)),
        "rounds": max(rounds, 1),
        "first_call_seconds": {name: t[0] for name, t in times.items()},
        "step_seconds": {name: harness.spread(t[1:]) for name, t in times.items()},
    }


def _roots(m: int, smoke: bool) -> dict[str, Any]:
    """K^(−3/4) g of ten decades, by eigenvectors and by Newton's method."""
    left, _ = jnp.linalg.qr(jax.random.normal(jax.random.key(0), (m, m), float))
    values = 10.0 ** -jnp.linspace(0, 10, m)
    gram, g = (left * values) @ left.T, left @ values**0.5
    routes = {"eigenvectors": linalg.gram_power, "newton": linalg.newton_power}
    calls = {}
    for name, power_of in routes.items():
        f = jax.jit(lambda k, p=power_of: p(k, g, -0.5, RCOND).direction)
        calls[name] = lambda f=f: f(gram)
    times = harness.in_turns(calls, 1 if smoke else 9)
    spreads = {name: harness.spread(t[1:]) for name, t in times.items()}
    return {"side": m, "seconds": spreads}
