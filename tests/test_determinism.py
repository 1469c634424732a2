"""The same numbers again: by the same seed, in another process, with and without jit.

And with what JAX offers to those who look for faults: leaked tracers and the first NaN.
"""

import os
import subprocess
import sys

import every_computation
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxphys import cli, integrators, mechanics, problems, systems
from jaxphys.types import PhaseState

RUN = (
    "run",
    "oscillators",
    "--samples",
    "64",
    "--batch-size",
    "32",
    "--steps",
    "3",
    "--hidden",
    "8",
)


def run(out, *options):
    arguments = [*RUN, "--no-progress", "--out", str(out), *options]
    assert cli.main(arguments) == 0


def arrays(directory, name):
    """What the newest state of a training has in it, in bytes."""
    states = (directory / "checkpoints" / name).glob("*.state")
    newest = max(states, key=lambda path: int(path.stem))
    raw = newest.read_bytes()
    begin = raw.index(b"\n") + 1
    length = int.from_bytes(raw[begin + 8 : begin + 16], "little")
    return raw[begin + 16 + length : -32]


def trainings(directory):
    return sorted(path.name for path in (directory / "checkpoints").iterdir())


@pytest.mark.long
@pytest.mark.x64
def test_a_seed_gives_the_same_bits_alone_and_among_others(tmp_path):
    methods = ("--method", "adam", "levenberg_marquardt")
    run(tmp_path / "both", *methods, "--seeds", "2")
    run(tmp_path / "second", *methods, "--seed", "1")
    for method in methods[1:]:
        several = [n for n in trainings(tmp_path / "both") if n.startswith(method)]
        alone = [n for n in trainings(tmp_path / "second") if n.startswith(method)]
        found = {arrays(tmp_path / "both", name) for name in several}
        assert len(found) > 1
        assert found > {arrays(tmp_path / "second", name) for name in alone}


@pytest.mark.long
@pytest.mark.x64
def test_another_process_gives_the_same_bits(tmp_path):
    command = [sys.executable, "-m", "jaxphys.cli", *RUN, "--method", "hig"]
    for seed, out in (("1", "there"), ("2", "again")):
        subprocess.run(
            [*command, "--no-progress", "--out", str(tmp_path / out)],
            env=os.environ | {"PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
        )
    (name,) = (n for n in trainings(tmp_path / "there") if n.count("-") == 1)
    assert arrays(tmp_path / "there", name) == arrays(tmp_path / "again", name)


@pytest.mark.long
def test_every_method_trains_where_the_first_nan_is_an_error(tmp_path):
    with jax.debug_nans(True):
        run(tmp_path / "run", "--method", "all")


def test_no_tracer_leaks_from_what_closes_over_others():
    problem = problems.oscillator_control(2, num_steps=4)
    inputs, _ = problem.sample(jax.random.key(0), 1)
    with jax.checking_leaks():
        jax.eval_shape(
            jax.grad(lambda u: problem.simulate(u, inputs[0]).sum()), jnp.ones(4)
        )


@pytest.mark.long
def test_a_rollout_is_the_same_with_and_without_jit():
    system = systems.double_pendulum()
    step = integrators.rk4(mechanics.vector_field(system))
    y = PhaseState(jnp.array([0.4, -0.2]), jnp.array([0.1, 0.3]))

    def path(y):
        return integrators.rollout(step, y, dt=0.01, num_steps=20, args=system.params)

    eager, compiled = path(y), jax.jit(path)(y)
    tiny = 50 * np.finfo(np.asarray(y.q).dtype).eps
    np.testing.assert_allclose(eager.q, compiled.q, rtol=tiny, atol=tiny)
    with jax.disable_jit():
        np.testing.assert_allclose(path(y).p, compiled.p, rtol=tiny, atol=tiny)


@pytest.mark.long
@pytest.mark.x64
def test_every_computation_is_the_same_with_and_without_jit():
    def doubled(x):
        real = jnp.issubdtype(jnp.result_type(x), jnp.floating)
        return jnp.asarray(x, float) if real else x

    for room in (every_computation.of_mechanics, every_computation.of_linalg):
        for name, function, arguments in room():
            if "of rollouts" in name or "of a rollout" in name:
                continue
            arguments = jax.tree.map(doubled, arguments)
            pairs = zip(
                jax.tree.leaves(function(*arguments)),
                jax.tree.leaves(jax.jit(function)(*arguments)),
                strict=True,
            )
            for eager, compiled in pairs:
                np.testing.assert_allclose(
                    eager, compiled, rtol=1e-7, atol=1e-9, err_msg=name
                )
