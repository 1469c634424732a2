"""Models that were trained, each in one .npz file.

Its kind and arguments stand there as JSON beside the weights, and `load` builds it from
them again.
"""

import json
import os
import pathlib
import warnings
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

import jax
import jax.numpy as jnp
import numpy as np

from jaxphys import files, models
from jaxphys.names import check_known
from jaxphys.types import Array, Dynamics, Model, PyTree

__all__ = [
    "FORMAT",
    "KINDS",
    "Learned",
    "build",
    "load",
    "save_model",
]

#: What a head must have, and of which kind.
_HEAD = {"format": int, "kind": str, "arguments": dict, "notes": dict}
#: What NumPy and zipfile make of a damaged file.
_DAMAGE = (ValueError, KeyError, TypeError, *files.DAMAGE)
#: An archive may be so many times larger unpacked; model files are not compressed.
_MOST = 100

#: Of the layout of model files; a reader takes its own version and those before.
FORMAT = 1


def _lagrangian(make: Callable[..., Model]) -> Callable[..., Dynamics]:
    """The motion of a Lagrangian model, alone or under inputs and friction."""

    def motion(
        num_coordinates: int,
        num_controls: int = 0,
        *,
        inputs: str = "direct",
        dissipation: bool = False,
        **options,
    ) -> Dynamics:
        model = make(num_coordinates, **options)
        if not num_controls and not dissipation:
            return models.lagrangian_dynamics(model)
        # What only the Lagrangian's network has, such as its init, is left out.
        names = ("periodic", "normalization", "hidden", "activation", "dtype")
        return models.forced(
            model,
            num_coordinates,
            num_controls,
            inputs=inputs,
            dissipation=dissipation,
            **{name: options[name] for name in names if name in options},
        )

    return motion


#: The kinds of model that `save_model` writes, and how each becomes a `Dynamics`.
#: `lnn` and `delan` also take num_controls, inputs and dissipation, those of
#: `models.forced`.
KINDS: dict[str, Callable[..., Any]] = {
    "hnn": models.hnn,
    "separable": models.separable,
    "structured": models.structured,
    "pairwise": models.pairwise,
    "dissipative": models.dissipative,
    "port_hamiltonian": models.port_hamiltonian,
    "neural_ode": models.neural_ode,
    "second_order": models.second_order,
    "lnn": _lagrangian(models.lnn),
    "delan": _lagrangian(models.delan),
}


class Learned:
    """A trained model with its weights, from `load`: its energy, and its Lagrangian.

    It is called as any Hamiltonian, H(params, q, p), with its own weights where params
    is None; or simply as H(q, p). A model that is told by velocities has the energy of
    (q, v) in its place, for a Lagrangian v·∂L/∂v − L; L itself is `lagrangian`.

    Attributes:
      kind: the name of its function in `jaxphys.models`.
      arguments: what that function was given.
      params: the weights.
      dynamics: the motion, as a `jaxphys.types.Dynamics`.
      notes: what was written beside it.
    """

    def __init__(self, kind: str, arguments: dict, params: PyTree, notes: dict):
        self.kind, self.arguments = kind, arguments
        self.params, self.notes = params, notes
        self.dynamics = build(kind, arguments)

    def __call__(self, *args) -> Array:
        """The energy of (params, q, p) or of (q, p)."""
        if self.dynamics.energy is None:
            raise ValueError(
                f"a {self.kind} has no energy; its motion is .dynamics.vector_field, "
                "with .params."
            )
        params, q, p = args if len(args) == 3 else (None, *args)
        return self.dynamics.energy(self.params if params is None else params, q, p)

    def lagrangian(self, *args) -> Array:
        """L of (params, q, v), with its own weights where params is None, or of (q, v).

        Every function of `jaxphys.mechanics` that takes a Lagrangian takes it:
        `acceleration`, `inverse_dynamics`, `mass_matrix`, `legendre`. Friction and
        inputs are no part of it; with them the motion is `dynamics`.

        Raises:
          ValueError: where the model is no Lagrangian.

        Example:
          >>> given = {"num_coordinates": 1, "hidden": [8]}
          >>> params = build("delan", given).init(jax.random.key(0))
          >>> learned = Learned("delan", given, params, {})
          >>> from jaxphys import mechanics
          >>> accelerate = mechanics.acceleration(learned.lagrangian)
          >>> accelerate(None, jnp.ones(1), jnp.zeros(1)).shape
          (1,)
        """
        if self.dynamics.lagrangian is None:
            raise ValueError(
                f"a {self.kind} is no Lagrangian; its motion is "
                ".dynamics.vector_field, with .params."
            )
        params, q, v = args if len(args) == 3 else (None, *args)
        weights = self.params if params is None else params
        return self.dynamics.lagrangian(weights, q, v)

    def __repr__(self) -> str:
        return f"Learned({self.kind}, {self.arguments})"


def build(kind: str, arguments: Mapping[str, Any]) -> Dynamics:
    """The motion of a kind of model, from arguments as JSON has them.

    Example:
      >>> build("hnn", {"num_coordinates": 1, "hidden": [8]}).conservative
      True
    """
    check_known("model", kind, KINDS)
    given = dict(arguments)
    units = given.get("normalization")
    if units is not None and not isinstance(units, models.Normalization):
        arrays = {name: np.array(x) for name, x in units.items()}
        given["normalization"] = models.Normalization(**arrays)
    made = KINDS[kind](**given)
    return made if isinstance(made, Dynamics) else models.dynamics(made)


