"""Nonlinear oscillators, steered back to their start: every method side by side.

Two masses on springs, coupled by the cube of their distance, and a force 3u on the
second: v̇1 = −x1 + (x2 − x1)³, v̇2 = −x2 + (x1 − x2)³ + 3u, for t = 12 in 96 steps; a
network of 4-20-20-20-96 with ReLU. Setting and published runs: Schnell, Holl & Thuerey,
ICLR 2022, section 3.2; theirs last an hour on a GPU. On fresh states a network that is
trained on 4096 may do worse than on its own; more `samples` narrow the gap.
Gauss–Newton with the published rcond diverges within the first updates, so that it is
compared with a larger rcond besides, and HIG with fewer samples an update and with
larger steps.
"""

import dataclasses

import jax.numpy as jnp
import optax

from jaxphys import optim, plots, problems
from jaxphys.experiments.control.oscillators import steered_chain
from jaxphys.experiments.control.rows import Steering, row, steering, usual_rows
from jaxphys.experiments.experiment import Run

__all__ = ["EXPERIMENT", "ROWS", "Settings", "build"]


@dataclasses.dataclass(frozen=True)
class Settings:
    """Steer nonlinear oscillators back to where they started.

    Attributes:
      oscillators: their number N.
      control_steps: the number of forces, and of time steps.
      dt: the time each force is held.
      gain: force for a control of one.
      samples: size of the training set, and of the test set.
      hidden: units of each hidden layer.
      activation: of the hidden layers.
    """

    oscillators: int = 2
    control_steps: int = 96
    dt: float = 0.125
    gain: float = 3.0
    samples: int = 4096
    hidden: tuple[int, ...] = (20, 20, 20)
    activation: str = "relu"


#: The published cut-off of singular values.
_RCOND = 1e-6
#: Samples an update of HIG where it is not the published number.
_FEW = 32


def build(settings: Settings, dtype: jnp.dtype) -> Steering:
    """The chain, and the network that steers it."""
    problem = problems.oscillator_control(
        settings.oscillators,
        "quartic",
        num_steps=settings.control_steps,
        dt=settings.dt,
        gain=settings.gain,
        dtype=dtype,
    )
    return Steering.perceptron(problem, settings, dtype, activation=settings.activation)


def _large_steps(batch_size: int) -> optax.GradientTransformation:
    """HIG that first overshoots, then settles.

    A relative rate above 2 makes the largest singular direction diverge, until the
    weights have been thrown to where it is less steep, as Lewkowycz et al. describe of
    gradient descent (2020, https://arxiv.org/abs/2003.02218). The loss rises by orders
    of magnitude meanwhile, and a bound on the step keeps it finite.
    """
    del batch_size  # relative rates hold for any
    rate = optax.warmup_cosine_decay_schedule(0.0, 3.0, 10_000, 50_000, 0.5)
    return optax.chain(
        optim.hig(rate, rcond=_RCOND, relative=True), optax.clip_by_global_norm(0.05)
    )


ROWS = usual_rows(
    build,
    (512, 3e-4),
    (128, 1.0, _RCOND),
    128,
    min_damping=1e-6,
    small=_FEW,
    truncated=(16, 1e-2),
    left_out=("sip",),  # within a minute its loss is far above that of doing nothing
) | {"hig_large_steps": row(build, "hig_large_steps", _FEW, _large_steps)}


def _figures(run: Run) -> dict[str, plots.Figure]:
    """The motion of one chain, with the best network's control and without any."""
    params, gain = run.params[run.best], run.settings.gain
    return {"motion": steered_chain(run, params, "quartic", gain=gain, points=4)}


EXPERIMENT = steering(
    "nonlinear_oscillators",
    "steer nonlinear oscillators back to their start",
    Settings,
    build,
    ROWS,
    figures=_figures,
    seconds=60.0,
)
