"""report.html: what was found, on one page that can be mailed.

One file without a script, a font or a picture from elsewhere: figures are in it. All
text is escaped, as names of columns come from somebody's file.
"""

import base64
import dataclasses
import html
import pathlib
import shlex
from collections.abc import Sequence
from typing import Any

from jaxphys import files

__all__ = [
    "bullets",
    "command_line",
    "figures",
    "number",
    "paragraph",
    "section",
    "table",
    "warned",
    "write_page",
]

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2128; --paper: #fff; --line: #d0d7de;
  --soft: #f4f6f8; --warn: #fff4d6; --edge: #c58b00; }
@media (prefers-color-scheme: dark) { :root { --ink: #dde3ea; --paper: #14181d;
  --line: #39414b; --soft: #1f252c; --warn: #38300f; --edge: #d9a520; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 58rem; padding: 1rem; background: var(--paper);
  color: var(--ink); font: 16px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; line-height: 1.25; } h2 { font-size: 1.15rem;
  border-bottom: 1px solid var(--line); margin-top: 2rem; }
.wide { overflow-x: auto; } table { border-collapse: collapse; }
th, td { padding: .25rem .8rem .25rem 0; text-align: left; vertical-align: top;
  border-bottom: 1px solid var(--line); font-variant-numeric: tabular-nums; }
td { min-width: 4rem; overflow-wrap: normal; }
code { background: var(--soft); padding: .5rem; display: block; white-space: pre-wrap; }
.warning { background: var(--warn); border-left: 4px solid var(--edge);
  padding: .4rem .8rem; margin: .5rem 0; }
figure { margin: 1rem 0; } figcaption { font-size: .9rem; }
img { max-width: 100%; height: auto; background: #fff; border-radius: 4px; }
"""

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<h1>{title}</h1>
{body}
</body>
</html>
"""


def number(x: float | None, digits: int = 4) -> str:
    """A number for people; a dash where there is none.

    Example:
      >>> number(0.0123456), number(None)
      ('0.01235', '–')
    """
    return "–" if x is None else f"{x:.{digits}g}"


def paragraph(text: str) -> str:
    """A paragraph of plain text."""
    return f"<p>{html.escape(text)}</p>"


def bullets(lines: Sequence[str]) -> str:
    """A list of plain sentences."""
    rows = "\n".join(f"<li>{html.escape(line)}</li>" for line in lines)
    return f"<ul>\n{rows}\n</ul>" if lines else ""


def warned(lines: Sequence[str]) -> str:
    """Warnings, a box each."""
    return "\n".join(
        f'<div class="warning" role="note">{html.escape(line)}</div>' for line in lines
    )


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells in plain text, the first row a header.

    Example:
      >>> "<td>&lt;b&gt;</td>" in table([["name"], ["<b>"]])
      True
    """
    head, *rest = rows
    lines = ["<tr>" + "".join(f"<th>{html.escape(x)}</th>" for x in head) + "</tr>"]
    lines += [
        "<tr>" + "".join(f"<td>{html.escape(x)}</td>" for x in row) + "</tr>"
        for row in rest
    ]
    return '<div class="wide"><table>\n' + "\n".join(lines) + "\n</table></div>"


def section(title: str, *parts: str) -> str:
    """A heading and what is below it, parts that other functions here made."""
    return "\n".join([f"<h2>{html.escape(title)}</h2>", *(x for x in parts if x)])


def figures(folder: pathlib.Path, captions: dict[str, str]) -> str:
    """The PNG files of a folder, in this order where they are there, within the page.

    Args:
      folder: of the run.
      captions: name of the file → what it shows.
    """
    shown = []
    for name, caption in captions.items():
        path = folder / name
        if path.is_file():
            text = base64.b64encode(path.read_bytes()).decode()
            caption = html.escape(caption)
            shown.append(
                f'<figure><img alt="{caption}" src="data:image/png;base64,{text}">\n'
                f"<figcaption>{caption}</figcaption></figure>"
            )
    return "\n".join(shown)


def command_line(command: str, options: Any) -> str:
    """The command that has these options, without those that are as usual.

    Args:
      command: such as "fit hnn".
      options: the dataclass of its options.

    Example:
      >>> from jaxphys.commands import FitOptions
      >>> options = FitOptions(pathlib.Path("a b.csv"), mass=(2.0,), progress=False)
      >>> command_line("fit hnn", options)
      "jaxphys fit hnn --data 'a b.csv' --mass 2.0 --no-progress"
    """
    words = ["jaxphys", *command.split()]
    for field in dataclasses.fields(options):
        value = getattr(options, field.name)
        if value == field.default:
            continue
        flag = "--" + field.name.replace("_", "-")
        if isinstance(value, bool):
            words.append(flag if value else flag.replace("--", "--no-", 1))
        elif isinstance(value, tuple):
            words += [flag, *map(str, value)]
        else:
            words += [flag, str(value)]
    return shlex.join(words)


def write_page(
    path: pathlib.Path,
    title: str,
    parts: Sequence[str],
    *,
    command: str,
    versions: dict[str, str],
) -> pathlib.Path:
    """The page, whole or not at all.

    Args:
      path: report.html.
      title: its heading.
      parts: its sections.
      command: the command line that made it.
      versions: of the packages.
    """
    end = section(
        "How it was made",
        f"<code>{html.escape(command)}</code>",
        table([["package", "version"], *map(list, versions.items())]),
    )
    body = "\n".join([*parts, end])
    text = _PAGE.format(title=html.escape(title), style=_STYLE, body=body)
    with files.replacing(path) as file:
        file.write(text.encode())
    return path
