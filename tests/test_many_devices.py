"""Training on eight devices, or by two processes, is training on one."""

import json
import os
import pathlib
import socket
import subprocess
import sys

import jax
import jax.numpy as jnp
import many_devices
import pytest

from jaxphys import commands, devices

pytestmark = pytest.mark.x64

HERE = pathlib.Path(__file__).parent

#: How far eight devices may be from one: rounding, as in any other order of a sum. What
#: takes eigenvalues of K = J Jᵀ has it divided by rcond², of which the rank depends.
ROUNDING = 1e-10
CLOSE = {"hig": 1e-6, "gauss_newton": 1e-6}


def run(*names):
    """What `many_devices.py` finds of these."""
    done = subprocess.run(
        [sys.executable, HERE / "many_devices.py", *names],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_eight_devices_train_as_one_does_and_share_the_work():
    found = run("adam", "resumed: levenberg_marquardt", "share", "blocks", "refused")
    assert found["adam"]["params"] < ROUNDING
    assert found["adam"]["replicated"]
    half = found["resumed: levenberg_marquardt"]
    assert half["kept"]
    assert half["devices"] == [8, 1]
    assert half["params"] < ROUNDING
    assert found["share"] < 0.15  # of a Gram matrix, an eighth
    assert max(found["blocks"]) < 1e-13
    assert "expected a batch size of 8 or 16" in found["refused"]["batch"]
    assert "expected 1 to 8" in found["refused"]["devices"]


@pytest.mark.long
def test_every_optimizer_trains_on_eight_devices_as_on_one():
    names = [*many_devices.OPTIMIZERS, "sip", "levenberg_marquardt, small"]
    found = run(*names, "float32: levenberg_marquardt")
    single = found.pop("float32: levenberg_marquardt")
    assert single["params"] < 1e-4
    for name, seen in found.items():
        assert seen["params"] < CLOSE.get(name, ROUNDING), name
        assert seen["replicated"], name
        assert seen["fell"] != 1, name


def test_a_batch_is_left_alone_where_no_mesh_is_in_force():
    x = jnp.ones((3, 2))
    assert devices.count() == 1
    assert devices.split(x) is x
    assert devices.whole(x) is x
    devices.check_batch(3)
    with devices.across(None), devices.across(1):
        assert jax.sharding.get_abstract_mesh().empty


def test_a_mesh_whose_axes_are_not_the_compilers_is_refused():
    explicit = jax.make_mesh((1,), ("x",), axis_types=(jax.sharding.AxisType.Explicit,))
    with jax.set_mesh(explicit), pytest.raises(ValueError, match="expected Auto"):
        devices.count()


def test_more_devices_than_there_are_leave_nothing_behind(tmp_path):
    options = commands.RunOptions(devices=99, steps=1, out=tmp_path / "run")
    with pytest.raises(ValueError, match="as many as JAX has here"):
        commands.run("oscillators", options)
    assert not options.out.exists()


@pytest.mark.long
def test_batches_that_cannot_be_shared_leave_nothing_behind(tmp_path):
    words = ["run", "mass_spring", "--steps", "1", "--devices", "8", "--out"]
    eight = "--xla_force_host_platform_device_count=8"
    done = subprocess.run(
        [sys.executable, "-m", "jaxphys.cli", *words, tmp_path / "run"],
        env=os.environ | {"XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} {eight}"},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 2
    assert "batch size of 744 or 752, or devices 6" in done.stderr
    assert not (tmp_path / "run").exists()


def _free_job():
    """The number of a SLURM job whose port, as JAX has it, is free."""
    for job in range(os.getpid() % 4096, 8192):
        with socket.socket() as tried:
            if tried.connect_ex(("localhost", job % 2**12 + 2**16 - 2**12)):
                return str(job)
    raise OSError("no port is free")


def _as_slurm_would(words, processes, devices_each):
    """Start a command in several processes; their outputs when they have ended."""
    job, started = _free_job(), []
    for rank in range(processes):
        flag = f"--xla_force_host_platform_device_count={devices_each}"
        given = {
            "SLURM_JOB_ID": job,
            "SLURM_STEP_NODELIST": "localhost",
            "SLURM_NTASKS": str(processes),
            "SLURM_PROCID": str(rank),
            "SLURM_LOCALID": str(rank),
            "JAX_PLATFORMS": "cpu",
            "XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} {flag}",
        }
        started.append(
            subprocess.Popen(
                [sys.executable, "-m", "jaxphys.cli", *words, "--distributed"],
                env=os.environ | given,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    try:
        ended = [process.communicate(timeout=200) for process in started]
    finally:
        for process in started:
            process.kill()
    for process, (_, errors) in zip(started, ended, strict=True):
        assert process.returncode == 0, errors
    return [out for out, _ in ended]


@pytest.mark.long
def test_two_processes_train_as_one_does_and_one_goes_on(tmp_path):
    options = {"method": ("levenberg_marquardt",), "batch_size": 32, "seed": 3}
    words = ["run", "oscillators", "--method", *options["method"], "--steps", "4"]
    words += ["--batch-size", "32", "--seed", "3", "--samples", "128"]
    words += ["--dtype", "float64", "--no-progress", "--out", str(tmp_path / "two")]
    first, other = _as_slurm_would(words, 2, 2)
    assert "still falling" in first
    assert not [line for line in other.splitlines() if "[Gloo]" not in line]

    def losses(out):
        entry = json.loads((out / "results.json").read_text())
        assert entry["status"] == "finished"
        return [h["train_loss"] for h in entry["methods"][method]["history"]]

    (method,) = options["method"]
    both = commands.RunOptions(
        **options, steps=8, dtype="float64", progress=False, out=tmp_path / "one"
    )
    commands.run("oscillators", both, samples=128)
    two = losses(tmp_path / "two")
    one = losses(tmp_path / "one")
    assert two == pytest.approx(one[: len(two)], rel=1e-9)
    again = commands.RunOptions(
        **options,
        steps=8,
        dtype="float64",
        progress=False,
        out=tmp_path / "two",
        resume=True,
    )
    commands.run("oscillators", again)
    assert losses(tmp_path / "two")[-1] == pytest.approx(one[-1], rel=1e-7)
