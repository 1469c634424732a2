"""Double precision is on unless JAXPHYS_TEST_X64=0; files go to tmp_path."""

import os

import jax
import pytest

jax.config.update("jax_enable_x64", os.environ.get("JAXPHYS_TEST_X64", "1") != "0")

DTYPES = ["float32", "float64"] if jax.config.jax_enable_x64 else ["float32"]


@pytest.fixture(params=DTYPES)
def dtype(request):
    return jax.numpy.dtype(request.param)


def pytest_collection_modifyitems(items):
    """Tests that state facts of float64 are left out of the single-precision pass."""
    if jax.config.jax_enable_x64:
        return
    skip = pytest.mark.skip(reason="needs float64")
    for item in items:
        if item.get_closest_marker("x64"):
            item.add_marker(skip)
