"""The measurements run, record what they must, and report it; in the smallest size."""

import importlib.util
import json
import subprocess
import sys

import pytest

from benchmarks import comparing, growth, harness, hnn_step, lnn_step, parts, report
from jaxphys import plots

pytestmark = pytest.mark.x64


def _needs(module):
    """Skip where a peer's library is not installed; it is not imported here.

    The LLVM of TensorFlow and that of PyTorch's compiler abort a process with both.
    """
    if importlib.util.find_spec(module) is None:
        pytest.skip("extra benchmarks is not installed")


def test_records_are_appended_and_the_newest_is_read(tmp_path):
    harness.record("demo", {"size": 1}, {"seconds": 2.0}, results_dir=tmp_path)
    harness.record("demo", {"size": 2}, {"seconds": 3.0}, results_dir=tmp_path)
    lines = (tmp_path / "demo.jsonl").read_text().splitlines()
    assert len(lines) == 2
    first = json.loads(lines[0])
    assert {"revision", "versions", "device", "dtype", "config"} <= set(first)
    assert first["peak_memory_mb"] > 0
    assert harness.latest("demo", tmp_path)["config"] == {"size": 2}
    assert harness.latest("other", tmp_path) is None


def test_timing_sets_compilation_apart():
    times = harness.seconds(lambda x: x + 1, 1.0, repeats=20)
    assert times["compile_seconds"] > times["median"]
    assert times["p10"] <= times["median"] <= times["p90"]
    assert harness.peak_memory_mb() > 50


def test_the_report_writes_the_readme_table_between_its_markers(tmp_path):
    final = {
        "step": 10,
        "train_loss": 1e-3,
        "test_loss": 2e-3,
        "time_to": {"0.0001": None, "1e-06": 1.25, "1e-08": None},
    }
    methods = {"adam": {"compile_seconds": 1.0, "final": final}}
    results = {"methods": methods, "hig_epochs": [], "precision": []}
    harness.record("oscillators", {}, results, results_dir=tmp_path)
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{report.MARKERS[0]}\nold\n{report.MARKERS[1]}\nafter\n")
    report.write(tmp_path, root=tmp_path)
    text = readme.read_text()
    assert text.startswith("before")
    assert text.endswith("after\n")
    assert "old" not in text
    assert f"| {plots.OPTIMIZERS['adam'].label} (`adam`) | 10 | 1.0 |" in text
    assert "1.25" in text
    assert (tmp_path / "REPORT.md").read_text().startswith("## Measurements")


def test_exponents_are_those_of_powers():
    points = [(n, 1e-3 * n**2.5) for n in (4, 8, 32)]
    found = growth.exponents(points)
    assert found["exponent"] == pytest.approx(2.5)
    assert found["last"] == pytest.approx(2.5)


def test_revisions_are_compared_round_by_round():
    rounds = [({"step": a}, {"step": b}) for a, b in ((1, 2), (10, 30), (2, 2))]
    found = comparing.ratios(rounds)["step"]
    assert (found["ratio"], found["least"], found["most"]) == (2, 1, 3)


def test_a_part_that_is_stopped_leaves_the_others_their_time():
    chosen = (parts.Part("roofline", 0.2), parts.Part("unknown", 60.0))
    found = parts.run(chosen, "smoke", 60.0)
    assert found["roofline"].startswith("stopped after")
    assert found["unknown"].startswith("failed (2)")
    assert parts.run(chosen, "smoke", 0.0)["unknown"] == "not begun: no time was left"


def test_what_one_gpu_is_asked_for_takes_less_than_six_minutes():
    assert sum(part.limit for part in parts.GPU) <= 360
    assert parts.GPU_SECONDS < 360


def test_another_devices_records_are_a_section_of_their_own(tmp_path):
    row = {"name": "a step", "operations": 1e9, "bytes": 1e6, "bound": "bytes"}
    row |= {"seconds": {"median": 1e-3}, "share": 0.25}
    results = {"peak": 1e12, "bandwidth": 1e12, "rows": [row]}
    harness.record("roofline", {}, results, results_dir=tmp_path / "a-gpu")
    report.write(tmp_path, root=None)
    text = (tmp_path / "REPORT.md").read_text()
    assert "## On another device: cpu" in text
    assert "| a step | 1 | 1 | 1 | bytes | 25 |" in text


@pytest.mark.long
def test_a_revision_beside_itself_takes_as_long():
    found = comparing.compare("HEAD", "smoke", 1, 0.05)
    assert len(found) == 8
    assert all(0 < row["ratio"] < 50 for row in found.values())


@pytest.mark.long
@pytest.mark.parametrize(
    "name",
    [
        "oscillators",
        "million",
        # A test of the command line starts the same run twice.
        pytest.param("startup", marks=pytest.mark.measured),
        "double_pendulum",
        "acceleration",
        "hnn_step",
        pytest.param("lnn_step", marks=pytest.mark.measured),
        pytest.param("hamiltonian", marks=pytest.mark.measured),
        pytest.param("lagrangian", marks=pytest.mark.measured),
        "work_precision",
        "rollout_memory",
        "gradients",
        "dipole_step",
        "engine",
        "least_squares",
        "roofline",
        "growth",
        "poisson_memory",
        # Killed as well by test_trouble.
        pytest.param("kills", marks=pytest.mark.measured),
        "cases",
        "measured",
        "driven",
        "large",
        "shown",
        "memory",
        "control",
        pytest.param("feedback", marks=pytest.mark.measured),
    ],
)
def test_every_benchmark_runs_in_smoke_size(name):
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "run", name, "--size", "smoke"],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "| --- |" in done.stdout


@pytest.mark.long
def test_the_tensorflow_peer_runs_beside_ours():
    _needs("tensorflow")
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "run", "hig_epoch", "--size", "smoke"],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Ratio of medians" in done.stdout


@pytest.mark.long
@pytest.mark.parametrize("setting", hnn_step.SETTINGS, ids=lambda x: x.name)
def test_the_torch_peer_has_our_loss_and_gradient(setting):
    _needs("torch")
    difference = hnn_step.agreement(setting)
    assert difference["loss"] < 1e-4
    assert difference["gradient"] < 1e-4
    assert difference["last_bias"] == 0


@pytest.mark.long
# PyTorch's own vmap warns of what PyTorch itself still uses.
@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
@pytest.mark.parametrize("setting", lnn_step.SETTINGS, ids=lambda x: str(x.batch))
def test_the_published_lagrangian_steps_have_our_loss_and_gradient(setting):
    _needs("torch")
    for difference in lnn_step.agreement(setting).values():
        assert difference["loss"] < 1e-4
        assert difference["gradient"] < 1e-4
