"""The house stands: modules import from lower floors, big packages in one place."""

import ast
import importlib
import inspect
import pathlib
import pkgutil

import pytest

import jaxphys

ROOT = pathlib.Path(jaxphys.__file__).parent

FLOORS = {
    "types": 0,
    "names": 0,
    "_jaxpr": 1,
    "linalg": 1,
    "losses": 1,
    "curvature": 2,
    "roots": 1,
    "scalars": 2,
    "trig": 1,
    "mechanics": 2,
    "integrators": 2,
    "ode": 2,
    "systems": 3,
    "data": 3,
    "models": 3,
    "optim": 3,
    "checkpoint": 4,
    "problems": 4,
    "training": 5,
    "metrics": 5,
    "learning": 6,
    "plots": 6,
    "experiments": 7,
    "cli": 8,
}

ONE_PLACE = {
    "flax": "models/networks.py",
    "diffrax": "ode.py",
    "matplotlib": "plots/",
    "orbax": "checkpoint.py",
    "tyro": "cli.py",
    "tqdm": "training.py",
}

FILES = sorted(path.relative_to(ROOT) for path in ROOT.rglob("*.py"))


def imports_of(path: pathlib.Path) -> set[str]:
    """Every module a file imports, names under jaxphys spelled out."""
    found = set()
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} uses a relative import"
            found.add(node.module)
            if node.module == "jaxphys":
                found |= {f"jaxphys.{alias.name}" for alias in node.names}
    return found


def room(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


@pytest.mark.parametrize("path", FILES, ids=str)
def test_a_module_imports_only_from_lower_floors_or_its_own_room(path):
    own = path.parts[0].removesuffix(".py")
    if own == "__init__":
        return
    for module in imports_of(path):
        if module.startswith("jaxphys."):
            other = room(module)
            lower = FLOORS[other] < FLOORS[own]
            assert lower or other == own, f"{path} imports {module}"


@pytest.mark.parametrize(("package", "place"), list(ONE_PLACE.items()))
def test_big_packages_are_imported_in_one_place(package, place):
    importers = {
        path.as_posix()
        for path in FILES
        if any(module.split(".")[0] == package for module in imports_of(path))
    }
    assert importers
    assert all(file.startswith(place) for file in importers)


def modules():
    for info in pkgutil.walk_packages(jaxphys.__path__, "jaxphys."):
        yield importlib.import_module(info.name)


@pytest.mark.parametrize("module", list(modules()), ids=lambda m: m.__name__)
def test_every_public_function_and_record_says_what_it_is(module):
    assert module.__doc__
    for name, thing in vars(module).items():
        public = not name.startswith("_")
        own = getattr(thing, "__module__", None) == module.__name__
        if public and own and (inspect.isfunction(thing) or inspect.isclass(thing)):
            assert inspect.getdoc(thing), f"{module.__name__}.{name}"
            if inspect.isclass(thing):
                assert not inspect.getdoc(thing).startswith(f"{name}("), name
