"""Files as laboratories bring them: broken, odd, and right ones in odd clothes."""

import gzip
import io
import zipfile

import numpy as np

#: A swing that every file below is made of, with v the derivative of q.
T = np.linspace(0.0, 4.0, 41)
Q, V = 0.5 * np.cos(2 * T), -np.sin(2 * T)


def table(names="t,q,v", columns=(T, Q, V), mark=",", end="\n"):
    """A table of text."""
    rows = [mark.join(f"{x:.9g}" for x in row) for row in zip(*columns, strict=True)]
    return end.join([names.replace(",", mark), *rows, ""])


def changed(line, cell, text):
    """The usual table with another cell; lines are numbered as an editor does."""
    lines = [x.split(",") for x in table().split("\n")]
    lines[line - 1][cell] = text
    return "\n".join(",".join(x) for x in lines)


def archive(**arrays):
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def objects():
    file = io.BytesIO()
    rows = np.array([{"t": 0.0}, None], dtype=object)
    np.savez(file, t=T, q=Q, v=rows, allow_pickle=True)
    return file.getvalue()


def zipped(text):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        made.writestr("lab.csv", text)
    return file.getvalue()


def same(found):
    """Whether it is the swing, whole."""
    (one,) = found
    return (
        len(one.t) == len(T)
        and np.allclose(one.t - one.t[0], T, atol=1e-6)
        and np.allclose(one.y.q[0, :, 0], Q, atol=1e-6)
        and np.allclose(one.y[1][0, :, 0], V, atol=1e-6)
    )


def parts(*lengths):
    """Whether it is several motions of these lengths."""
    return lambda found: [len(each.t) for each in found] == list(lengths)


GAP = Q.copy()
GAP[15:20] = np.nan
COMMAS = "\n".join(";".join(x.split(",")) for x in table().split("\n")).replace(
    ".", ","
)
TWICE = (np.concatenate([T, T]), np.concatenate([Q, Q]), np.concatenate([V, V]))
WRAPPED = (3 * T + np.pi) % (2 * np.pi) - np.pi
MAT73 = b"MATLAB 7.3 MAT-file".ljust(116) + bytes(8) + b"\x00\x02IM" + bytes(384)


def moved(found):
    return np.allclose(found[0].y.q[0, :, 0] - Q, 1e6)


def unwrapped(found):
    return np.allclose(np.diff(found[0].y.q[0, :, 0]), 0.3, atol=1e-6)


