"""States on disk: whole or refused, in one sentence that says what to do."""

import errno
import json
import pathlib
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxphys import checkpoint, files, models, optim, training

MODEL = models.mlp((2, 4, 1))


def state_of(tx, model=MODEL):
    return training.init_state(model.init(jax.random.key(1)), tx)


ADAM = state_of(optax.adam(1e-2))
NOTES = {"history": [{"step": 0, "loss": 0.5}]}


def same(a, b):
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return all(
        x.dtype == y.dtype and np.array_equal(np.asarray(x), np.asarray(y))
        for x, y in pairs
    )


def one_sentence(raised) -> str:
    """What an error says; it is one line that ends as sentences do."""
    said = str(raised.value)
    assert "\n" not in said
    assert said.endswith(".")
    assert len(said) < 500
    return said


def test_the_newest_three_are_kept_and_leftovers_go(tmp_path):
    for step in range(5):
        (tmp_path / f"{step}.state.0a0b0c0d.part").touch()
        checkpoint.save(tmp_path, step, ADAM, NOTES)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "2.state",
        "3.state",
        "4.state",
    ]
    assert checkpoint.latest_step(tmp_path) == 4
    checkpoint.clear(tmp_path)
    assert not checkpoint.exists(tmp_path)


def test_every_kind_of_array_comes_back_as_it_was(tmp_path):
    state = {
        "half": jnp.ones((2, 3), jnp.bfloat16),
        "empty": jnp.zeros((0, 4), jnp.float32),
        "scalar": jnp.asarray(-7, jnp.int32),
        "flag": jnp.array([True, False]),
        "complex": jnp.array([1 + 2j], jnp.complex64),
        "not finite": jnp.array([jnp.nan, jnp.inf], jnp.float32),
        "key": jax.random.key(3),
        "host": np.arange(4, dtype=np.int16),
    }
    checkpoint.save(tmp_path, 1, state, {})
    like = jax.tree.map(lambda x: x, state) | {"key": jax.random.key(0)}
    back, _ = checkpoint.restore(tmp_path, like)
    assert jnp.array_equal(*(jax.random.key_data(x["key"]) for x in (back, state)))
    del back["key"], state["key"]
    for name, x in state.items():
        assert back[name].dtype == x.dtype, name
        assert np.asarray(back[name]).tobytes() == np.asarray(x).tobytes(), name


def test_what_comes_back_is_not_bound_to_a_device(tmp_path):
    """Else the loop that was compiled for the first state would be compiled again."""
    checkpoint.save(tmp_path, 1, ADAM, {})
    back, _ = checkpoint.restore(tmp_path, ADAM)
    assert not any(x.committed for x in jax.tree.leaves(back))
    device = jax.devices()[0]
    back, _ = checkpoint.restore(tmp_path, jax.device_put(ADAM, device))
    assert all(x.committed for x in jax.tree.leaves(back))


def test_a_file_cut_short_anywhere_is_refused_and_the_one_before_is_offered(tmp_path):
    checkpoint.save(tmp_path, 1, ADAM, NOTES)
    path = checkpoint.save(tmp_path, 2, ADAM, NOTES)
    whole = path.read_bytes()
    for length in [*range(0, 40), len(whole) // 2, len(whole) - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"1\.state, is whole: remove 2") as raised:
            checkpoint.restore(tmp_path, ADAM)
        one_sentence(raised)
    path.unlink()
    assert same(checkpoint.restore(tmp_path, ADAM)[0], ADAM)


def test_a_changed_bit_anywhere_is_found(tmp_path):
    path = checkpoint.save(tmp_path, 2, ADAM, NOTES)
    whole = path.read_bytes()
    places = np.random.default_rng(0).integers(0, len(whole), 60)
    for place in [*range(0, 40), *places.tolist(), len(whole) - 1]:
        damaged = bytearray(whole)
        damaged[place] ^= 1 << (place % 8)
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="start anew in another") as raised:
            checkpoint.restore(tmp_path, ADAM)
        one_sentence(raised)


