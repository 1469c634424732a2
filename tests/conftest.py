"""Double precision is on unless JAXPHYS_TEST_X64=0; files go to tmp_path."""

import os

import jax
import pytest

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


def pytest_collection_modifyitems(items):
    """Tests that state facts of float64 are left out of the single-precision pass."""
    if X64:
        return
    skip = pytest.mark.skip(reason="needs float64")
    for item in items:
        if item.get_closest_marker("x64"):
            item.add_marker(skip)
