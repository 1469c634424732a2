"""What can be fitted, and how: the options of `jaxphys fit`."""

import dataclasses
import pathlib

from jaxphys import checkpoint
from jaxphys.learning import LAGRANGIANS
from jaxphys.types import PhaseState, TangentState

__all__ = [
    "MODELS",
    "PUSHED",
    "USUAL_SECONDS",
    "WHOLE_SECONDS",
    "FitOptions",
    "state_of",
]

#: What can be fitted, and what each is, for people.
MODELS = {
    "hnn": "a Hamiltonian H(q, p)",
    "separable": "a Hamiltonian T(p) + V(q)",
    "structured": "a Hamiltonian ½ pᵀ M⁻¹(q) p + V(q)",
    "dissipative": "a Hamiltonian, and what the motion loses",
    "port_hamiltonian": "a Hamiltonian ½ pᵀ M⁻¹(q) p + V(q), with friction and inputs",
    "neural_ode": "a vector field of q and p, without an energy",
    "lnn": "a Lagrangian L(q, v)",
    "delan": "a Lagrangian ½ vᵀ M(q) v − V(q)",
    "second_order": "an acceleration of q and v, without an energy",
}

#: Training seconds where no budget is given, and for whole records.
USUAL_SECONDS, WHOLE_SECONDS = 20.0, 120.0

#: Those that inputs u act on.
PUSHED = (*LAGRANGIANS, "port_hamiltonian", "neural_ode", "second_order")


def state_of(model: str) -> type[PhaseState] | type[TangentState]:
    """The kind of state in which a model moves, whatever it is fitted to.

    Example:
      >>> state_of("hnn").__name__, state_of("lnn").__name__
      ('PhaseState', 'TangentState')
    """
    return checkpoint.build(model, {"num_coordinates": 1}).state


@dataclasses.dataclass(frozen=True)
class FitOptions:
    """Learn a motion from measured trajectories.

    Attributes:
      data: a file of trajectories, .csv and other tables of text, .npz, .npy, .mat or
        .parquet: t, q, and p or v; for models that know of them also the inputs
        u. Usual names such as theta, omega, torque and time are understood.
      columns: what other columns are, as NAME:ROLE, such as angle:q rate:v load:u
        clock:t; NAME:- leaves one out.
      mass: makes momenta of velocities, p = m v; one number, or one a coordinate. Of
        one coordinate it is a mere unit, and one by default.
      periodic: which coordinates are angles [rad], true or false for each; by default
        those with the name or the unit of an angle, and those that jump by whole turns.
      mode: match `derivatives`, or the `whole` record: from derivatives on, weights and
        starts together over segments that are joined until each record is one
        trajectory; or `trajectories`, in chunks from measured starts; or the `torques`
        that accelerations take. `auto` takes derivatives for lnn and delan, or the
        torques for delan if there are any, and for other models derivatives where the
        file has them or the data are smooth, and the whole record where they are noisy.
      inputs: how the u of a file act on lnn and delan: `direct`, as generalized forces,
        or by a `learned` matrix; `auto` takes forces where there is one a coordinate.
      intersample: what inputs do from one time to the next: `held`, as a controller
        does it, or `linear`, as samples of a smooth signal; `auto` takes linear where
        the motion shows that, else held.
      dissipation: whether lnn and delan learn a friction beside the Lagrangian.
      window: points of the local polynomial that smooths noisy data, odd; 0 for none,
        and by default what the data ask for.
      hold_out: the part of the data that is kept for the test.
      hold_out_by: `trajectory` or `time`: whole motions, or the end of each; `auto`
        takes motions where there are several.
      refit: whether the model of whole records is in the end fitted to all of the data,
        what was held out included; what the report says of that is of the model before.
      chunk: steps of the data followed from one start, where trajectories are matched.
      growth: shorter chunks to begin with, one after another.
      rows: of the segments of a whole record; by default half a period, 8 to 50.
      substeps: integrator steps between two times; by default 1, and of a whole record
        as many as it takes.
      integrator: what follows them.
      optimizer: what trains.
      learning_rate: of adam.
      schedule: of the learning rate: `constant`, `cosine`, `one_cycle` or `step`.
      weight_decay: of adam.
      batch_size: samples an update; by default 64, and 256 for lnn, whose mass matrix
        no construction keeps regular where a small batch does not look.
      seconds: training time; of a whole record a quarter of it for derivatives.
      steps: number of updates, in place of seconds.
      patience: looks without progress on the held-out loss before training ends.
      noise: standard deviation of noise to add to the training states, in units of
        their spread.
      hidden: units of each hidden layer; by default two of 32, and for a whole record
        one as wide as the data allow, ten numbers for each weight.
      activation: of the network; by default softplus for lnn and delan, else tanh.
      devices: over how many devices each batch is split; by default one, and all where
        several processes run together.
      dtype: of the weights, `float32` or `float64`.
      seed: of the first weights, the hold-out and the order of samples.
      out: directory of the results; `runs/fit-DATE-TIME` by default.
      resume: go on with the training in `out`, or with the newest of this model where
        none is given; what is not said here is as it was said there.
      progress: whether to show a progress bar.
      dry_run: look at the data, say what they are like, and stop.
    """

    data: pathlib.Path
    columns: tuple[str, ...] = ()
    mass: tuple[float, ...] = ()
    periodic: tuple[bool, ...] = ()
    mode: str = "auto"
    inputs: str = "auto"
    intersample: str = "auto"
    dissipation: bool = False
    window: int | None = None
    hold_out: float = 0.2
    hold_out_by: str = "auto"
    refit: bool = False
    chunk: int = 10
    growth: tuple[int, ...] = ()
    rows: int | None = None
    substeps: int | None = None
    integrator: str = "rk4"
    optimizer: str = "levenberg_marquardt"
    learning_rate: float = 1e-3
    schedule: str = "constant"
    weight_decay: float = 0.0
    batch_size: int | None = None
    seconds: float | None = None
    steps: int | None = None
    patience: int = 40
    noise: float = 0.0
    hidden: tuple[int, ...] = ()
    activation: str | None = None
    devices: int | None = None
    dtype: str = "float64"
    seed: int = 0
    out: pathlib.Path | None = None
    resume: bool = False
    progress: bool = True
    dry_run: bool = False
