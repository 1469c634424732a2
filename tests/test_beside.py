"""A law and what it misses, found together."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxphys import data, integrators, learning, systems
from jaxphys.types import PhaseState, Trajectories

pytestmark = [pytest.mark.x64, pytest.mark.xdist_group("beside")]

GRAVITY, LENGTH = 9.81, 0.7


def swings(linear, square, noise=0.005):
    """Two records of a pendulum of mass one under a friction of two terms."""

    def field(t, y, args):
        loss = linear * y[1] + square * y[1] * jnp.abs(y[1])
        pull = -GRAVITY / LENGTH * jnp.sin(y[0])
        return jnp.stack([y[1], pull - loss / LENGTH**2])

    random, t, seen = np.random.default_rng(0), np.linspace(0, 12, 241), []
    step = jax.jit(
        lambda y: integrators.rollout(
            integrators.rk4(field), y, dt=t[1], num_steps=240, substeps=10
        )
    )
    for start in ([2.2, 0.0], [0.8, 3.0]):
        path = np.asarray(step(jnp.array(start)))
        path = path + noise * random.normal(size=path.shape) * [1, 4]
        seen += data.trajectories_from({"t": t, "q": path[:, 0], "v": path[:, 1]})
    return seen


def found_of(seen, learned):
    constants = {"length": 1.0, "mass": 1.0, "gravity": GRAVITY}
    return learning.known_and_learned(
        systems.pendulum,
        seen,
        constants,
        fixed=["mass", "gravity"],
        learned=learned,
        hidden=(6,),
    )


@pytest.mark.long
@pytest.mark.parametrize(
    ("learned", "friction", "most"),
    [("friction", (0.15, 0.12), 0.05), ("force", (0.03, 0.02), 0.15)],
)
def test_a_friction_that_the_law_misses_is_found_beside_its_length(
    learned, friction, most
):
    """Strong, of velocities alone; and weak, of positions and velocities."""
    linear, square = friction
    seen = swings(linear, square)
    found = found_of(seen, learned)
    assert found.joined
    assert found.constants["length"] == pytest.approx(LENGTH, rel=0.01)
    error = found.standard_errors["length"]
    assert abs(found.constants["length"] - LENGTH) < 3 * error
    assert found.standard_errors["mass"] == 0
    q, v = (np.concatenate([x.y[i][0] for x in seen]) for i in (0, 1))
    force = jax.vmap(found.force)(jnp.asarray(q), jnp.asarray(v))
    wanted = -(linear * v + square * v * np.abs(v))
    off = np.sqrt(np.mean((force - wanted) ** 2) / np.mean(wanted**2))
    assert off < most
    share = np.sqrt(np.mean(wanted**2)) / LENGTH**2 / found.known_rms
    np.testing.assert_allclose(found.share, share, rtol=0.1)
    assert "rms of the known and of the learned acceleration" in str(found)


@pytest.mark.long
def test_a_term_of_an_energy_keeps_it():
    """H = p²/2 + k q²/2 is known, q⁴/4 is not."""

    def spring(c, q, p):
        return p @ p / 2 + c["k"] * q @ q / 2

    def field(t, y, args):
        return jnp.stack([y[1], -2 * y[0] - y[0] ** 3])

    t = np.linspace(0, 6, 61)
    step = integrators.rk4(field)
    path = integrators.rollout(
        step, jnp.array([1.3, 0.0]), dt=t[1], num_steps=60, substeps=5
    )
    path = path + 0.005 * np.random.default_rng(0).normal(size=path.shape)
    y = PhaseState(*(np.array(x)[None, :, None] for x in path.T))
    found = learning.known_and_learned(
        spring,
        [Trajectories(t, y)],
        {"k": 1.0},
        learned="energy",
        hidden=(4,),
    )
    assert found.rms < 0.01
    energies = jax.jit(jax.vmap(found.law))(jnp.asarray(y.q[0]), jnp.asarray(y.p[0]))
    assert np.ptp(energies) < 0.03 * np.max(y.p[0] ** 2) / 2
    with pytest.raises(ValueError, match=r"call \.learned in its place"):
        found.force(y.q[0, 0], y.p[0, 0])


def test_what_is_left_over_the_noise_is_told():
    """A friction of velocities alone is no constant force."""
    t = np.linspace(0, 6, 61)
    q = 1.0 + np.cos(t) + 0.3 * np.cos(4.3 * t)
    noisy = q + 0.001 * np.random.default_rng(0).normal(size=len(q))
    v = -np.sin(t) - 1.29 * np.sin(4.3 * t)
    seen = data.trajectories_from({"t": t, "q": noisy, "v": v})
    found = learning.known_and_learned(
        systems.mass_spring, seen, fixed=["mass"], hidden=(2,), steps=4
    )
    assert "times the noise of the data: the law misses something" in str(found)


def test_what_cannot_be_learned_beside_a_law_is_told():
    t = np.linspace(0, 6, 61)
    seen = data.trajectories_from({"t": t, "q": np.cos(t), "v": -np.sin(t)})
    known = systems.mass_spring
    with pytest.raises(ValueError, match="Did you mean 'friction'"):
        learning.known_and_learned(known, seen, learned="frictio")
    with pytest.raises(ValueError, match="Did you mean 'mass'"):
        learning.known_and_learned(known, seen, fixed=["mas"])

    def field(t, y, c):
        return jnp.stack([y[1], -c["k"] * y[0]])

    with pytest.raises(ValueError, match="of a vector field"):
        learning.known_and_learned(field, seen, {"k": 1.0}, learned="energy")
