"""What the site needs beyond configuration: docstring sections, figures, tables."""

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


#: Page → its title, what it says first, and the sections of the report that it holds.
_REPORTS = {
    "simulators": (
        "Training through simulators",
        "Losses after as many seconds as each table says, and the time that each "
        "method takes to a loss.",
        (
            "Coupled oscillators, every method",
            "Training through simulators, every method",
            "Policies that act at every step",
            "Problems that people have brought",
        ),
    ),
    "motions": (
        "Learned motions",
        "Hamiltonian and Lagrangian networks beside the published figures.",
        (
            "Experiments of Hamiltonian networks",
            "Experiments of Lagrangian networks",
        ),
    ),
    "speed": (
        "Speed and memory",
        "Every time is measured beside a peer, or another route, in the same run.",
        None,
    ),
}


#: A search shows guides and the reference before these pages, which name all methods.
_LAST = "---\nsearch:\n  boost: 0.3\n---\n\n"


def _words_left(table: re.Match) -> str:
    """A table whose columns of words are aligned to the left, not as numbers are."""
    head, rule, *rows = table[0].rstrip("\n").split("\n")
    columns = zip(*(re.split(r"(?<!\\)\|", row[1:-1]) for row in rows), strict=False)
    numbers = [any(re.match(r"\W*\d|$", x.strip()) for x in cells) for cells in columns]
    marks = [" ---: " if number else " --- " for number in (False, *numbers[1:])]
    if len(marks) == rule.count("|") - 1:
        rule = f"|{'|'.join(marks)}|"
    return "\n".join([head, rule, *rows]) + "\n"


def _settings(shown: re.Match) -> str:
    """Settings of a run without the marks of a dictionary."""
    plain = re.sub(r"'(\w+)': ", r"\1 ", shown[1]).replace("'", "")
    return f" Settings: {plain}." if plain else ""


def _reports(results: pathlib.Path) -> dict[str, str]:
    """The benchmark report in pages; the last one holds whatever no other does."""
    report = results / "REPORT.md"
    text = report.read_text(encoding="utf-8") if report.exists() else ""
    parts = re.split(r"(?m)^### ", text)[1:]
    sections = {part.partition("\n")[0]: part.partition("\n")[2] for part in parts}
    named = {name for _, _, names in _REPORTS.values() for name in names or ()}
    others = tuple(name for name in sections if name not in named)
    pages = {}
    for page, (title, first, names) in _REPORTS.items():
        own = [name for name in names or others if name in sections]
        body = "\n".join(f"## {name}\n{sections[name]}" for name in own)
        body = re.sub(r"\]\((?!https?:|#)", "](../", body)
        body = re.sub(r"(?m) Settings: \{(.*)\}\.$", _settings, body)
        body = re.sub(r"(?m)(?:^\|.*\n){3,}", _words_left, body)
        pages[page] = f"{_LAST}# {title}\n\n{first}\n\n{body}"
    return pages


def on_files(files, config):
    """Publish the benchmark report in pages, and the figures beside it."""
    root = pathlib.Path(config.config_file_path).parent
    results = root / "benchmarks" / "results"
    for path in sorted(results.rglob("*")):
        if path.is_file() and path.suffix != ".md":
            name = path.relative_to(results).as_posix()
            files.append(File.generated(config, name, abs_src_path=str(path)))
    for page, text in _reports(results).items():
        files.append(File.generated(config, f"benchmarks/{page}.md", content=text))
    return files


_LIMIT = re.compile(r"\*\*(.+?)\*\*\s(\*(?:Mathematical|Convenience).*)", re.DOTALL)


def _limits(text: str) -> str:
    """Paragraphs of a limit, its kind and its reason, as rows of a table."""
    blocks, rows = [], []
    for block in [*text.split("\n\n"), ""]:
        limit = _LIMIT.fullmatch(block.strip())
        if limit:
            cells = [" ".join(x.split()).replace("|", r"\|") for x in limit.groups()]
            rows.append(f"| **{cells[0]}** | {cells[1]} |")
            continue
        if rows and block.startswith("* "):
            items = " ".join(re.sub(r"(?m)^\* ", "", block).split())
            rows[-1] = rows[-1].removesuffix("|") + f"{items} |"
            continue
        if rows:
            head = ["| limit | kind, and what to do |", "| --- | --- |"]
            blocks.append("\n".join([*head, *rows]))
            rows = []
        blocks.append(block)
    return "\n\n".join(blocks)


def on_page_markdown(markdown, page, config, files):
    """Limits are read in tables."""
    return _limits(markdown) if page.file.src_uri == "limitations.md" else markdown
