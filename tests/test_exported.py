"""A motion that was exported runs without jaxphys, and is what it was."""

import json
import pathlib
import re
import subprocess
import sys
import textwrap

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export

from jaxphys import checkpoint, cli, motion, systems
from jaxphys.learning.constants import identify
from jaxphys.types import PhaseState, TangentState, Trajectories

pytestmark = pytest.mark.xdist_group("exported")

GUIDE = pathlib.Path(__file__).parents[1] / "docs" / "guides" / "saving.md"
#: Where `import jaxphys` fails, whatever the path is.
ALONE = 'import sys; sys.modules["jaxphys"] = None\n'


def model_in(folder, kind="hnn", **more):
    given = {"num_coordinates": 1, "hidden": [4], "dtype": "float32"} | more
    params = checkpoint.build(kind, given).init(jax.random.key(1))
    checkpoint.save_model(folder / "model.npz", kind, given, params)
    return checkpoint.load(folder)


def functions_of(path):
    with np.load(path) as file:
        about = json.loads(str(file["about"]))
        read = {k: bytearray(file[k]) for k in about["functions"]}
    return about, {name: export.deserialize(x) for name, x in read.items()}


def test_the_snippet_of_the_guide_runs_without_jaxphys(tmp_path):
    """In a process in which jaxphys cannot be imported, with the same numbers."""
    H = model_in(tmp_path)
    assert cli.main(["export", str(tmp_path), "--out", str(tmp_path / "law.npz")]) == 0
    text = GUIDE.read_text(encoding="utf-8")
    (snippet,) = re.findall(r"(?ms)^```python\n(import jax\nimport numpy.*?)^```", text)
    assert len([x for x in snippet.splitlines() if x.strip()]) <= 10
    assert "jaxphys" not in snippet
    shown = "print(dq.tolist(), dp.tolist(), energy.call(q, p).tolist(), sep='\\n')"
    code = ALONE + textwrap.dedent(snippet) + shown + "\nimport jaxphys"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr.rstrip().endswith("None in sys.modules"), done.stderr
    dq, dp, energies = (json.loads(x) for x in done.stdout.splitlines()[-3:])
    at = PhaseState(jnp.ones(1, "float32"), jnp.ones(1, "float32"))
    rate = H.dynamics.vector_field(0.0, at, H.params)
    np.testing.assert_allclose(dq, np.tile(rate.q, (5, 1)), rtol=1e-5)
    np.testing.assert_allclose(dp, np.tile(rate.p, (5, 1)), rtol=1e-5)
    np.testing.assert_allclose(energies, np.full(5, H(*at)), rtol=1e-5)


@pytest.mark.parametrize(
    "kind", ["neural_ode", pytest.param("delan", marks=pytest.mark.long)]
)
def test_inputs_platforms_and_derivatives_come_along(kind, tmp_path):
    learned = model_in(tmp_path, kind, num_controls=1)
    path = checkpoint.export_motion(
        tmp_path / "a.npz", learned.dynamics, learned.params, 1, about={"of": "a test"}
    )
    about, functions = functions_of(path)
    assert about["of"] == "a test"
    assert about["num_controls"] == 1
    assert ("energy" in functions) == (kind != "neural_ode")
    field = functions["vector_field"]
    assert set(field.platforms) == set(checkpoint.PLATFORMS)
    q, x, u = (jnp.full((3, 1), value, "float32") for value in (0.3, -0.7, 2.0))
    state = learned.dynamics.state

    def direct(q):
        args = (learned.params, u[0])
        return learned.dynamics.vector_field(0.0, state(q, x[0]), args)[1][0]

    found = field.call(jnp.float32(0), q, x, u)
    np.testing.assert_allclose(found[1][0, 0], direct(q[0]), rtol=1e-5)
    slope = jax.grad(lambda q: jnp.sum(field.call(jnp.float32(0), q, x, u)[1]))(q)
    np.testing.assert_allclose(slope[0], jax.grad(direct)(q[0]), rtol=1e-4)


@pytest.mark.x64
def test_an_identified_law_is_exported_with_its_constants(tmp_path):
    t = np.linspace(0, 6, 61)
    q, v = np.cos(1.5 * t)[None, :, None], -1.5 * np.sin(1.5 * t)[None, :, None]

    def spring(c, q, v):
        return v @ v / 2 - c["k"] * q @ q / 2

    found = identify(spring, [Trajectories(t, TangentState(q, v))], {"k": 2.0})
    law = found.bound()
    path = checkpoint.export_motion(tmp_path / "a.npz", law.dynamics, law.params, 1)
    about, functions = functions_of(path)
    assert about["state"] == ["q", "v"]
    q = np.array([[1.0], [2.0]])
    _, a = functions["vector_field"].call(np.float64(0), q, q)
    np.testing.assert_allclose(a, -2.25 * q, rtol=1e-6)
    energies = functions["energy"].call(q, q)
    np.testing.assert_allclose(energies, 3.25 * q[:, 0] ** 2 / 2, rtol=1e-6)


def test_what_cannot_be_exported_is_told(tmp_path, capsys):
    spring = systems.mass_spring()
    dynamics = motion.of_system(spring)
    with pytest.raises(ValueError, match=r"expected a name that ends in \.npz"):
        checkpoint.export_motion(tmp_path / "a.zip", dynamics, spring.params, 1)
    with pytest.raises(ValueError, match="float16"):
        checkpoint.export_motion(
            tmp_path / "a.npz", dynamics, spring.params, 1, dtype="float16"
        )
    assert cli.main(["export"]) == 2
    assert cli.main(["export", str(tmp_path / "none")]) == 2
    assert "none" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
