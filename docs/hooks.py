"""What the site needs beyond configuration: docstring sections, and result figures."""

import pathlib
import re

import griffe
from mkdocs.structure.files import File

_EXTRAS = re.compile(r"^(Extras of `update`:)\n((?:  .*\n?)+)", re.MULTILINE)
_SEVERAL = re.compile(r"^  (\w+(?:, \w+)+)(: .*\n?(?:    .*\n?)*)", re.MULTILINE)


class Sections(griffe.Extension):
    """Doctests become code, extras a list, and `rows, columns: sizes` two items."""

    def on_object(self, *, obj, loader, **kwargs):
        """Rewrite what Griffe does not know into what it does."""
        if obj.docstring is None:
            return
        text = re.sub(r"^Example:$", "Examples:", obj.docstring.value, flags=re.M)
        text = _EXTRAS.sub(_as_list, text)
        obj.docstring.value = _SEVERAL.sub(_one_by_one, text)


def _as_list(section: re.Match) -> str:
    """The items of a section, indented by two, as a Markdown list."""
    title, items = section.groups()
    return f"{title}\n\n" + re.sub(r"^  (?=\S)", "- ", items, flags=re.M)


def _one_by_one(item: re.Match) -> str:
    """An item that documents several names, once for each of them."""
    names, rest = item.groups()
    rest = rest if rest.endswith("\n") else rest + "\n"
    return "".join(f"  {name}{rest}" for name in names.split(", "))


def on_files(files, config):
    """Publish the files beside the benchmark report, so that its links hold."""
    results = pathlib.Path(config.config_file_path).parent / "benchmarks" / "results"
    for path in sorted(results.rglob("*")):
        if path.is_file() and path.suffix != ".md":
            name = path.relative_to(results).as_posix()
            files.append(File.generated(config, name, abs_src_path=str(path)))
    return files