def save_model(
    path: str | pathlib.Path,
    kind: str,
    arguments: Mapping[str, Any],
    params: PyTree,
    notes: Mapping[str, Any] | None = None,
) -> pathlib.Path:
    """Write a trained model as one file, whole or not at all.

    Args:
      path: the file, by custom *.npz.
      kind: one of `KINDS`.
      arguments: of its function: numbers, strings, lists, and a normalization.
      params: its weights.
      notes: what else to keep, as JSON has it.

    Raises:
      ValueError: for an unknown kind, or weights of another model.

    Example:
      >>> import tempfile
      >>> path = pathlib.Path(tempfile.mkdtemp()) / "energy.npz"
      >>> arguments = {"num_coordinates": 1, "hidden": [8]}
      >>> params = models.hnn(**arguments).init(jax.random.key(0))
      >>> H = load(save_model(path, "hnn", arguments, params))
      >>> H(jnp.ones(1), jnp.zeros(1)).shape
      ()
    """
    path = pathlib.Path(path)
    plain = dict(arguments)
    if plain.get("normalization") is not None:
        plain["normalization"] = {
            name: np.asarray(x, float).tolist()
            for name, x in plain["normalization"]._asdict().items()
        }
    plain = {k: str(jnp.dtype(x)) if k == "dtype" else x for k, x in plain.items()}
    _check_weights(kind, plain, params)
    head = {"format": FORMAT, "kind": kind, "arguments": plain, "notes": notes or {}}
    leaves: dict[str, Any] = {
        f"leaf{i}": np.asarray(x) for i, x in enumerate(jax.tree.leaves(params))
    }
    written = np.array(json.dumps(head))
    with files.replacing(path) as file:
        np.savez(file, model=written, **leaves)
    return path


def load(path: str | pathlib.Path, kind: str | None = None) -> Learned:
    """A trained model back from its file, ready to be called.

    Args:
      path: of the file, or of the directory with a model.npz in it.
      kind: the kind it must be; None for any.

    Raises:
      FileNotFoundError: where there is no such file.
      ValueError: where it is no model, of a newer format, or of another kind.

    Warns:
      UserWarning: where weights of float64 are rounded to float32, as x64 is off.
    """
    path = pathlib.Path(path)
    path = path / "model.npz" if path.is_dir() else path
    head, leaves = _read(path)
    if kind is not None and head["kind"] != kind:
        raise ValueError(f"{path} holds a model {head['kind']}; expected {kind}.")
    arguments = head["arguments"]
    if arguments.get("dtype") == "float64" and not jax.config.read("jax_enable_x64"):
        warnings.warn(
            f"{path} has weights of float64, and x64 is off: they are rounded to "
            'float32. jax.config.update("jax_enable_x64", True) keeps them.',
            UserWarning,
            stacklevel=2,
        )
        arguments = arguments | {"dtype": "float32"}
    try:
        like = _weights(head["kind"], arguments)
    except TypeError as error:
        raise ValueError(
            f"{path} has arguments that this version's {head['kind']} does not take; "
            "load it with the version that wrote it, or train again."
        ) from error
    if [x.shape for x in jax.tree.leaves(like)] != [x.shape for x in leaves]:
        raise ValueError(
            f"{path} has weights of other shapes than this version's {head['kind']}; "
            "load it with the version that wrote it, or train again."
        )
    params = jax.tree.unflatten(jax.tree.structure(like), leaves)
    return Learned(head["kind"], arguments, params, head["notes"])


def _read(path: pathlib.Path) -> tuple[dict[str, Any], list[Array]]:
    """The head and the weights of a file that is whole, or a ValueError."""
    with path.open("rb") as file:
        try:
            stored = np.load(file, allow_pickle=False)
            names = set(stored.files)
        except (AttributeError, *_DAMAGE) as error:
            raise ValueError(f"{path} is not a model file.") from error
        if "model" not in names:
            raise ValueError(
                f"{path} holds {', '.join(sorted(names)) or 'nothing'}; expected a "
                "model, as jaxphys.checkpoint.save_model writes it."
            )
        # An archive of little size may unpack to any.
        if sum(x.file_size for x in stored.zip.infolist()) > _MOST * _size(file):
            raise ValueError(f"{path} unpacks to far more than a model file does.")
        try:
            head = json.loads(str(stored["model"]))
            known = all(isinstance(head[k], x) for k, x in _HEAD.items())
            leaves = [jnp.asarray(stored[f"leaf{i}"]) for i in range(len(names) - 1)]
        except _DAMAGE as error:
            raise ValueError(
                f"{path} is damaged; take a copy of it, or train again."
            ) from error
    if not known:
        raise ValueError(f"{path} is not a model file.")
    if head["format"] > FORMAT:
        raise ValueError(
            f"{path} has format {head['format']}, this version of jaxphys reads "
            f"up to {FORMAT}; install a newer one."
        )
    return head, leaves


def _size(file: BinaryIO) -> int:
    return os.fstat(file.fileno()).st_size


def _weights(kind: str, arguments: Mapping[str, Any]) -> PyTree:
    """The shapes of a model's weights."""
    return jax.eval_shape(build(kind, arguments).init, jax.random.key(0))


def _check_weights(kind: str, arguments: Mapping[str, Any], params: PyTree) -> None:
    like: Any = _weights(kind, arguments)
    wanted, got = ([x.shape for x in jax.tree.leaves(tree)] for tree in (like, params))
    same: Any = jax.tree.structure(like)
    if same != jax.tree.structure(params) or wanted != got:
        raise ValueError(
            f"the weights have shapes {got}; those of a {kind} with these arguments "
            f"have {wanted}."
        )