class Trap:
    """Unpickling it would leave a file behind."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return pathlib.Path.touch, (self.path,)


def test_nothing_in_a_file_is_run(tmp_path):
    sprung = tmp_path / "sprung"
    (tmp_path / "5.state").write_bytes(pickle.dumps(Trap(sprung)))
    with pytest.raises(ValueError, match="does not begin as a training state does"):
        checkpoint.restore(tmp_path, ADAM)
    assert not sprung.exists()


def test_a_newer_layout_asks_for_a_newer_version(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint.states, "STATE_FORMAT", 3)
    checkpoint.save(tmp_path, 1, ADAM, {})
    monkeypatch.undo()
    with pytest.raises(ValueError, match=r"has layout 3.*install a newer") as raised:
        checkpoint.restore(tmp_path, ADAM)
    one_sentence(raised)


OTHERS = {
    "another optimizer: it has opt_state": lambda: state_of(optax.sgd(0.1)),
    "another optimizer: it lacks opt_state.damping": lambda: state_of(
        optim.levenberg_marquardt()
    )._replace(params=ADAM.params),
    "another shape: params": lambda: state_of(optax.adam(1e-2), models.mlp((2, 5, 1))),
    "another network: it lacks params": lambda: state_of(
        optax.adam(1e-2), models.mlp((2, 4, 4, 1))
    ),
    "another dtype: params": lambda: jax.tree.map(
        lambda x: x.astype(jnp.float16) if x.dtype == jnp.float32 else x, ADAM
    ),
}


@pytest.mark.parametrize("words", OTHERS)
def test_the_state_of_another_training_is_refused_by_name(words, tmp_path):
    checkpoint.save(tmp_path, 1, ADAM, NOTES)
    like = OTHERS[words]()
    if "optimizer: it lacks" in words:
        checkpoint.save(tmp_path, 2, ADAM._replace(opt_state=()), NOTES)
    with pytest.raises(ValueError, match=words) as raised:
        checkpoint.restore(tmp_path, like)
    assert "start anew in another directory" in one_sentence(raised)


def test_states_of_the_layout_before_are_read(tmp_path):
    """As versions up to 0.1 wrote them, by orbax."""
    ocp = pytest.importorskip("orbax.checkpoint")
    items = ocp.args.Composite(
        state=ocp.args.StandardSave(ADAM), notes=ocp.args.JsonSave(NOTES)
    )
    options = ocp.CheckpointManagerOptions(enable_async_checkpointing=False)
    with ocp.CheckpointManager(tmp_path, options=options) as manager:
        manager.save(12, args=items, force=True)
    assert checkpoint.latest_step(tmp_path) == 12
    back, notes = checkpoint.restore(tmp_path, ADAM)
    assert same(back, ADAM)
    assert notes == NOTES
    assert not any(x.committed for x in jax.tree.leaves(back))
    with pytest.raises(ValueError, match="another optimizer or network") as raised:
        checkpoint.restore(tmp_path, state_of(optax.sgd(0.1)))
    one_sentence(raised)
    checkpoint.save(tmp_path, 13, ADAM, NOTES, keep=1)
    assert [p.name for p in tmp_path.iterdir()] == ["13.state"]


def test_a_write_that_fails_leaves_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "results.json"
    path.write_text("before")

    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with (
        pytest.raises(OSError, match=r"No space left.*results\.json") as raised,
        files.replacing(path) as file,
    ):
        file.write(b"after")
    assert "no space is left" in files.trouble(raised.value)
    assert path.read_text() == "before"
    assert [p.name for p in tmp_path.iterdir()] == ["results.json"]


def test_a_header_is_plain_json(tmp_path):
    path = checkpoint.save(tmp_path, 7, ADAM, NOTES)
    raw = path.read_bytes()
    assert raw.startswith(b"jaxphys state 2\n")
    size, length = np.frombuffer(raw[16:32], "<u8")
    assert size == len(raw)
    header = json.loads(raw[32 : 32 + int(length)])
    assert header["step"] == 7
    assert header["notes"] == NOTES
    assert header["arrays"][0][1:] == ["float32", [4]]
