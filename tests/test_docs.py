"""Site, README and notebooks: links, names, spelling, and pages made of records."""

import ast
import html
import importlib
import inspect
import itertools
import json
import pathlib
import re
import subprocess
import sys
import textwrap
import zlib

import jax
import numpy as np
import pytest

import jaxphys
from benchmarks import harness, report, shown
from jaxphys import cli, data, experiments, models, motion, systems
from jaxphys.commands import completion, laws, listing, showing

ROOT = pathlib.Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
TEXTS = [*(ROOT / f"{x}.md" for x in ("README", "CONTRIBUTING", "SECURITY")), *PAGES]

# Pages of the site that are made while it is built, and what they are made of.
BUILT = {f"benchmarks/{name}.md" for name in ("simulators", "motions", "speed")}


def script(name):
    """A module of docs/, which is no package."""
    sys.path.insert(0, str(DOCS))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(DOCS))


def without_code(text):
    """Prose alone: neither code nor comments."""
    text = re.sub(r"(?ms)^( *)(```|~~~).*?^\1\2", "", text)
    text = re.sub(r"(?s)<!--.*?-->", "", text)
    return re.sub(r"`[^`]*`", "", text)


def anchors(path):
    """The anchors of a page: its headings, as the site makes them of their text."""
    text = path.read_text(encoding="utf-8")
    if "--8<--" in text:
        text = (ROOT / re.search(r'--8<-- "(.*?)"', text).group(1)).read_text()
    found = set(re.findall(r"\{ *#([\w-]+)", text))
    for title in re.findall(r"(?m)^#+ (.*?)(?: \{.*\})?$", text):
        plain = re.sub(r"[`*]|\[|\]\(.*?\)", "", title).lower()
        found.add(re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", plain).strip()))
    return found


def report_anchors():
    text = (ROOT / "benchmarks" / "results" / "REPORT.md").read_text(encoding="utf-8")
    titles = re.findall(r"(?m)^### (.*)$", text)
    plain = (re.sub(r"[^\w\s-]", "", title.lower()).strip() for title in titles)
    return {re.sub(r"[\s-]+", "-", title) for title in plain}


def links(path):
    text = re.sub(r"(?ms)^( *)```.*?^\1```", "", path.read_text(encoding="utf-8"))
    found = re.findall(r"\]\(([^)\s]+)\)", text)
    return [x for x in found if not re.match(r"[a-z]+:", x)]


def test_every_link_and_anchor_of_docs_and_readme_leads_somewhere():
    broken, seen = [], 0
    pictures = {x.name for x in (ROOT / "benchmarks" / "results").iterdir()}
    for path in TEXTS:
        for link in links(path):
            seen += 1
            place, _, anchor = link.partition("#")
            target = (path.parent / place).resolve() if place else path
            inside = target.is_relative_to(DOCS) and target.relative_to(DOCS).as_posix()
            if inside in BUILT:
                if anchor and anchor not in report_anchors():
                    broken.append((path.name, link))
            elif inside and "/" not in inside and inside in pictures:
                continue  # the site has the figures of the report at its top
            elif not target.exists() or (anchor and anchor not in anchors(target)):
                broken.append((path.name, link))
    assert seen > 100
    assert broken == []


def test_a_broken_link_would_be_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# One heading\n\n[x](other.md#there) `[y](no.md)`\n")
    assert links(page)[0] == "other.md#there"
    assert anchors(page) == {"one-heading"}


def test_nothing_of_the_site_comes_from_elsewhere():
    """No style, script, font or picture with an address of its own."""
    for path in PAGES:
        text = path.read_text(encoding="utf-8")
        assert re.findall(r"!\[[^\]]*\]\(https?:", text) == [], path
        assert "<script" not in text, path
    config = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert "font: false" in config
    assert "http" not in re.sub(r"(?m)^site_url.*|^repo_url.*", "", config)
    style = (DOCS / "assets" / "katex" / "katex.min.css").read_text(encoding="utf-8")
    fonts = re.findall(r"url\((.*?)\)", style)
    assert fonts
    for font in fonts:
        assert (DOCS / "assets" / "katex" / font).exists()


def test_pages_in_the_navigation_are_there_and_all_others_are_in_it():
    config = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    navigation = config[config.index("\nnav:") : config.index("\nwatch:")]
    lines = [x for x in navigation.splitlines() if not x.strip().startswith("#")]
    named = set(re.findall(r"[\w/-]+\.md", "\n".join(lines)))
    assert named == {x.relative_to(DOCS).as_posix() for x in PAGES} | BUILT


def test_generated_pages_are_as_their_records_make_them():
    for name, page in script("pages").PAGES.items():
        stored = (DOCS / name).read_text(encoding="utf-8")
        assert stored == page(), f"python docs/pages.py writes docs/{name} anew"


def test_figures_of_report_readme_and_guides_are_those_that_were_recorded():
    results = ROOT / "benchmarks" / "results"
    words = "python -m benchmarks report writes it anew"
    assert (results / "REPORT.md").read_text() == report.text(results), words
    tables = report.tables(results)
    assert len(tables) == 9
    for table in tables:
        page = (ROOT / table.page).read_text(encoding="utf-8")
        assert page == table.filled(page), f"{table.page}: {words}"


def test_every_system_and_model_has_an_equation_and_every_system_a_picture():
    equations = script("equations")
    assert sorted(equations.SYSTEMS) == sorted(systems.names())
    assert set(equations.MODELS) <= set(models.__all__)
    for own in equations.MODELS.values():
        assert set(own.experiments) <= set(experiments.names())
    for name in systems.names():
        assert (DOCS / "figures" / "systems" / f"{name}.png").stat().st_size < 100_000


def test_every_file_has_the_address_of_pyproject():
    for path, text in script("notebooks").files():
        stored = path.read_text(encoding="utf-8")
        assert stored == text, f"python docs/notebooks.py writes {path.name} anew"


def test_every_notebook_is_in_readme_and_tour_and_keeps_the_jax_that_is_there():
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        for page in (ROOT / "README.md", DOCS / "start" / "tour.md"):
            assert path.name in page.read_text(encoding="utf-8"), path.name
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        code = {cell["id"]: "".join(cell["source"]) for cell in cells}
        assert 'find_spec("jaxphys") is None' in code["install"]
        assert '("jax", "jaxlib", "numpy")' in code["install"]
        assert "JAXPHYS_SMOKE" in code["settings"]
        assert "device_kind" in code["imports"]
        assert "64-bit" in code["imports"]


def test_no_page_is_a_wall():
    """Never 40 lines of prose without heading, picture, equation, code or table."""
    rest = re.compile(r"\s*(#|!\[|\$\$|```|\||- |\d\. |::: |--8<--|\*\*)")
    for path in PAGES:
        longest = 0
        lines = path.read_text(encoding="utf-8").splitlines()
        for plain, run in itertools.groupby(lines, lambda x: not rest.match(x)):
            longest = max(longest, len(list(run))) if plain else longest
        assert longest <= 40, (path.name, longest)


def test_every_table_has_as_many_cells_in_each_row_as_in_its_head():
    """A bar within a cell, as of |x|, is escaped."""
    report_page, uneven = ROOT / "benchmarks" / "results" / "REPORT.md", []
    for path in (*TEXTS, report_page):
        text = re.sub(r"(?ms)^ *```.*?^ *```", "", path.read_text(encoding="utf-8"))
        for table in re.findall(r"(?m)(?:^\|.*\n?)+", text):
            cells = [len(re.findall(r"(?<!\\)\|", x)) for x in table.splitlines()]
            uneven += [(path.name, table[:60])] if len(set(cells)) > 1 else []
    assert uneven == []


def modules():
    """Every public module of the library."""
    for path in sorted((ROOT / "jaxphys").rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        parts = parts[:-1] if parts[-1] == "__init__" else parts
        if not any(part.startswith("_") for part in parts):
            yield ".".join(parts), path


def public_names():
    """Namespace, name and object of everything that `jaxphys` offers."""
    for space in jaxphys.__all__:
        module = getattr(jaxphys, space)
        for name in getattr(module, "__all__", ()):
            yield space, name, getattr(module, name)


def test_every_public_function_and_class_is_documented():
    found = [(s, n, x) for s, n, x in public_names() if callable(x)]
    assert len(found) > 250
    assert [f"{s}.{n}" for s, n, x in found if not inspect.getdoc(x)] == []


def test_the_listing_has_every_experiment_once_and_one_line_each():
    shown = [line.split()[0] for line in listing().splitlines() if line[:2] == "  "]
    named = [name for names in experiments.by_question().values() for name in names]
    assert sorted(named) == sorted(set(named)) == sorted(experiments.names())
    assert set(named) <= set(shown)
    assert all(len(line) <= 120 for line in listing().splitlines())
    assert "hig" in listing("oscillators")


def test_help_fits_a_screen(capsys):
    for arguments in ([], ["--help"]):
        assert cli.main(arguments) == 0
        lines = capsys.readouterr().out.splitlines()
        assert len(lines) <= 26
        assert max(map(len, lines)) <= 88
    assert sum(line.startswith("  jaxphys ") for line in lines) == 5


def test_a_shell_completes_experiments_and_options():
    text = completion("bash")
    for word in ("oscillators", "--seconds", "double_pendulum", "delan", "--friction"):
        assert word in text
    with pytest.raises(ValueError, match="known: bash, zsh"):
        completion("csh")


def test_figures_are_opened_where_there_is_a_display(tmp_path, monkeypatch, capsys):
    for name in ("one.png", "two.gif", "results.json"):
        (tmp_path / name).write_bytes(b"")
    opened = []
    monkeypatch.setattr(showing, "_opener", lambda: "viewer")
    monkeypatch.setattr(
        showing.subprocess, "Popen", lambda command, **_: opened.append(command)
    )
    assert [x.name for x in showing.show(tmp_path)] == ["one.png", "two.gif"]
    assert [command[0] for command in opened] == ["viewer", "viewer"]
    monkeypatch.setattr(showing, "_opener", lambda: None)
    assert showing.show(tmp_path) == []
    assert "no display" in capsys.readouterr().out


def test_constants_of_a_law_in_a_file_are_read_either_way():
    """c.mass and c["mass"], inside of compiled functions and of derivatives, too."""
    constants = laws.constants_of({"mass": 2.0, "stiffness": 3.0})
    slope = jax.jit(jax.grad(lambda c: c["mass"] * c.stiffness + c[0]))(constants)
    assert (slope.mass, slope["stiffness"]) == (4.0, 2.0)


WITH_CODE = [x for x in PAGES if "```python" in x.read_text() and "api" not in x.parts]

#: What runs in a smaller size here.
SMALLER = (
    ("seconds=60", "steps=4"),
    ("seconds=5", "steps=3"),
    ("num_steps=1000, args=kepler", "num_steps=20, args=kepler"),
    ("8192", "256"),
    ("4096", "256"),
    ("epochs=20", "epochs=1"),
    ("steps=500", "steps=4"),
    ("steps=300", "steps=8"),
    ("batch_growth=(64, 128, 256)", "batch_growth=()"),
    ("batch_size=512", "batch_size=64"),
)


def blocks(path):
    text = path.read_text(encoding="utf-8")
    for _, block in re.findall(r"(?ms)^( *)```python\n(.*?)^ *```", text):
        yield textwrap.dedent(block)


def test_all_code_of_the_pages_is_python():
    for path in WITH_CODE:
        for block in blocks(path):
            if "%pip" not in block:
                ast.parse(block)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What the pages' commands find: measured motions, and laws in a file."""
    place, times = tmp_path_factory.mktemp("commands"), np.linspace(0.0, 6.0, 121)
    decay = 0.3 * np.exp(-0.05 * times)
    angle, rate = decay * np.cos(3 * times), -3 * decay * np.sin(3 * times + 0.017)
    table = np.stack([times, angle, rate], axis=1)
    for name, header in (("swing", "t,theta,omega"), ("cart", "t,x,v")):
        path = place / f"{name}.csv"
        np.savetxt(path, table, delimiter=",", header=header, comments="")
    arm = motion.simulated(systems.get("two_link_arm"), jax.random.key(0), 2, times)
    arm = arm._replace(u=0.1 * np.sin(arm.y.q))
    data.save_trajectories(place / "arm.npz", arm)
    (place / "law.py").write_text(
        "import jax.numpy as jnp\n\n\ndef L(c, q, v):\n"
        '    return c["mass"] * v @ v / 2 - c["stiffness"] * q @ q / 2\n\n\n'
        "def field(t, y, c):\n"
        '    v = -c["a"] * jnp.sin(y[0]) - c["b"] * y[1] + c["c"]\n'
        '    return jnp.stack([c["s"] * y[1], v])\n'
    )
    return place


#: Commands of the pages that have all they need in the folder above.
FOLLOWED = [x for kind in ("fit", "identify", "simulate") for x in shown.commands(kind)]


@pytest.mark.long
@pytest.mark.x64
@pytest.mark.parametrize("line", FOLLOWED)
def test_a_command_of_the_pages_is_understood(line, folder, monkeypatch):
    """Those that train are looked at by the data's report alone."""
    monkeypatch.chdir(folder)
    words = line.split()[1:]
    if words[0] == "fit":
        words += [] if "--dry-run" in words else ["--dry-run"]
    else:
        words += ["--out", f"runs/{zlib.crc32(line.encode())}"]
    if words[0] == "simulate":
        words = [x for x in words if x != "--no-animate"] + ["--no-animate"]
        words += ["--duration", "0.2"]
    assert cli.main(words) == 0


#: Rows that were measured, ended badly, and are none any more.
GIVEN_UP = {
    "nonlinear_oscillators": ("sip",),
    "pendulum_chain": ("lnn", "lnn_levenberg_marquardt"),
    "quantum_dipole": ("sip", "gauss_newton_true_step"),
}


def test_every_run_that_the_pages_show_was_seen_to_end_well():
    """By the newest record of each: status 0, and each method's loss at most half."""
    record = harness.merged("shown")["results"]["commands"]
    poor = {}
    for command in shown.commands():
        found = record.get(command, {"status": "no record", "methods": {}})
        given_up = GIVEN_UP.get(command.split()[2], ())
        bad = [
            name
            for name, end in found["methods"].items()
            if not shown.good(end) and name not in given_up
        ]
        if found["status"] or bad or not found["methods"]:
            poor[command] = (found["status"], bad)
    assert poor == {}
    for name, rows in GIVEN_UP.items():
        experiment = experiments.get(name)
        assert not set(rows) & set(experiment.of("rows", experiment.settings()))


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site, built as strictly as it is published."""
    pytest.importorskip("mkdocs")
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-q", "-d", out]
    subprocess.run(command, check=True, cwd=ROOT)
    return out


@pytest.mark.long
def test_every_public_name_has_an_entry_in_the_reference(site):
    inventory = (site / "objects.inv").read_bytes().split(b"\n", 4)[4]
    lines = zlib.decompress(inventory).decode().splitlines()
    entries = {line.split(" ")[0] for line in lines}
    missing = []
    for space, name, each in public_names():
        place = getattr(each, "__module__", None)
        if callable(each) and str(place).startswith("jaxphys"):
            ours = {f"{place}.{name}", f"jaxphys.{space}.{name}"}
            if not ours & entries and not isinstance(each, systems.record.Family):
                missing.append(f"{space}.{name}")
    assert missing == []


@pytest.mark.long
def test_every_link_of_the_built_site_leads_somewhere_and_none_loads_from_outside(site):
    pages = {path: path.read_text(encoding="utf-8") for path in site.rglob("*.html")}
    names = {path: set(re.findall(r'\bid="([^"]+)"', x)) for path, x in pages.items()}
    assert len(pages) > 40
    broken, outside = [], []
    for path, text in pages.items():
        if path.name == "404.html":
            continue
        for link in re.findall(r'(?:href|src)="([^"]*)"', text):
            if re.match(r"https?:|mailto:|data:", link):
                continue
            place, _, anchor = html.unescape(link).partition("#")
            target = (path.parent / place).resolve() if place else path
            target = target / "index.html" if target.is_dir() else target
            anchored = not anchor or anchor.startswith("__") or target not in names
            if not target.exists() or not (anchored or anchor in names[target]):
                broken.append((path.parent.name, link))
        loaded = r'<(?:script|img|iframe)[^>]*\bsrc="(https?:[^"]*)"'
        outside += re.findall(loaded, text)
        outside += re.findall(
            r'<link[^>]*rel="stylesheet"[^>]*href="(http[^"]*)"', text
        )
    assert broken == []
    assert outside == []


@pytest.mark.long
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize(
    "name",
    ["known_and_learned", "own_simulator", "precision", "saving", "speed"],
)
def test_the_code_of_a_guide_runs_as_it_stands(name, tmp_path, monkeypatch):
    """All of its blocks, one after the other."""
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in blocks(DOCS / "guides" / f"{name}.md"):
        for old, new in SMALLER:
            block = block.replace(old, new)
        exec(block, names)


def words(text):
    """Words of prose, without formulas, addresses, names in code and file names."""
    text = re.sub(r"(?s)\$\$.*?\$\$|\$[^$\n]*\$|\]\([^)]*\)|https?://\S+", " ", text)
    text = re.sub(r"\S*[_./\\=<>@]\w\S*|\{.*?\}|^---.*?^---", " ", text)
    return re.findall(r"(?<![\w-])[A-Za-z][a-z]+(?:'[a-z]+)?(?![\w])", text)


@pytest.mark.long
def test_words_are_spelled_right():
    """By an offline dictionary, and the field's own words in words.txt."""
    spelling = pytest.importorskip("spellchecker")
    known = spelling.SpellChecker(language="en", distance=1)
    own = set((DOCS / "words.txt").read_text(encoding="utf-8").split())
    unknown = {}
    for path in TEXTS:
        for word in words(without_code(path.read_text(encoding="utf-8"))):
            if word not in own and word.lower() not in own and known.unknown([word]):
                unknown.setdefault(word, path.name)
    for name, _ in modules():
        doc = inspect.getdoc(importlib.import_module(name)) or ""
        for word in words(without_code(doc)):
            if word not in own and word.lower() not in own and known.unknown([word]):
                unknown.setdefault(word, name)
    assert unknown == {}
