"""One training step of a Hamiltonian network, beside the published one in PyTorch.

Network, batch and optimizer are the same for both: 2n → 200 → 200 → 1 units, tanh, mean
squared error of the derivatives, Adam with weight decay in its gradient, float32
(Greydanus, Dzamba & Yosinski, Hamiltonian Neural Networks, 2019). Ours has a bias in
the last layer as well; its gradient is zero. Samples are those of springs throughout,
as the cost of a step is one of shapes.

Beside the times stands what the machine could do: the operations of the products that a
step cannot do without, and how fast the machine multiplies matrices in the same run.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks import harness
from jaxphys import losses, models, problems, training
from jaxphys.data import Moment
from jaxphys.types import PhaseState

LEARNING_RATE, WEIGHT_DECAY = 1e-3, 1e-4
#: `fit` runs steps inside one compiled loop; so many of them are measured as one call.
SCAN = 50


class Setting(NamedTuple):
    """A published experiment: n coordinates, `batch` samples a step."""

    name: str
    n: int
    batch: int
    hidden: int = 200


SETTINGS = (
    Setting("mass-spring", 1, 750),
    Setting("two bodies", 4, 200),
    Setting("three bodies", 6, 600),
)


def run(*, smoke: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """Measure; returns (config, results)."""
    from benchmarks.peers import hnn_torch

    turns, size = (1, 256) if smoke else (15, 2048)
    settings = (Setting("small", 2, 32, 16),) if smoke else SETTINGS
    config = {
        "learning_rate": LEARNING_RATE,
        "weight_decay": WEIGHT_DECAY,
        "turns": turns,
        "steps_a_turn": harness.BLOCK - harness.SETTLE,
        "scan": SCAN,
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

    With d = 2n inputs, h units and b samples, the first layer's product takes dh and
    the second's h² multiplications a sample; the last layer's and all else is left out.

    - forward: dh + h² (H itself is not needed);
    - ∂H/∂x: the same, backwards;
    - the reverse of ∂H/∂x: two products for each of its own, 2 (dh + h²);
    - the reverse of forward: two for the second layer, one for the first, as nobody
      asks for the gradient by x, 2h² + dh.
    """
    d, h = 2 * setting.n, setting.hidden
    return 2.0 * setting.batch * (5 * d * h + 6 * h**2)


def agreement(setting: Setting) -> dict[str, float]:
    """`difference` of ours and the peer as its authors ran it."""
    ours = _Ours(setting)
    return ours.difference(ours.peer())


class _Ours:
    """The step of the library, as a user writes it."""

    def __init__(self, setting: Setting):
        model = models.hnn(setting.n, hidden=(setting.hidden, setting.hidden))
        outputs = problems.derivative_matching(models.dynamics(model))
        objective = losses.mean_squared_error
        tx = optax.chain(
            optax.add_decayed_weights(WEIGHT_DECAY), optax.adam(LEARNING_RATE)
        )
        self.params = model.init(jax.random.key(0))
        self.samples = _samples(setting)
        self.batch = _batch(*self.samples)
        self.step = training.make_train_step(outputs, objective, tx)
        self.state = training.init_state(self.params, tx)
        self.outputs, self.objective = outputs, objective

    def loss(self, params) -> jax.Array:
        """The mean over the batch."""
        values = jax.vmap(self.outputs, (None, 0))(params, self.batch[0])
        return jnp.mean(jax.vmap(self.objective)(values, self.batch[1]))

    def peer(self, **options):
        """The published one, from the same weights and samples."""
        from benchmarks.peers import hnn_torch

        return hnn_torch.Trainer(
            *self.samples,
            _weights(self.params),
            learning_rate=LEARNING_RATE,
            weight_decay=WEIGHT_DECAY,
            **options,
        )

    def difference(self, peer) -> dict[str, float]:
        """Largest relative difference of loss and gradient, before the first step.

        That of a gradient is, kernel by kernel and bias by bias, of its largest entry.
        The last bias stands apart: the peer has none, and its gradient is zero.
        """
        loss, gradient = jax.jit(jax.value_and_grad(self.loss))(self.params)
        their_loss, theirs = peer.loss_and_gradient()
        *mine, last_bias = [x for layer in _weights(gradient) for x in layer]
        relative = [
            float(np.max(np.abs(a - b)) / np.max(np.abs(b)))
            for a, b in zip(mine, theirs, strict=True)
        ]
        return {
            "loss": abs(float(loss) - their_loss) / their_loss,
            "gradient": max(relative),
            "last_bias": float(np.max(np.abs(last_bias))),
        }

    def single(self) -> Callable[[], None]:
        """One compiled step a call, the state given away to it."""
        return harness.repeated(self.step, self.state, self.batch)

    def scanned(self) -> Callable[[], None]:
        """SCAN steps a call, in one compiled loop."""

        def steps(state, batch):
            def body(state, _):
                return self.step(state, batch)[0], None

            return jax.lax.scan(body, state, length=SCAN)

        return harness.repeated(steps, self.state, self.batch)


