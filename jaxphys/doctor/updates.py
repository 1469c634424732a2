"""What an update costs on this device: by Adam, and by Levenberg–Marquardt."""

import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxphys import losses, optim, training
from jaxphys.doctor.case import Case
from jaxphys.doctor.record import Finding

__all__ = ["times_of_updates"]

#: Calls of an update, of which the fastest counts.
_CALLS = 3


def times_of_updates(case: Case) -> tuple[list[Finding], dict]:
    """Milliseconds of an update of the example by half the squared outputs' size."""
    methods = {
        "Adam": optax.adam(1e-3),
        "Levenberg–Marquardt": optim.levenberg_marquardt(),
    }
    taken: dict[str, float] = {}
    compiling: dict[str, float] = {}
    for name, tx in methods.items():
        try:
            compiling[name], taken[name] = _time(case, tx)
        except (TypeError, ValueError, NotImplementedError) as error:
            seen = f"{name} has no update of this function: {error}"
            return [Finding("updates", "note", seen.split("\n")[0])], taken
    adam, second = taken.values()
    seen = ", ".join(
        f"{name} {1e3 * taken[name]:.3g} ms (compiled in {compiling[name]:.2g} s)"
        for name in methods
    )
    cure = (
        f"an update of Levenberg–Marquardt is worth {second / adam:.2g} of Adam's; "
        "jaxphys.compare says which pays."
    )
    numbers = {"adam": adam, "levenberg_marquardt": second}
    where = f"an update on {jax.default_backend()}: {seen}."
    return [Finding("updates", "note", where, "", cure, numbers)], taken


def _time(case: Case, tx: optax.GradientTransformation) -> tuple[float, float]:
    """Seconds of compilation, and of an update."""

    def outputs(params: Any, inputs: Any) -> jax.Array:
        return case.run(params + 0 * inputs)

    step = jax.jit(training.make_train_step(outputs, losses.squared_size, tx))
    state = training.init_state(jnp.asarray(case.x), tx)
    batch = (jnp.zeros((1, 1)), jnp.zeros((1, 1)))
    begun = time.perf_counter()
    jax.block_until_ready(step(state, batch))
    first = time.perf_counter() - begun
    taken = []
    for _ in range(_CALLS):
        begun = time.perf_counter()
        jax.block_until_ready(step(state, batch))
        taken.append(time.perf_counter() - begun)
    return first, float(np.min(taken))
