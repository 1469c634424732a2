"""Double precision is on unless JAXPHYS_TEST_X64=0; files go to tmp_path.

Nearly all of the time of a run is compilation, so programs are compiled with little
optimization unless JAXPHYS_TEST_OPTIMIZED=1, which compiles as users do.
"""

import collections
import ctypes
import gc
import os
import pathlib
import signal
import subprocess
import sys

import pytest

# Of a program that runs for milliseconds, half a second of compilation is wasted. The
# emitters of fusions go through MLIR, which costs more than all of LLVM without
# optimization; one part a program spares the start of many for a few instructions.
QUICK_FLAGS = (
    "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true "
    "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
)
OPTIMIZED = os.environ.get("JAXPHYS_TEST_OPTIMIZED", "0") != "0"
# Above it, compiled programs are dropped after a test.
HELD_BYTES = 5 * 2**28


def compile_quickly():
    """Add QUICK_FLAGS to XLA_FLAGS; what the caller has set comes last and wins.

    XLA ends the process at a flag that it does not know, and flags come and go: another
    process tries them first. Worker processes inherit the result.
    """
    given = os.environ.get("XLA_FLAGS", "")
    if QUICK_FLAGS in given:
        return
    flags = {"XLA_FLAGS": f"{QUICK_FLAGS} {given}".strip()}
    environment = os.environ | flags | {"JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", "import jax; jax.devices()"]
    if subprocess.run(command, env=environment, capture_output=True).returncode == 0:
        os.environ |= flags


if not OPTIMIZED:
    compile_quickly()

# A shell's background job ignores Ctrl-C, and so would what tests send and start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# What tests compile is not kept, not even by the commands that they start.
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", "")

import jax  # noqa: E402  XLA reads its flags when it starts.

# Tracing makes many small objects, few of them garbage: look for it more seldom.
gc.set_threshold(50_000, 20, 20)

X64 = os.environ.get("JAXPHYS_TEST_X64", "1") != "0"
jax.config.update("jax_enable_x64", X64)

DTYPES = ["float32", "float64"] if X64 else ["float32"]


@pytest.fixture(autouse=True)
def precision():
    """The command line turns double precision on: what it did ends with its test."""
    jax.config.update("jax_enable_x64", X64)
    yield
    jax.config.update("jax_enable_x64", X64)


@pytest.fixture(params=DTYPES)
def dtype(request):
    return jax.numpy.dtype(request.param)


def pytest_itemcollected(item):
    """Tests of one run, a fixture of their module, go to one worker: made once.

    Before xdist reads the marks, which it does first of all that is done with the list.
    """
    info = getattr(item, "_fixtureinfo", None)
    for name, made in (info.name2fixturedefs if info else {}).items():
        if made[-1].scope == "module":
            group = f"{item.path.stem}-{name}"
            item.add_marker(pytest.mark.xdist_group(group))


#: Files in which one test has many cases, each with a compilation of its own.
MANY = (
    *("curvature", "energies", "integrators", "jaxpr", "linalg", "linearise"),
    *("mechanics", "metrics", "model_files", "models", "ode", "optim", "scalars"),
    *("simulate", "simulators", "systems"),
)


def _leave_to_the_long_pass(items):
    """Of six cases of one test, or more, all but every third."""
    cases = collections.defaultdict(list)
    for item in items:
        given = getattr(item, "callspec", None)
        chosen = item.path.stem.removeprefix("test_") in MANY
        if chosen and given is not None and not item.get_closest_marker("long"):
            cases[item.path, item.originalname].append(item)
    for several in cases.values():
        for number, item in enumerate(several):
            if len(several) >= 6 and number % 3:
                item.add_marker(pytest.mark.long)


@pytest.hookimpl(tryfirst=True)  # before -m chooses by marks
def pytest_collection_modifyitems(items):
    """Which pass has which precision, and which cases.

    float32 beside float64 is left to the long pass: what is lost is that float32 stays
    float32 with x64 on, and the rest is in the pass in single precision.
    """
    if X64:
        for item in items:
            given = getattr(item, "callspec", None)
            if given is not None and given.params.get("dtype") == "float32":
                item.add_marker(pytest.mark.long)
        _leave_to_the_long_pass(items)
        return
    # Tests that state facts of float64 are left out of the single-precision pass.
    skip = pytest.mark.skip(reason="needs float64")
    for item in items:
        if item.get_closest_marker("x64"):
            item.add_marker(skip)


def resident_bytes():
    """What this process holds now, or on systems that do not tell, 0."""
    if not sys.platform.startswith("linux"):
        return 0
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def drop_programs():
    """Forget every compiled program, and give the memory back to the system.

    The C library keeps what was freed unless it is told to trim. Nothing would be
    gained then, and programs would be dropped after each of the tests that follow.
    """
    jax.clear_caches()
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of glibc alone
    if trim is not None:
        trim(0)


class Memory:
    """Drops programs after a test if many are held: a megabyte each, however small.

    A plugin, because hooks of this file are not called for examples in docstrings.
    """

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_teardown(self):
        if resident_bytes() > HELD_BYTES:
            drop_programs()


def pytest_configure(config):
    config.pluginmanager.register(Memory())