def _samples(setting: Setting) -> tuple[np.ndarray, np.ndarray]:
    """States (q, p) and rates (q̇, ṗ) of H = |q|² + |p|²."""
    shape = (setting.batch, setting.n)
    q, p = np.random.default_rng(0).normal(size=(2, *shape)).astype(np.float32)
    return np.concatenate([q, p], 1), np.concatenate([2 * p, -2 * q], 1)


def _batch(states: np.ndarray, rates: np.ndarray) -> tuple[Moment, jax.Array]:
    q, p = jnp.split(jnp.asarray(states), 2, axis=1)
    moments = Moment(jnp.zeros(len(states), q.dtype), PhaseState(q, p))
    return moments, jnp.asarray(rates)


def _weights(params) -> list[tuple[np.ndarray, np.ndarray]]:
    """Kernels and biases, layer by layer."""
    layers = [params[f"Dense_{i}"] for i in range(3)]
    return [(np.asarray(k["kernel"]), np.asarray(k["bias"])) for k in layers]


def _compare(setting: Setting, turns: int, size: int) -> dict[str, Any]:
    ours = _Ours(setting)
    # Where cores are few or shared, threads cost small products more than they give,
    # so each is there with one thread too: the peer is the fastest of them.
    peers = {"torch": ours.peer(), "torch_one_thread": ours.peer(threads=1)}
    difference = {name: ours.difference(peer) for name, peer in peers.items()}
    note = "works"
    try:
        for name, threads in (("torch_compiled", None), ("torch_compiled_one", 1)):
            peer = ours.peer(threads=threads, compiled=True)
            difference[name] = ours.difference(peer)
            peers[name] = peer
    except Exception as error:  # no compiler, say: its errors have no base of their own
        note = f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"
    parties = {
        "matmul": harness.matmul(size),
        "jaxphys": harness.Party(ours.single()),
        "jaxphys_scan": harness.Party(ours.scanned(), steps=SCAN, calls=3, settle=1),
        **{name: harness.Party(peer.step) for name, peer in peers.items()},
    }
    times = harness.in_blocks(parties, turns)
    seconds = {k: harness.flat(blocks) for k, blocks in times.items()}
    median = {k: took["median"] for k, took in seconds.items()}
    fastest = min(peers, key=median.__getitem__)
    # What a machine can do is what it does when nobody disturbs it.
    peak = 2 * size**3 / seconds["matmul"]["p10"]
    row: dict[str, Any] = {
        **setting._asdict(),
        "seconds": seconds,
        "fastest_peer": fastest,
        "torch_compile": note,
        "matmul_gflops": peak / 1e9,
        "step_megaflops": needed_flops(setting) / 1e6,
        "difference": difference,
    }
    for name in ("jaxphys", "jaxphys_scan"):
        row[f"{name}_ratio"] = median[fastest] / median[name]
        row[f"{name}_ratio_to_published"] = median["torch"] / median[name]
        row[f"{name}_fraction_of_peak"] = needed_flops(setting) / median[name] / peak
    return row
