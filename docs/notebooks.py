"""What all notebooks share: badge, first cell, and the lists of them.

`python docs/notebooks.py` writes the repository's address, which stands in
`pyproject.toml` alone, wherever else it is shown: badges, installation, README, site.
A test compares what is stored with what this makes.
"""

import json
import pathlib
import re
import tomllib
from collections.abc import Iterator

__all__ = ["FOLDER", "address", "files", "main"]

ROOT = pathlib.Path(__file__).parents[1]
FOLDER = ROOT / "notebooks"

_BEGIN, _END = "<!-- notebooks: begin -->", "<!-- notebooks: end -->"
_BADGE = "https://colab.research.google.com/assets/colab-badge.svg"
_COLAB = "https://colab.research.google.com/github/{owner}/blob/main/notebooks/{name}"

#: The first cell: what is there already stays, above all a JAX that fits its GPU.
_INSTALL = """\
import importlib.metadata
import importlib.util

if importlib.util.find_spec("jaxphys") is None:
    here = {{x.metadata["Name"]: x.version for x in importlib.metadata.distributions()}}
    kept = ("jax", "jaxlib", "numpy")  # as they are: no other version is installed
    pins = " ".join(f"{{name}}=={{here[name]}}" for name in kept if name in here)
    %pip install --quiet git+{address} {{pins}}

import jaxphys"""


def address() -> str:
    """The repository's address, of pyproject.toml."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)["project"]["urls"]["Repository"]


def _colab(name: str) -> str:
    owner = address().removeprefix("https://github.com/")
    return _COLAB.format(owner=owner, name=name)


def _title(notebook: dict) -> str:
    """The heading, without its number."""
    return "".join(notebook["cells"][0]["source"]).partition("\n")[0].lstrip("# ")


def _notebook(path: pathlib.Path) -> str:
    """A notebook with its badge and its first cell."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    badge = f"[![Open in Colab]({_BADGE})]({_colab(path.name)})"
    for cell in notebook["cells"]:
        text = "".join(cell["source"])
        if cell["id"] == "title":
            text = re.sub(r"(?m)^(BADGE|\[!\[Open in Colab\].*)$", badge, text)
        elif cell["id"] == "install":
            text = _INSTALL.format(address=address())
        cell["source"] = text.splitlines(keepends=True)
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


def _between(text: str, lines: list[str]) -> str:
    """A page with these lines between its markers."""
    first, last = text.index(_BEGIN) + len(_BEGIN), text.index(_END)
    return text[:first] + "\n" + "\n".join(lines) + "\n" + text[last:]


def _tour(text: str) -> str:
    lines = ["| | notebook | on Colab |", "|---|---|---|"]
    for path in sorted(FOLDER.glob("*.ipynb")):
        title = _title(json.loads(path.read_text(encoding="utf-8")))
        there = f"{address()}/blob/main/notebooks/{path.name}"
        lines.append(
            f"| {path.name[:2]} | [{title}]({there}) | [open]({_colab(path.name)}) |"
        )
    return _between(text, lines)


def _readme(text: str) -> str:
    found = []
    for path in sorted(FOLDER.glob("*.ipynb")):
        title = _title(json.loads(path.read_text(encoding="utf-8"))).partition(":")[0]
        found.append(
            f"{path.name[:2]} [{title}](notebooks/{path.name}) "
            f"([Colab]({_colab(path.name)}))"
        )
    return _between(text, [" ·\n".join(found)])


def _addressed(text: str) -> str:
    """A page with the repository's address in its commands."""
    return re.sub(
        r"((?:git clone |git\+))https://github\.com/[\w.-]+/jaxphys",
        lambda found: found.group(1) + address(),
        text,
    )


def files() -> Iterator[tuple[pathlib.Path, str]]:
    """Every file that has the address, and what it should hold."""
    for path in sorted(FOLDER.glob("*.ipynb")):
        yield path, _notebook(path)
    for name, fill in (("README.md", _readme), ("docs/start/tour.md", _tour)):
        path = ROOT / name
        yield path, _addressed(fill(path.read_text(encoding="utf-8")))
    path = ROOT / "docs" / "start" / "install.md"
    yield path, _addressed(path.read_text(encoding="utf-8"))


def main() -> None:
    """Write them."""
    for path, text in list(files()):
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
