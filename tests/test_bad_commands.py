"""Command lines that make no sense: status 2, one sentence, and nothing left behind."""

import jax
import numpy as np
import pytest
from bad_commands import cases

from jaxphys import checkpoint, cli

pytestmark = pytest.mark.x64

EVERY = list(cases())


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Files that the command lines name."""
    folder = tmp_path_factory.mktemp("commands")
    (folder / "folder").mkdir()
    (folder / "law.py").write_text("def energy(x):\n    return x @ x\n")
    t = np.linspace(0, 6, 121)
    table = np.stack([t, np.cos(t), -np.sin(t)], 1)
    path = folder / "swings.csv"
    np.savetxt(path, table, delimiter=",", header="t,q,p", comments="")
    arguments = {"num_coordinates": 1, "hidden": [4]}
    params = checkpoint.build("hnn", arguments).init(jax.random.key(0))
    checkpoint.save_model(folder / "model.npz", "hnn", arguments, params)
    return folder


def trouble(case, place, capsys) -> str:
    """What is wrong with how a command line ends; nothing where it is as it should."""
    before = sorted(place.rglob("*"))
    status = cli.main(list(case))
    said = capsys.readouterr().err.strip()
    if status != 2:
        return f"{case} ended with {status}: {said}"
    if not said.startswith("jaxphys: ") or "\n" in said or "Traceback" in said:
        return f"{case} said {said!r}"
    option = next((x for x in reversed(case) if x.startswith("--")), case[-1])
    name = option.removeprefix("--").replace("-", "_")
    words = [option, name, name.replace("_", " "), case[-1] or "expected"]
    words += ["expected", "known", "no ", "needs", "takes", "missing", "is not a"]
    if not any(word in said for word in words):
        return f"{case} does not name what is wrong: {said!r}"
    return f"{case} leaves files" if sorted(place.rglob("*")) != before else ""


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (("simulate", "pendulum"), "1 trajectories of 1001 states need about 0.0001"),
        (("fit", "hnn", "--data", "swings.csv"), "121 rows need about 7.84e-05 GB"),
    ],
)
def test_more_than_memory_holds_is_told_before_it_is_begun(
    line, says, place, monkeypatch, capsys
):
    monkeypatch.chdir(place)
    monkeypatch.setattr("jaxphys.devices.host_memory", lambda: 1000.0)
    before = sorted(place.rglob("*"))
    assert cli.main(list(line)) == 2
    said = capsys.readouterr().err
    assert says in said
    assert "there are 1e-06 GB; " in said
    assert sorted(place.rglob("*")) == before


def test_the_table_of_command_lines_is_large():
    assert len(set(EVERY)) == len(EVERY) > 400


@pytest.mark.parametrize(
    "part",
    [0, *(pytest.param(i, marks=pytest.mark.long) for i in range(1, 5))],
)
def test_command_lines_that_make_no_sense_are_refused(part, place, monkeypatch, capsys):
    monkeypatch.chdir(place)
    found = [trouble(case, place, capsys) for case in EVERY[part::5]]
    assert not any(found), "\n".join(filter(None, found))
