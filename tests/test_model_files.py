"""A model that was trained comes back from its file as what it was."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxphys import checkpoint, mechanics, models
from jaxphys.types import PhaseState, TangentState

UNITS = models.Normalization(
    *(np.array(x) for x in ([0.0, 0.5], [1, 2], [3, 0.5], [2, 1], [1, 4]))
)
SMALL = {
    "num_coordinates": 2,
    "hidden": [6, 5],
    "periodic": [True, False],
    "normalization": UNITS,
}
MORE = {
    "port_hamiltonian": {"num_controls": 1, "dissipation": True},
    "neural_ode": {"num_controls": 1, "activation": "relu"},
    "second_order": {"activation": "softplus"},
}
ENERGIES = sorted(set(checkpoint.KINDS) - {"neural_ode", "second_order"})
SPRING = {"num_coordinates": 1, "hidden": [4]}


def short_of(kinds):
    """All kinds, most of them in the long pass."""
    short = ("hnn", "pairwise", "port_hamiltonian", "delan")
    return [x if x in short else pytest.param(x, marks=pytest.mark.long) for x in kinds]


def arguments(kind, dtype="float32"):
    if kind == "pairwise":
        return {"num_bodies": 2, "dimensions": 1, "hidden": [6, 5], "dtype": dtype}
    return SMALL | {"dtype": dtype} | MORE.get(kind, {})


def weights(kind, given, seed=0):
    return checkpoint.build(kind, given).init(jax.random.key(seed))


def spring(path, **options):
    """A small energy on the disk, and its weights."""
    params = weights("hnn", SPRING)
    return checkpoint.save_model(path, "hnn", SPRING, params, **options), params


def point(dtype="float32"):
    q, p = jnp.array([[0.3, -0.8], [1.1, 0.4]], dtype)
    return q, p


def same(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_array_equal(x, y)
        assert x.dtype == y.dtype


@pytest.mark.parametrize("kind", short_of(checkpoint.KINDS))
def test_a_motion_comes_back_as_it_was(kind, dtype, tmp_path):
    given = arguments(kind, str(dtype))
    motion, params = checkpoint.build(kind, given), weights(kind, given)
    path = checkpoint.save_model(tmp_path / "model.npz", kind, given, params)
    back = checkpoint.load(path)
    assert back.kind == kind
    same(back.params, params)
    assert {x.dtype for x in jax.tree.leaves(back.params)} == {dtype}
    assert back.dynamics.state is motion.state
    assert back.dynamics.num_controls == motion.num_controls
    assert back.dynamics.conservative == motion.conservative

    y = motion.state(*point(dtype))
    u = jnp.ones(motion.num_controls, dtype)
    fields = [
        jax.jit(one.vector_field)(0.3, y, (w, u) if motion.num_controls else w)
        for one, w in ((motion, params), (back.dynamics, back.params))
    ]
    same(*fields)
    assert np.all(np.abs(np.concatenate(fields[0])) > 0)


@pytest.mark.parametrize("kind", short_of(ENERGIES))
def test_an_energy_is_called_with_its_own_weights_or_with_others(kind, tmp_path):
    given = arguments(kind)
    motion = checkpoint.build(kind, given)
    params, others = (weights(kind, given, seed) for seed in range(2))
    path = checkpoint.save_model(tmp_path / "model.npz", kind, given, params)
    H = checkpoint.load(path)
    q, p = point()

    @jax.jit
    def energies(params, others, q, p):
        expected = [motion.energy(weights, q, p) for weights in (params, others)]
        return expected, (H(q, p), H(None, q, p)), H(others, q, p)

    (ours, foreign), own, theirs = energies(params, others, q, p)
    for found in own:
        np.testing.assert_allclose(found, ours, rtol=1e-6)
    np.testing.assert_allclose(theirs, foreign, rtol=1e-6)
    assert abs(foreign - ours) > 1e-4


@pytest.mark.parametrize("kind", ["lnn", "delan"])
@pytest.mark.parametrize(
    "more",
    [
        {},
        {"num_controls": 2},
        {"num_controls": 1, "inputs": "learned", "dissipation": True},
    ],
    ids=["alone", "pushed", "lossy"],
)
def test_a_lagrangian_from_a_file_is_one_that_mechanics_takes(kind, more, tmp_path):
    given = arguments(kind) | more
    params = weights(kind, given)
    path = checkpoint.save_model(tmp_path / "model.npz", kind, given, params)
    back = checkpoint.load(path, kind)
    assert back.arguments.items() >= more.items()
    motion = back.dynamics
    assert motion.state is TangentState
    assert motion.num_controls == more.get("num_controls", 0)
    assert (motion.inverse is None) == (more.get("inputs") == "learned")
    q, v = point()

    def checked(q, v):
        own = back.lagrangian(q, v)
        given = back.lagrangian(params, q, v), back.lagrangian(None, q, v)
        energy = mechanics.energy(back.lagrangian)(None, q, v)
        mass = mechanics.mass_matrix(back.lagrangian)(None, q, v)
        return own, given, energy, back(q, v), mass

    own, others, energy, called, mass = jax.jit(checked)(q, v)
    np.testing.assert_allclose(others, own, rtol=1e-6)
    np.testing.assert_allclose(energy, called, rtol=1e-5)
    if kind == "delan":
        assert np.linalg.eigvalsh(np.asarray(mass))[0] > 0
    if not more:
        accelerate = jax.jit(mechanics.acceleration(back.lagrangian))
        rate = jax.jit(motion.vector_field)(0.0, TangentState(q, v), params)
        np.testing.assert_allclose(accelerate(None, q, v), rate.v, rtol=1e-4)


def test_an_energy_that_is_no_lagrangian_says_so(tmp_path):
    path, _ = spring(tmp_path / "a.npz")
    with pytest.raises(ValueError, match=r"a hnn is no Lagrangian.*vector_field"):
        checkpoint.load(path).lagrangian(jnp.ones(1), jnp.ones(1))


@pytest.mark.parametrize("kind", ["hnn", "separable", "structured"])
def test_a_model_from_a_file_moves_by_hamiltons_equations(kind, tmp_path):
    given = arguments(kind)
    params = weights(kind, given)
    path = checkpoint.save_model(tmp_path / "model.npz", kind, given, params)
    H = checkpoint.load(path)
    field = jax.jit(mechanics.hamiltonian_vector_field(H))
    y = PhaseState(*point())
    found = field(0.0, y, None)
    wanted = jax.jit(H.dynamics.vector_field)(0.0, y, params)
    for x, w in zip(found, wanted, strict=True):
        np.testing.assert_allclose(x, w, rtol=1e-5, atol=1e-6)


def test_units_and_angles_survive(tmp_path):
    given = arguments("hnn")
    params = weights("hnn", given)
    H = checkpoint.load(checkpoint.save_model(tmp_path / "a.npz", "hnn", given, params))
    q, p = point()
    turn = jnp.array([2 * jnp.pi, 0], q.dtype)
    np.testing.assert_allclose(H(q + turn, p), H(q, p), rtol=1e-5)
    assert abs(H(q + turn[::-1], p) - H(q, p)) > 1e-4
    kept = H.arguments["normalization"]
    assert kept == {name: list(x) for name, x in UNITS._asdict().items()}
    # Without its units the network with these weights is another energy.
    bare = models.hnn(2, hidden=(6, 5), periodic=(True, False))
    assert abs(bare.apply(params, q, p) - H(q, p)) > 1e-4


def test_notes_are_kept_beside_the_model(tmp_path):
    notes = {"system": "spring", "seconds": 1.5, "history": [{"step": 0}]}
    path, _ = spring(tmp_path / "a.npz", notes=notes)
    assert checkpoint.load(path).notes == notes
    bare, _ = spring(tmp_path / "b.npz")
    assert checkpoint.load(bare).notes == {}


def test_a_directory_is_the_model_in_it(tmp_path):
    path, params = spring(tmp_path / "model.npz")
    back = checkpoint.load(tmp_path)
    same(back.params, params)
    assert repr(back).startswith("Learned(hnn, {'num_coordinates': 1")
    assert checkpoint.load(str(path), "hnn").kind == "hnn"


def test_a_file_is_plain_arrays_that_numpy_reads_without_pickles(tmp_path):
    path, params = spring(tmp_path / "model.npz")
    with np.load(path, allow_pickle=False) as stored:
        head = json.loads(str(stored["model"]))
        sizes = [stored[f"leaf{i}"].size for i in range(len(stored.files) - 1)]
    assert head["format"] == 1
    assert head["arguments"] == SPRING
    assert sum(sizes) == sum(x.size for x in jax.tree.leaves(params))


def test_more_than_ten_arrays_of_weights_stay_in_order(tmp_path):
    """As names leaf10 comes before leaf2; as weights it does not."""
    given = {"num_coordinates": 1, "hidden": [3] * 7}
    params = weights("hnn", given)
    assert len(jax.tree.leaves(params)) > 11
    params = jax.tree.unflatten(
        jax.tree.structure(params),
        [x + i for i, x in enumerate(jax.tree.leaves(params))],
    )
    path = checkpoint.save_model(tmp_path / "deep.npz", "hnn", given, params)
    same(checkpoint.load(path).params, params)


@pytest.mark.parametrize("kind", ["neural_ode", "second_order"])
def test_a_motion_without_energy_says_so_when_called(kind, tmp_path):
    given = arguments(kind)
    path = checkpoint.save_model(tmp_path / "a", kind, given, weights(kind, given))
    back = checkpoint.load(path)
    state = PhaseState if kind == "neural_ode" else TangentState
    assert back.dynamics.state is state
    with pytest.raises(ValueError, match=rf"a {kind} has no energy.*vector_field"):
        back(*point())


def test_there_must_be_a_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.npz"):
        checkpoint.load(tmp_path / "none.npz")
    with pytest.raises(FileNotFoundError, match=r"model\.npz"):
        checkpoint.load(tmp_path)


def written(path, content):
    path.write_bytes(content)


def array_alone(path):
    with path.open("wb") as file:
        np.save(file, np.ones(3))


@pytest.mark.parametrize(
    "make",
    [
        lambda path: written(path, b"t,q\n0,1\n"),
        lambda path: written(path, b""),
        array_alone,
    ],
    ids=["text", "empty", "one array"],
)
def test_a_file_that_is_no_archive_is_told(make, tmp_path):
    make(tmp_path / "a.npz")
    with pytest.raises(ValueError, match=r"a\.npz is not a model file"):
        checkpoint.load(tmp_path / "a.npz")


def test_an_archive_of_something_else_is_told_by_what_it_holds(tmp_path):
    np.savez(tmp_path / "a.npz", q=np.ones(3), t=np.ones(3))
    with pytest.raises(ValueError, match=r"holds q, t; expected a model"):
        checkpoint.load(tmp_path / "a.npz")


def rewritten(path, **changes):
    """The same file with another head."""
    with np.load(path, allow_pickle=False) as stored:
        arrays = dict(stored)
    head = json.loads(str(arrays.pop("model"))) | changes
    np.savez(path, model=np.array(json.dumps(head)), **arrays)


def test_a_file_of_a_later_format_is_not_guessed_at(tmp_path):
    path, _ = spring(tmp_path / "a.npz")
    rewritten(path, format=2)
    with pytest.raises(ValueError, match=r"has format 2.*up to 1; install a newer"):
        checkpoint.load(path)


def test_weights_that_do_not_fit_the_model_in_the_file_are_told(tmp_path):
    path, _ = spring(tmp_path / "a.npz")
    rewritten(path, arguments=SPRING | {"hidden": [5]})
    with pytest.raises(ValueError, match="weights of other shapes than this version"):
        checkpoint.load(path)


def test_a_damaged_file_is_told_wherever_it_is_damaged(tmp_path):
    path, params = spring(tmp_path / "a.npz")
    whole = path.read_bytes()
    for length in np.linspace(0, len(whole) - 1, 25).astype(int):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"a\.npz is (not a model file|damaged)"):
            checkpoint.load(path)
    for place in np.linspace(0, len(whole) - 1, 60).astype(int):
        damaged = bytearray(whole)
        damaged[place] ^= 0x20
        path.write_bytes(damaged)
        # A few bytes of an archive, such as dates, mean nothing.
        try:
            same(checkpoint.load(path).params, params)
        except ValueError as error:
            assert "a.npz" in str(error)  # noqa: PT017


def test_an_archive_that_unpacks_to_far_more_is_not_unpacked(tmp_path):
    path = tmp_path / "bomb.npz"
    np.savez_compressed(path, model=np.array("{}"), leaf0=np.zeros(10**7))
    assert path.stat().st_size < 10**5
    with pytest.raises(ValueError, match="unpacks to far more"):
        checkpoint.load(path)


@pytest.mark.parametrize("changes", [{"kind": 3}, {"arguments": []}, {"format": "x"}])
def test_a_head_that_is_none_is_told(changes, tmp_path):
    path, _ = spring(tmp_path / "a.npz")
    rewritten(path, **changes)
    with pytest.raises(ValueError, match="is not a model file"):
        checkpoint.load(path)


def test_arguments_that_this_version_does_not_take_are_told(tmp_path):
    path, _ = spring(tmp_path / "a.npz")
    rewritten(path, arguments=SPRING | {"colour": "red"})
    with pytest.raises(ValueError, match="hnn does not take"):
        checkpoint.load(path)


def test_another_kind_than_was_asked_for_is_told(tmp_path):
    path, _ = spring(tmp_path / "a.npz")
    with pytest.raises(ValueError, match="holds a model hnn; expected separable"):
        checkpoint.load(path, "separable")


@pytest.mark.parametrize(
    ("kind", "given", "words"),
    [
        ("hnm", SPRING, "unknown model 'hnm'.*Did you mean 'hnn'"),
        ("hnn", SPRING | {"hidden": [5]}, "the weights have shapes"),
        ("separable", SPRING, "those of a separable with these arguments"),
    ],
)
def test_a_model_is_written_whole_or_not_at_all(kind, given, words, tmp_path):
    path = tmp_path / "a.npz"
    with pytest.raises(ValueError, match=words):
        checkpoint.save_model(path, kind, given, weights("hnn", SPRING))
    assert list(tmp_path.iterdir()) == []
    spring(path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=words):
        checkpoint.save_model(path, kind, given, weights("hnn", SPRING))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_notes_that_json_cannot_hold_leave_the_old_file(tmp_path):
    path, _ = spring(tmp_path / "a.npz")
    before = path.read_bytes()
    with pytest.raises(TypeError, match="not JSON serializable"):
        spring(path, notes={"key": object()})
    assert path.read_bytes() == before


def test_a_write_that_breaks_off_leaves_the_old_model(tmp_path, monkeypatch):
    path, params = spring(tmp_path / "a.npz")

    def full(file, **arrays):
        file.write(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match="No space"):
        spring(path)
    monkeypatch.undo()
    same(checkpoint.load(path).params, params)


def test_a_model_is_built_from_units_as_json_has_them_or_as_they_are():
    lists = {name: list(map(float, x)) for name, x in UNITS._asdict().items()}
    params = weights("hnn", arguments("hnn"))
    q, p = point()
    ours, theirs = (
        checkpoint.build("hnn", SMALL | {"normalization": units}).energy(params, q, p)
        for units in (UNITS, lists)
    )
    assert float(ours) == float(theirs)


@pytest.mark.x64
def test_weights_of_float64_are_rounded_where_x64_is_off_and_that_is_said(tmp_path):
    arguments = {"num_coordinates": 1, "hidden": [4], "dtype": "float64"}
    params = checkpoint.build("hnn", arguments).init(jax.random.key(0))
    path = checkpoint.save_model(tmp_path / "model.npz", "hnn", arguments, params)
    whole = checkpoint.load(path)(np.ones(1), np.zeros(1))
    with jax.enable_x64(False):
        with pytest.warns(UserWarning, match="float64, and x64 is off"):
            single = checkpoint.load(path)
        rounded = single(np.ones(1, "float32"), np.zeros(1, "float32"))
    assert rounded.dtype == np.float32
    np.testing.assert_allclose(rounded, whole, rtol=1e-5)
