"""`import jaxphys` is light, and its namespaces are loaded when they are first used."""

import ast
import pathlib
import subprocess
import sys

import pytest

import jaxphys

SOURCE = pathlib.Path(jaxphys.__file__)
#: What stands beside the namespaces.
FUNCTIONS = {"check", "compare"}


def run(code):
    """What a fresh interpreter prints."""
    command = [sys.executable, "-c", code]
    path = str(SOURCE.parents[1])
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env={"PYTHONPATH": path}
    )
    return done.stdout.split()


def test_importing_the_package_imports_nothing_heavy():
    code = "import sys, jaxphys; print(*{m.split('.')[0] for m in sys.modules})"
    heavy = {"jax", "jaxlib", "numpy", "flax", "optax", "diffrax", "matplotlib"}
    assert not heavy & set(run(code))


def test_the_command_line_sets_what_jax_reads_before_jax_is_there():
    code = "import sys, jaxphys.cli; print(*{m.split('.')[0] for m in sys.modules})"
    assert not {"jax", "numpy"} & set(run(code))
    told = "os.environ['OPENBLAS_NUM_THREADS'], os.environ['TF_CPP_MIN_LOG_LEVEL']"
    code = "import os, sys, jaxphys.cli; jaxphys.cli.main([]);"
    code += f"print('jax' in sys.modules, {told})"
    assert run(code)[-3:] == ["False", "1", "3"]


def test_a_namespace_is_loaded_when_it_is_used():
    code = (
        "import sys, jaxphys; print('jaxphys.types' in sys.modules);"
        "print(jaxphys.types.PhaseState.__name__, 'jaxphys.types' in sys.modules);"
        "print('flax' in sys.modules)"
    )
    assert run(code) == ["False", "PhaseState", "True", "False"]


def test_every_public_module_is_a_namespace():
    public = {
        path.stem
        for path in SOURCE.parent.iterdir()
        if path.suffix == ".py" or (path / "__init__.py").is_file()
    }
    public = {name for name in public if not name.startswith("_")}
    names = set(jaxphys.__all__) - {"__version__"} - FUNCTIONS
    assert names <= public
    inner = {"checks", "cli", "files", "names", "stopping"}
    assert public - names <= inner
    assert set(jaxphys.__all__) <= set(dir(jaxphys))
    for name in names:
        assert getattr(jaxphys, name).__name__ == f"jaxphys.{name}"


def test_type_checkers_see_the_same_namespaces():
    tree = ast.parse(SOURCE.read_text())
    imported = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module.startswith("jaxphys")
        for alias in node.names
    }
    assert imported == set(jaxphys.__all__) - {"__version__"}


def test_functions_are_loaded_when_they_are_used():
    code = (
        "import sys, jaxphys; print('jax' in sys.modules);"
        "print(jaxphys.compare.__name__, jaxphys.compare is jaxphys.compare)"
    )
    assert run(code) == ["False", "compare", "True"]
    assert set(jaxphys.__all__) >= FUNCTIONS


def test_an_unknown_namespace_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'model'"):
        jaxphys.model
