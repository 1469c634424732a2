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
    "precision": 0,
    "checks": 0,
    "devices": 0,
    "files": 1,
    "stopping": 0,
    "trees": 0,
    "_jaxpr": 1,
    "linalg": 1,
    "curvature": 2,
    "losses": 2,
    "roots": 1,
    "scalars": 2,
    "mechanics": 2,
    "integrators": 2,
    "ode": 2,
    "systems": 3,
    "data": 3,
    "models": 3,
    "optim": 3,
    "motion": 4,
    "checkpoint": 4,
    "problems": 5,
    "training": 5,
    "metrics": 5,
    "learning": 6,
    "plots": 6,
    "doctor": 7,
    "experiments": 7,
    "commands": 8,
    "cli": 9,
}

ONE_PLACE = {
    "flax": ("models/networks.py", "models/adapters.py"),
    "equinox": "models/adapters.py",
    "diffrax": "ode.py",
    "matplotlib": "plots/",
    "orbax": "checkpoint/states.py",
    "tyro": "cli.py",
    "tqdm": "training/fit.py",
}

#: Lines of a file, lines of code of a function, and parameters of a public one.
LONGEST_FILE, LONGEST_FUNCTION, MOST_PARAMETERS = 500, 80, 12

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


#: Rooms whose modules list their public names.
LISTED = (
    "types",
    "names",
    "precision",
    "losses",
    "roots",
    "mechanics",
    "integrators",
    "ode",
    "systems",
    "models",
    "metrics",
    "problems",
)


@pytest.mark.parametrize("path", FILES, ids=str)
def test_every_module_lists_its_public_names(path):
    """What is defined in a module is in its `__all__`, or has an underscore."""
    room = path.parts[0].removesuffix(".py")
    if room not in LISTED or (path.stem.startswith("_") and path.stem != "__init__"):
        return
    parts = [part for part in path.with_suffix("").parts if part != "__init__"]
    module = importlib.import_module(".".join(["jaxphys", *parts]))
    defined = set()
    for node in ast.parse((ROOT / path).read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            defined.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            defined |= {x.id for x in targets if isinstance(x, ast.Name)}
    public = {name for name in defined if not name.startswith("_")}
    assert public <= set(module.__all__)
    assert all(hasattr(module, name) for name in module.__all__)


def code_lines(node, source):
    """Lines of a function but for its docstring, comments and blank lines."""
    body = node.body
    if ast.get_docstring(node) is not None:
        body = body[1:]
    rows = source[node.lineno - 1 : node.end_lineno]
    if ast.get_docstring(node) is not None:
        text = node.body[0]
        rows = source[node.lineno - 1 : text.lineno - 1]
        rows += source[text.end_lineno : node.end_lineno]
    return sum(bool(row.strip()) and not row.strip().startswith("#") for row in rows)


@pytest.mark.parametrize("path", FILES, ids=str)
def test_a_file_can_be_held_in_mind(path):
    source = (ROOT / path).read_text().splitlines()
    assert len(source) <= LONGEST_FILE
    for node in ast.walk(ast.parse("\n".join(source))):
        if isinstance(node, ast.FunctionDef):
            assert code_lines(node, source) <= LONGEST_FUNCTION, node.name
            arguments = node.args
            count = len(arguments.posonlyargs + arguments.args + arguments.kwonlyargs)
            public = not node.name.startswith("_")
            assert count <= MOST_PARAMETERS or not public, node.name
        none_is_asserted = isinstance(node, ast.Assert)
        assert not none_is_asserted, f"{path}:{node.lineno} asserts"


def defined(tree):
    """Names that a module defines at its top."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        for target in getattr(node, "targets", [getattr(node, "target", None)]):
            if isinstance(target, ast.Name):
                yield target.id


@pytest.mark.parametrize("path", FILES, ids=str)
def test_what_is_not_public_has_an_underscore_or_a_private_room(path):
    if any(part.startswith("_") and part != "__init__.py" for part in path.parts):
        return
    parts = [part for part in path.with_suffix("").parts if part != "__init__"]
    module = importlib.import_module(".".join(["jaxphys", *parts]))
    names = defined(ast.parse((ROOT / path).read_text()))
    assert {name for name in names if not name.startswith("_")} <= set(module.__all__)


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
