"""Hamiltonian networks: a scalar network of position and momentum is the energy.

H_θ(q, p) takes the place of an analytic Hamiltonian everywhere; its motion
(∂H/∂p, −∂H/∂q) conserves it by construction, for any weights.
"""

from collections.abc import Sequence
from typing import Any

from jaxphys import mechanics
from jaxphys.checks import check_count, checked
from jaxphys.models.adapters import as_model
from jaxphys.models.coordinates import Normalization, check_smooth, coordinates, network
from jaxphys.precision import exact
from jaxphys.types import Array, Dynamics, Model, PhaseState, PyTree, check_pair

__all__ = ["dynamics", "hnn"]


@checked(num_coordinates=check_count)
def hnn(
    num_coordinates: int,
    *,
    periodic: Sequence[bool] | None = None,
    normalization: Normalization | None = None,
    own: Any = None,
    activation: str = "tanh",
    **options,
) -> Model:
    """A Hamiltonian network H_θ(q, p) = E h_θ(q̃, p̃).

    Args:
      num_coordinates: n, the size of q and of p.
      periodic: one bool per coordinate, as `System.periodic`: angles enter as
        (cos q, sin q).
      normalization: units of q, p and H for the network; by default those of the data.
      own: a network of your own, instead of a perceptron, from n + n numbers, one more
        for each angle, to one: a Model, or a module of equinox, nnx or linen.
      activation: of the perceptron; it must have second derivatives.
      options: hidden, kernel_init and dtype of the perceptron; by default two layers of
        200 units, orthogonal, float32.

    Returns:
      A Model whose `apply(params, q, p) -> scalar` is a Hamiltonian.

    Raises:
      ValueError: for sizes that do not fit, unknown names, or ReLU.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from jaxphys import mechanics
      >>> model = hnn(1, hidden=(16, 16))
      >>> field = mechanics.hamiltonian_vector_field(model.apply)
      >>> state = PhaseState(jnp.ones(1), jnp.zeros(1))
      >>> field(0.0, state, model.init(jax.random.key(0))).q.shape
      (1,)

    Reference: Greydanus, Dzamba & Yosinski, Hamiltonian Neural Networks, 2019,
    https://arxiv.org/abs/1906.01563.
    """
    check_smooth(activation)
    space = coordinates(num_coordinates, periodic, normalization)
    size = space.num_features + num_coordinates
    scalar = network(size, activation=activation, own=own, **options)
    unit = space.units.energy()

    @exact
    def hamiltonian(params: PyTree, q: Array, p: Array) -> Array:
        check_pair("the Hamiltonian network", "p", q, p)
        return unit * scalar.apply(params, space.phase(q, p))[0]

    return Model(scalar.init, hamiltonian)


def dynamics(model: Any) -> Dynamics:
    """The motion of a Hamiltonian model, to be learned.

    Args:
      model: its `apply(params, q, p)` is a Hamiltonian; or your own module of equinox,
        nnx or linen, called as `module(q, p)`. A network of one vector becomes such a
        model by `hnn(n, own=module)`.

    Example:
      >>> dynamics(hnn(1)).state.__name__
      'PhaseState'
    """
    model = as_model(model, what="the Hamiltonian")
    field = mechanics.hamiltonian_vector_field(model.apply)
    return Dynamics(model.init, field, PhaseState, model.apply, conservative=True)