#: kind → (name of the file, contents, what comes of it): the words of an error, a check
#: of what was read, or ("warned", the words of a warning).
FILES = {
    "empty": ("a.csv", "", "no rows of numbers"),
    "white space": ("a.csv", " \n\n\t\n", "no rows of numbers"),
    "a header alone": ("a.csv", "t,q,v\n", "no rows of numbers"),
    "no header": ("a.csv", table().split("\n", 1)[1], "no column names"),
    "a cell of text": ("a.csv", changed(7, 1, "broken"), "in line 7 it is 'broken'"),
    "a cell of ERROR codes": ("a.csv", changed(7, 2, "#DIV/0!"), "'#DIV/0!'"),
    "an unfinished number": ("a.csv", changed(9, 1, "1e"), "in line 9 it is '1e'"),
    "mixed separators": (
        "a.csv",
        table().replace("\n0.1,", "\n0.1;", 1),
        "line 3 has 2",
    ),
    "separators that change to tabs": (
        "a.csv",
        "\n".join(
            x if i < 20 else x.replace(",", "\t")
            for i, x in enumerate(table().split("\n"))
        ),
        "22 lines do not have 3 cells",
    ),
    "a row that is too long": ("a.csv", table() + "4.1,1,2,3\n", "line 43 has 4"),
    "decimal commas": ("a.csv", COMMAS, same),
    "decimal commas between commas": (
        "a.csv",
        "t,q,v\n0,0,0,5,0,0\n0,1,0,4,0,1\n",
        "Decimals between commas",
    ),
    "tabs": ("a.tsv", table(mark="\t"), same),
    "semicolons": ("a.csv", table(mark=";"), same),
    "spaces": ("a.txt", table(mark="  "), same),
    "lines of Windows": ("a.csv", table(end="\r\n"), same),
    "lines of an old Macintosh": ("a.csv", table(end="\r"), same),
    "a byte order mark": ("a.csv", "\ufeff" + table(), same),
    "UTF-16": ("a.csv", table().encode("utf-16"), "not text in UTF-8"),
    "Latin-1 units": (
        "a.csv",
        table("t [s],q,v").encode("latin-1").replace(b"q,", b"q [\xb0],", 1),
        "not text in UTF-8",
    ),
    "bytes of nothing": ("a.csv", bytes(range(256)) * 4, "not text in UTF-8"),
    "a picture": ("a.csv", b"\x89PNG\r\n\x1a\n" + bytes(200), "not text in UTF-8"),
    "comments above": ("a.csv", "# a lab\n# 2024\n" + table(), same),
    "quoted names": ("a.csv", table('"t","q","v"'), same),
    "duplicated columns": (
        "a.csv",
        table("t,q,q,v", (T, Q, Q, V)),
        "two columns are q",
    ),
    "duplicated times": ("a.csv", changed(8, 0, "0.5"), "0.5 comes after 0.5"),
    "times that go backwards once": ("a.csv", changed(8, 0, "0.05"), parts(6, 35)),
    "times from the last to the first": (
        "a.csv",
        table(columns=(T[::-1], Q, V)),
        "3.9 comes after 4",
    ),
    "time that starts again": ("a.csv", table(columns=TWICE), parts(41, 41)),
    "trials in a column": (
        "a.csv",
        table("trial,t,q,v", (np.repeat([1, 2], 41), *TWICE)),
        parts(41, 41),
    ),
    "trials that are mixed": (
        "a.csv",
        table(
            "trial,t,q,v",
            (np.tile([1, 2], 41), np.repeat(T, 2), np.repeat(Q, 2), np.repeat(V, 2)),
        ),
        parts(41, 41),
    ),
    "a block of NaN": ("a.csv", table(columns=(T, GAP, V)), parts(15, 21)),
    "an infinite value": ("a.csv", changed(9, 1, "inf"), parts(7, 33)),
    "NaN alone": (
        "a.csv",
        table(columns=(T, np.full(41, np.nan), V)),
        "leave out a column that is empty",
    ),
    "empty cells": ("a.csv", changed(9, 1, ""), parts(7, 33)),
    "degrees by name": (
        "a.csv",
        table("t,theta [deg],omega [deg/s]", (T, np.degrees(Q), np.degrees(V))),
        same,
    ),
    "degrees without a unit": (
        "a.csv",
        table("t,theta,omega", (T, np.degrees(Q), V)),
        ("warned", "q changes by 57.3"),
    ),
    "milliseconds": ("a.csv", table("time_ms,q,v", (1000 * T, Q, V)), same),
    "a huge offset of time": ("a.csv", table(columns=(T + 1e6, Q, V)), same),
    "a time of the Unix clock": (
        "a.csv",
        "t,q,v\n"
        + "".join(
            f"{1.7e9 + t:.3f},{q:.9g},{v:.9g}\n"
            for t, q, v in zip(T, Q, V, strict=True)
        ),
        same,
    ),
    "a huge offset of position": ("a.csv", table(columns=(T, Q + 1e6, V)), moved),
    "an angle that is wrapped": (
        "a.csv",
        table("t,theta,omega", (T, WRAPPED, 0 * T + 3)),
        unwrapped,
    ),
    "velocities of another sign": (
        "a.csv",
        table(columns=(T, Q, -V)),
        ("warned", "q changes by -1"),
    ),
    "names of nobody": ("a.csv", table("a,b,c"), "no column t and no column q"),
    "an index column": ("a.csv", table(",t,q,v", (np.arange(41), T, Q, V)), same),
    "an .npz of other keys": (
        "a.npz",
        archive(x1=T, foo=Q),
        "no column t. The columns are x1, foo",
    ),
    "an .npz of other lengths": (
        "a.npz",
        archive(t=T, q=Q[:9], v=V),
        "q has shape (9,)",
    ),
    "an .npz of objects": ("a.npz", objects(), "Python's objects in v"),
    "an .npz of complex numbers": (
        "a.npz",
        archive(t=T, q=Q + 0j, v=V),
        "expected real numbers",
    ),
    "an .npz of texts": (
        "a.npz",
        archive(t=T, q=Q.astype(str), v=V),
        "expected real numbers",
    ),
    "an .npz cut short": ("a.npz", archive(t=T, q=Q, v=V)[:-60], "not an .npz file"),
    "an .npz that is a table": ("a.npz", table(), "not an .npz file"),
    "an .npy of one row": ("a.npy", b"\x93NUMPY", "not an .npy file"),
    "a table that is an .npz": ("a.csv", archive(t=T, q=Q, v=V), "not text in UTF-8"),
    "a .mat of version 7.3": ("a.mat", MAT73, "save(..., '-v7')"),
    "a .mat of nothing": ("a.mat", b"nothing", "not a .mat file"),
    "gzip": ("a.csv.gz", gzip.compress(table().encode()), "unknown kind"),
    "gzip cut short": (
        "a.csv.gz",
        gzip.compress(table().encode())[:-20],
        "unknown kind",
    ),
    "a zip of a table": ("a.zip", zipped(table()), "unknown kind"),
    "a workbook by its name": ("a.xlsx", zipped(table()), "unknown kind"),
    "JSON": ("a.json", '{"t": [0, 1]}', "unknown kind"),
    "no ending": ("a", table(), "unknown kind"),
    "a page of the web": (
        "a.csv",
        "<!DOCTYPE html><html><body>404</body></html>",
        "no rows of numbers",
    ),
}
