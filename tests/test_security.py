"""What SECURITY.md promises of files that others made, and of where commands write."""

import json
import pathlib
import pickle
import socket

import numpy as np
import pytest
import scipy.io

from jaxphys import checkpoint, cli, data

SMALL = ["--samples", "128", "--batch-size", "32", "--no-progress", "--hidden", "8"]


class Trap:
    """Unpickling it leaves a file behind."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return pathlib.Path.touch, (self.path,)


def swings(path):
    """A table of t, q, p that a model can be fitted to."""
    t = np.linspace(0, 6, 121)
    table = np.stack([t, np.cos(t), -np.sin(t)], 1)
    np.savetxt(path, table, delimiter=",", header="t,q,p", comments="")


def everything(folder):
    """Each file below a folder with its contents."""
    return {x: x.read_bytes() for x in folder.rglob("*") if x.is_file()}


@pytest.mark.parametrize("read", [data.read_trajectories, data.load_trajectories])
@pytest.mark.parametrize("suffix", [".npz", ".npy"])
def test_no_pickle_in_a_data_file_is_read(suffix, read, tmp_path):
    path, sprung = tmp_path / f"trap{suffix}", tmp_path / "sprung"
    trap = np.array([Trap(sprung)] * 3, object)
    if suffix == ".npz":
        np.savez(path, t=trap, q=trap, v=trap)
    else:
        np.save(path, trap)
    with pytest.raises(ValueError, match="trap"):
        read(path)
    path.write_bytes(pickle.dumps(Trap(sprung)))
    with pytest.raises(ValueError, match="trap"):
        read(path)
    assert not sprung.exists()


@pytest.mark.parametrize("name", ["model", "leaf0"])
def test_no_pickle_in_a_model_file_is_read(name, tmp_path):
    path, sprung = tmp_path / "model.npz", tmp_path / "sprung"
    head = {"format": 1, "kind": "hnn", "arguments": {}, "notes": {}}
    arrays = {"model": np.array(json.dumps(head)), "leaf0": np.ones(2)}
    np.savez(path, **arrays | {name: np.array([Trap(sprung)], object)})
    with pytest.raises(ValueError, match=r"model file|damaged"):
        checkpoint.load(path)
    assert not sprung.exists()


def test_no_text_of_a_table_is_evaluated(tmp_path):
    sprung = tmp_path / "sprung"
    code = f"__import__('pathlib').Path({str(sprung)!r}).touch()"
    path = tmp_path / "t.csv"
    path.write_text("t;q;v\n" + "".join(f"{i};{code};{code}\n" for i in range(5)))
    with pytest.raises(ValueError, match=r"t\.csv"):
        data.read_trajectories(path)
    path.write_text(f"t;q;v;{code}\n" + "".join(f"{i};1;1;1\n" for i in range(5)))
    with pytest.warns(UserWarning, match="left out the columns __import__"):
        data.read_trajectories(path)
    assert not sprung.exists()


def test_a_matlab_file_that_unpacks_to_more_than_memory_is_refused(
    tmp_path, monkeypatch
):
    path, columns = tmp_path / "f.mat", {"t": np.arange(1e5), "q": np.zeros(10**5)}
    scipy.io.savemat(path, columns | {"v": columns["q"]}, do_compression=True)
    # Beside the contents an array has a tag and a header of at most 100 bytes.
    enough = 2 * 3 * (8 * 10**5 + 100)
    monkeypatch.setattr("jaxphys.devices.host_memory", lambda: enough)
    (found,) = data.read_trajectories(path)
    assert found.t.shape == (10**5,)
    monkeypatch.setattr("jaxphys.devices.host_memory", lambda: enough - 1000)
    with pytest.raises(ValueError, match=r"f.mat unpacks to 0\.0024 GB; at most"):
        data.read_trajectories(path)
    raw = path.read_bytes()
    path.write_bytes(raw[:300] + bytes(100) + raw[400:])
    with pytest.raises(ValueError, match=r"f\.mat is damaged"):
        data.read_trajectories(path)


def test_a_method_in_foreign_results_is_no_path(tmp_path, monkeypatch, capsys):
    """Results that name a method ../../precious change nothing beside the run."""
    monkeypatch.chdir(tmp_path)
    out, precious = tmp_path / "run", tmp_path / "precious-0"
    precious.mkdir()
    (precious / "5.state").write_text("whole")
    final = {"step": 1, "seconds": 1.0, "status": "running"}
    entry = {"seed": 0, "history": [{"step": 1, "seconds": 1.0}], "final": final}
    name = "../../precious"
    results = {
        "experiment": "oscillators",
        "title": "x",
        "config": {"method": [name], "seed": 0, "steps": 2, "out": ".."},
        "methods": {name: entry},
    }
    out.mkdir()
    (out / "results.json").write_text(json.dumps(results))
    before = everything(tmp_path)
    arguments = ["--resume", "--cache", "off", "--out", str(out)]
    assert cli.main(["run", "oscillators", *arguments]) == 2
    assert "unknown method" in capsys.readouterr().err
    after = everything(tmp_path)
    assert {k: x for k, x in after.items() if out not in k.parents} == {
        k: x for k, x in before.items() if out not in k.parents
    }


COMMANDS = {
    "simulate": ["simulate", "pendulum", "--duration", "1", "--cache", "off"],
    "identify": [
        *("identify", "mass_spring", "--data", "swings.csv", "--cache", "off"),
    ],
    "fit": [
        *("fit", "hnn", "--data", "swings.csv", "--steps", "2", "--hidden", "4"),
        *("--cache", "off", "--no-progress"),
    ],
    "run": ["run", "oscillators", "--method", "adam", "--steps", "2", *SMALL],
}


@pytest.mark.x64
@pytest.mark.parametrize(
    "name",
    [
        x if x == "simulate" else pytest.param(x, marks=pytest.mark.long)
        for x in COMMANDS
    ],
)
def test_a_command_writes_into_out_alone_and_connects_to_nothing(
    name, tmp_path, monkeypatch
):
    def refused(*_):
        raise AssertionError("a command connects to somewhere")

    monkeypatch.setattr(socket.socket, "connect", refused)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    swings(tmp_path / "swings.csv")
    before = everything(tmp_path)
    out = tmp_path / "place" / "out"
    assert cli.main([*COMMANDS[name], "--out", str(out)]) == 0
    new = everything(tmp_path).keys() - before.keys()
    assert new
    assert all(out in path.parents for path in new)
    if name == "fit":
        written = tmp_path / "place" / "follow" / "table.csv"
        arguments = ["--state", "1", "0", "--duration", "1", "--out", str(written)]
        assert cli.main(["predict", str(out), *arguments]) == 0
        assert everything(tmp_path).keys() - before.keys() - new == {written}


def test_a_law_is_code_and_said_to_be(tmp_path):
    text = (pathlib.Path(__file__).parents[1] / "SECURITY.md").read_text()
    assert "FILE.py:NAME` run FILE.py" in text
    ran = tmp_path / "ran"
    law = tmp_path / "law.py"
    law.write_text(f"import pathlib\npathlib.Path({str(ran)!r}).touch()\n")
    assert cli.main(["check", f"{law}:energy"]) == 2
    assert ran.exists()
