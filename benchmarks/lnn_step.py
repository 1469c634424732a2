"""One training step of a Lagrangian network, beside the published formula.

Network, weights, batch and Adam are the same for all, and the loss, the mean squared
error of the accelerations of a double pendulum, in float32. Angles enter as they are.
The peers have the Hessian, the Jacobian of a Jacobian and the pseudo-inverse of Cranmer
et al., Lagrangian Neural Networks, 2020: in JAX, vmapped and compiled, and in PyTorch,
eagerly and by its compiler. Ours is `models.lnn` through `training.make_train_step`.

Like is compared with like: steps that are called one by one, and steps in the compiled
loop of `fit`, in which the published step in JAX runs just as well. PyTorch has no such
loop. Beside the times stands what the machine could do: the operations of the products
that a step cannot do without, and how fast the machine multiplies matrices.
"""

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks import harness
from benchmarks.peers import published_lnn
from jaxphys import losses, mechanics, models, problems, systems, training
from jaxphys.data import Moment
from jaxphys.learning import Recipe, transformation
from jaxphys.training import Info, TrainState

#: So small that the weights stay what they are: what is timed is a step, and the time
#: of a pseudo-inverse depends on its matrix.
LEARNING_RATE = 1e-6
#: Steps in one call of the compiled loop, and batches in the data it goes through.
LOOP, BATCHES = 50, 8


class Setting(NamedTuple):
    """Units of the hidden layers, and samples a step."""

    name: str
    hidden: tuple[int, ...]
    batch: int


#: Of a notebook on Lagrangian networks, the best and the largest; between them the
#: width of the authors' own; and a batch that fills the machine.
SETTINGS = (
    Setting("3 × 16 units", (16, 16, 16), 4),
    Setting("2 × 128 units", (128, 128), 32),
    Setting("2 × 256 units", (256, 256), 100),
    Setting("2 × 256 units", (256, 256), 512),
)


