"""What `jaxphys identify --learned` shows of a law and of what it misses."""

import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from jaxphys import data, mechanics, plots
from jaxphys.commands.pages import figures, number, paragraph, section, table
from jaxphys.learning.beside import KnownAndLearned
from jaxphys.learning.shooting.rollouts import deviations
from jaxphys.types import Array, TangentState

__all__ = ["draw_learned", "learned_section"]

#: Measured states at which the learned part is drawn.
_POINTS = 200

#: What is learned, in words.
_WORDS = {
    "friction": "a friction, of velocities alone",
    "force": "a force, of positions and velocities",
    "energy": "a term of the energy",
}


def draw_learned(found: KnownAndLearned, look: data.Look, path: pathlib.Path) -> None:
    """The learned part at measured states, with its standard errors.

    A friction is drawn over velocities or momenta, all else over positions. Beside a
    Lagrangian it is a force, M(q, v) f_θ(q, v).

    Args:
      found: the law and what was learned.
      look: the measured motions.
      path: the PNG file.
    """
    bound, network = found.law, found.network
    law, part, friction = bound.law, network.part, network.learned == "friction"
    k = len(found.constants)
    _, unravel = ravel_pytree(network.weights)
    symbol = law.state._fields[1]
    z = np.concatenate([np.concatenate(x.y, axis=2)[0] for x in look.trajectories])
    z = z[np.linspace(0, len(z) - 1, min(len(z), _POINTS)).astype(int)]
    c = jnp.asarray(bound.c)
    entered = jax.jit(jax.vmap(law.enter, (None, 0)))(c, jnp.asarray(z))
    lagrangian = law.lagrangian

    def value(c: Array, z: Array) -> Array:
        weights, (q, rate) = unravel(c[k:]), jnp.split(z, 2)
        if part.energy is not None:
            return part.energy(weights, q, rate)[None]
        added: Any = part.rate
        if lagrangian is None:
            return added(weights, q, rate)
        return mechanics.mass_matrix(lagrangian)(c, q, rate) @ added(weights, q, rate)

    def values(c: Array) -> Array:
        found = jax.vmap(value, (None, 0))(c, entered)
        # An energy has no zero of its own.
        found = found if part.energy is None else found - jnp.mean(found)
        return found.reshape(-1)

    shape = (len(z), 1 if part.energy is not None else z.shape[1] // 2)
    drawn = np.asarray(jax.jit(values)(c)).reshape(shape)
    errors = None
    if np.any(bound.covariance):
        errors = deviations(values, bound.c, bound.covariance).reshape(shape)
    q, rate = np.split(np.asarray(entered), 2, axis=1)
    labels = ("position $q$ [as in the data]", f"${symbol}$ [as in the data]")
    figure = plots.learned_part(
        rate if friction else q,
        drawn,
        errors,
        labels=(labels[friction], f"learned {_quantity(found)}"),
        shade=None if friction else (labels[1], rate),
    )
    plots.save(figure, path)


def _quantity(found: KnownAndLearned) -> str:
    """What is drawn, with its unit."""
    if found.network.learned == "energy":
        return "energy less its mean [units of the law]"
    law = found.law.law
    if law.lagrangian is None and law.state is TangentState:
        return "acceleration [as in the data]"
    return "force [units of the law]"


def learned_section(found: KnownAndLearned, out: pathlib.Path) -> str:
    """What was learned beside the constants, for report.html.

    Args:
      found: the law and what was learned.
      out: the directory, with motion.png and learned.png.
    """
    numbers = zip(found.known_rms, found.learned_rms, found.share, strict=True)
    shares = [
        [str(i + 1), number(known), number(more), number(share, 2)]
        for i, (known, more, share) in enumerate(numbers)
    ]
    over = found.law.law.state._fields[1]
    over = over if found.network.learned == "friction" else "positions"
    return section(
        "What was learned",
        paragraph(
            f"Learned is {_WORDS[found.network.learned]}. The data determine "
            f"{found.determined:.0f} of the {found.weights} weights of its "
            "network. Below are the accelerations, or the rates of p, by each "
            "part, root mean square along the data."
        ),
        table([["coordinate", "known", "learned", "share"], *shares]),
        figures(
            out,
            {
                "learned.png": f"The learned part over {over}, at measured states, "
                "with one standard error.",
                "motion.png": "The longest motion, and the law's.",
            },
        ),
        paragraph(f"What is left of all columns: {found.rms:.4g}, rms."),
    )
