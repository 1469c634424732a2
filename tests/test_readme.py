"""What README and guides show runs as it stands there, smaller where it takes long."""

import pathlib
import re

import jax.numpy as jnp
import numpy as np
import pytest

ROOT = pathlib.Path(__file__).parent.parent


def code(page, heading):
    """The first Python of a section."""
    text = (ROOT / page).read_text(encoding="utf-8")
    section = text[text.index(heading) :]
    return re.search(r"```python\n(.*?)```", section, re.DOTALL).group(1)


def run(source, **smaller):
    for old, new in smaller.values():
        assert source.count(old) >= 1
        source = source.replace(old, new)
    names = {}
    exec(source, names)
    return names


def test_the_readme_is_short():
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 200


def test_every_file_that_the_readme_names_is_there():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    links = [x for x in re.findall(r"\]\(([^)]+)\)", text) if "://" not in x]
    assert links
    assert [x for x in links if not (ROOT / x).exists()] == []


def test_an_energy_becomes_a_motion():
    names = run(
        code("README.md", "## From an energy to motion"),
        batch=("1000)[", "20)["),
        ones=("zeros((1000", "zeros((20"),
        steps=("num_steps=1000", "num_steps=50"),
    )
    states = names["states"]
    assert states.q.shape == (20, 51, 1)
    energies = states.v[..., 0] ** 2 / 2 - 9.8 * jnp.cos(states.q[..., 0])
    np.testing.assert_allclose(energies, energies[:, :1] + 0 * energies, rtol=1e-4)


def test_the_energy_of_a_motion_is_followed_and_drawn(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    section = code("docs/guides/mechanics.md", "## How well is energy conserved?")
    names = run(section, steps=("num_steps=1000", "num_steps=20"), n=("1001", "21"))
    acceleration, error = capsys.readouterr().out.splitlines()
    assert float(acceleration.strip("[]")) == pytest.approx(-9.8 * np.sin(1), rel=1e-5)
    np.testing.assert_allclose(names["energies"], -9.8 * np.cos(1), rtol=1e-5)
    assert float(error) < 1e-5
    assert (tmp_path / "energy.png").stat().st_size > 1000
    assert (tmp_path / "portrait.png").stat().st_size > 1000


def test_the_constants_of_a_law_come_from_a_table(tmp_path, monkeypatch):
    """x″ = −(k/m) x − (r/m) x′ + u/m with m = 1, k = 4 and r = 0.1, measured."""
    t = np.linspace(0, 10, 301)
    push = np.where(t < 5, 1.0, 0.0)
    rate = 0.05
    frequency = np.sqrt(4 - rate**2)

    def free(x, v, s):
        a, b = x, (v + rate * x) / frequency
        decay = np.exp(-rate * s)
        shape = a * np.cos(frequency * s) + b * np.sin(frequency * s)
        turn = -a * np.sin(frequency * s) + b * np.cos(frequency * s)
        return decay * shape, decay * (frequency * turn - rate * shape)

    first, v1 = free(1 - 0.25, 0.0, t)
    held, vh = free(1 - 0.25, 0.0, 5.0)
    second, v2 = free(held + 0.25, vh, t - 5)
    x = np.where(t < 5, first + 0.25, second)
    v = np.where(t < 5, v1, v2)
    table = np.column_stack([t, x, v, push])
    np.savetxt(
        tmp_path / "cart.csv",
        table,
        delimiter=",",
        header="t,height,v,push",
        comments="",
    )
    monkeypatch.chdir(tmp_path)
    names = run(code("README.md", "## Your own measurements"))
    assert float(names["found"].constants["stiffness"]) == pytest.approx(4, rel=1e-2)
    assert float(names["found"].constants["mass"]) == pytest.approx(1, rel=1e-2)


@pytest.mark.long
def test_the_guides_train(tmp_path):
    names = run(code("docs/guides/control.md", "# Train"), epochs=("=20", "=2"))
    assert names["fit"].history[-1]["step"] == 256
    names = run(code("docs/guides/devices.md", "# Many"), steps=("=100", "=2"))
    assert names["fit"].history[-1]["step"] == 2
    names = run(code("docs/guides/hamiltonian.md", "# Learn"), steps=("=500", "=100"))
    assert bool(jnp.all(jnp.isfinite(names["path"].q)))
    names = run(
        code("docs/guides/lagrangian.md", "# Learn"),
        states=("8192", "1024"),
        seconds=("seconds=60", "steps=8"),
        growth=("(64, 128, 256)", "()"),
    )
    q = jnp.array([0.3, -0.2])
    rate = names["accelerate"](names["weights"], q, jnp.zeros(2))
    assert bool(jnp.all(jnp.isfinite(rate)))


@pytest.mark.long
def test_the_policies_of_the_guide_act():
    """Van der Pol's costs 8.393 from (2, 2) at best; the pole's 0.519 on average."""
    page = "docs/guides/feedback.md"
    path = run(code(page, "# Feedback"))["path"]
    cost = 0.1 * (jnp.sum(path.y[:-1] ** 2) + 0.1 * jnp.sum(path.u**2))
    assert float(cost) < 8.393 * 1.002
    names = run(code(page, "## Horizons"))
    fit, outputs = names["fit"], names["outputs"]
    starts, _ = names["data"]
    rows = np.asarray([outputs(fit.state.params, start) for start in starts[:8]])
    assert np.all(np.sum(rows**2, axis=1) < 2)


@pytest.mark.x64
def test_equations_of_ones_own_are_solved():
    page = (ROOT / "docs/guides/equations.md").read_text(encoding="utf-8")
    source = "\n".join(re.findall(r"```python\n(.*?)```", page, re.DOTALL))
    names = run(
        source,
        budget=(
            "seconds=4",
            'methods="levenberg_marquardt", steps=300, progress=False',
        ),
    )
    exact = 1 / (1 + 99 * jnp.exp(-names["t"]))
    assert jnp.max(jnp.abs(names["solved"] - exact)) < 1e-4
    assert names["by_rows"].num_outputs == 3