def run(*, smoke: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """Measure; returns (config, results)."""
    from benchmarks.peers import hnn_torch

    turns, size = (1, 256) if smoke else (15, 2048)
    settings = (Setting("2 × 8 units", (8, 8), 4),) if smoke else SETTINGS
    config = {
        "learning_rate": LEARNING_RATE,
        "turns": turns,
        "steps_a_turn": harness.BLOCK - harness.SETTLE,
        "loop": LOOP,
        "matmul": size,
        "torch": hnn_torch.VERSION,
    }
    results = {
        "torch_threads": hnn_torch.all_threads(),
        "rows": [_compare(setting, turns, size) for setting in settings],
    }
    return config, results


def needed_flops(setting: Setting) -> float:
    """Operations of the products of one step, two for each multiplication.

    With n coordinates and layers of h₁, h₂ … units, the first layer's product takes
    2n h₁ multiplications a sample and the others' h₁ h₂ + …; the last is left out.

    - accelerations: forward, backward, and n + 1 tangents forward;
    - their derivative is that of wᵀ(h − M a) at constant w and a, and so of the values,
      the gradient and two tangents: a product by weights for each, but those of the
      gradient alone in the first layer, and one that gives the weights' own.

    That makes n + 11 products a layer. Ours does n + 13, the published formula 39 for
    n = 2.
    """
    n = 2
    first = 2 * n * setting.hidden[0]
    others = sum(a * b for a, b in itertools.pairwise(setting.hidden))
    return 2.0 * setting.batch * ((n + 8) * first + (n + 11) * others)


def agreement(setting: Setting) -> dict[str, dict[str, float]]:
    """`difference` of ours and each peer as it was published."""
    step = _Step(setting)
    return {
        "published": step.difference(*step.published_gradient()),
        "torch": step.difference(*step.peer().loss_and_gradient()),
    }


class _Step:
    """The step of the library, as a user writes it, and those of the peers."""

    def __init__(self, setting: Setting):
        model = models.lnn(2, hidden=setting.hidden)
        self.outputs = problems.derivative_matching(models.lagrangian_dynamics(model))
        self.params = model.init(jax.random.key(0))
        self.setting = setting
        self.data = _samples(BATCHES * setting.batch)
        self.batch = jax.tree.map(lambda x: x[: setting.batch], self.data)
        self.tx = transformation(Recipe(learning_rate=LEARNING_RATE, steps=1))

    def ours(self, tx: optax.GradientTransformation) -> Callable:
        """The train step with an optimizer."""
        return training.make_train_step(self.outputs, losses.mean_squared_error, tx)

    def published(self, state: TrainState, batch) -> tuple[TrainState, Info]:
        """The published one in JAX, with the optimizer of ours."""
        moment, a = batch
        loss, gradient = jax.value_and_grad(published_lnn.loss)(
            state.params, *moment.y, a
        )
        updates, opt_state = self.tx.update(gradient, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        return TrainState(params, opt_state, state.step + 1), Info(
            loss, jnp.array(True)
        )

    def peer(self, **options):
        """The one in PyTorch, from the same weights and samples."""
        from benchmarks.peers import lnn_torch

        (_, (q, v), _), a = jax.tree.map(np.asarray, self.batch)
        return lnn_torch.Trainer(
            q,
            v,
            a,
            _weights(self.params),
            learning_rate=LEARNING_RATE,
            **options,
        )

    def published_gradient(self) -> tuple[float, list[np.ndarray]]:
        """Loss and gradient of the published formula in JAX."""
        moment, a = self.batch
        call = jax.jit(jax.value_and_grad(published_lnn.loss))
        loss, gradient = call(_weights(self.params), *moment.y, a)
        return float(loss), [np.asarray(x) for x in itertools.chain(*gradient)]

    def difference(self, loss: float, gradient: list[np.ndarray]) -> dict[str, float]:
        """Largest relative difference of loss and gradient, before the first step.

        That of a gradient is, kernel by kernel and bias by bias, of its largest entry.
        The last bias is left out: no acceleration depends on it.
        """
        keep = optax.trace(decay=0.0)
        state = training.init_state(self.params, keep)
        state, info = jax.jit(self.ours(keep))(state, self.batch)
        mine = itertools.chain(*_weights(state.opt_state.trace))
        count = 2 * len(self.setting.hidden) + 1
        relative = [
            float(np.max(np.abs(a - b)) / np.max(np.abs(b)))
            for a, b in itertools.islice(zip(mine, gradient, strict=False), count)
        ]
        return {
            "loss": abs(float(info.loss) - loss) / loss,
            "gradient": max(relative),
        }

    def parties(self) -> dict[str, harness.Party]:
        """Ours and the published one in JAX, a step a call and in the loop of `fit`."""
        steps = {
            "jaxphys": (self.ours(self.tx), self.params),
            "published": (self.published, _weights(self.params)),
        }
        found = {}
        for name, (step, params) in steps.items():
            state = training.init_state(jax.tree.map(jnp.asarray, params), self.tx)
            found[name] = harness.Party(harness.repeated(step, state, self.batch))
            found[f"{name}_loop"] = harness.Party(
                self._looped(step, state), steps=LOOP, calls=3, settle=1
            )
        return found

    def _looped(self, step: Callable, state: TrainState) -> Callable[[], None]:
        batch = self.setting.batch
        loop = training.make_loop(step, batch)

        def call() -> None:
            nonlocal state
            count, skipped = jnp.asarray(LOOP, jnp.int32), training.no_skips()
            state, done, _, _ = jax.block_until_ready(
                loop(state, self.data, None, count, skipped)
            )
            assert int(done) == LOOP, "training diverged; its steps were not all taken"

        return call


def _samples(count: int) -> tuple[Moment, jax.Array]:
    """States of a double pendulum, and its accelerations."""
    system = systems.get("double_pendulum")
    assert system.sample_tangent is not None
    assert system.lagrangian is not None
    y = jax.vmap(system.sample_tangent)(jax.random.split(jax.random.key(1), count))
    y = jax.tree.map(lambda x: x.astype(jnp.float32), y)
    accelerate = jax.vmap(mechanics.acceleration(system.lagrangian), (None, 0, 0))
    return Moment(jnp.zeros(count, y.q.dtype), y), accelerate(system.params, *y)


def _weights(params) -> list[tuple[np.ndarray, np.ndarray]]:
    """Kernels and biases, layer by layer."""
    layers = [params[f"Dense_{i}"] for i in range(len(params))]
    return [(np.asarray(k["kernel"]), np.asarray(k["bias"])) for k in layers]


def _compare(setting: Setting, turns: int, size: int) -> dict[str, Any]:
    step = _Step(setting)
    # Where cores are few or shared, threads cost small products more than they give,
    # so each is there with one thread too.
    peers = {"torch": step.peer(), "torch_one_thread": step.peer(threads=1)}
    difference = {
        "published": step.difference(*step.published_gradient()),
        **{k: step.difference(*peer.loss_and_gradient()) for k, peer in peers.items()},
    }
    note = "works"
    try:
        for name, threads in (("torch_compiled", None), ("torch_compiled_one", 1)):
            peer = step.peer(threads=threads, compiled=True)
            difference[name] = step.difference(*peer.loss_and_gradient())
            peers[name] = peer
    except Exception as error:  # no compiler, say: its errors have no base of their own
        note = f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"
    parties = {
        "matmul": harness.matmul(size),
        **step.parties(),
        **{name: harness.Party(peer.step) for name, peer in peers.items()},
    }
    times = harness.in_blocks(parties, turns)
    seconds = {k: harness.flat(blocks) for k, blocks in times.items()}
    fastest = min(peers, key=lambda name: seconds[name]["median"])
    eager = min(("torch", "torch_one_thread"), key=lambda k: seconds[k]["median"])
    # What a machine can do is what it does when nobody disturbs it.
    peak = 2 * size**3 / seconds["matmul"]["p10"]
    flops = needed_flops(setting)
    row: dict[str, Any] = {
        **setting._asdict(),
        "seconds": seconds,
        "fastest_torch": fastest,
        "eager_torch": eager,
        "torch_compile": note,
        "matmul_gflops": peak / 1e9,
        "step_megaflops": flops / 1e6,
        "difference": difference,
    }
    for name, published in (
        ("jaxphys", "published"),
        ("jaxphys_loop", "published_loop"),
    ):
        against = {"published": published, "torch": eager, "fastest_torch": fastest}
        row[f"{name}_ratios"] = {
            k: harness.ratio(times[peer], times[name]) for k, peer in against.items()
        }
        row[f"{name}_fraction_of_peak"] = flops / seconds[name]["median"] / peak
    return row
