"""Which column is which: roles by name, as they are usual in laboratories, and units.

The roles are the short names of the arrays, t, q, p, v, their rates, u and energy, and
`trajectory`. What is asked for comes first, then the library's own names, then guesses.
"""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from jaxphys.data._layout import COORDINATES, nearest

__all__ = ["Roles", "Table", "find_roles", "unit_factor", "without_unit"]


class Table(NamedTuple):
    """Columns of one length, numbers or text.

    Attributes:
      names: of each column, as the source has them.
      columns: one array each, (rows,).
      places: the number of each row in its source, for messages.
      word: what `places` counts: line or row.
    """

    names: list[str]
    columns: list[np.ndarray]
    places: np.ndarray
    word: str = "row"


class Roles(NamedTuple):
    """What the columns are.

    Attributes:
      columns: role → indices of its columns, in the order of the coordinates.
      units: of columns whose name has one, by index.
      angles: whether each coordinate has the name or the unit of an angle.
      unknown: names of columns that have no role.
      guessed: whether a role was found by another name than the library's.
    """

    columns: dict[str, list[int]]
    units: dict[int, str]
    angles: list[bool]
    unknown: list[str]
    guessed: bool


#: The library's own names.
_OWN = re.compile(r"(t|d?[qpv]|u|energy|trajectory)_?(\d*)")

#: Other names of a role. Velocities may be those of angles or of lengths: an omega goes
#: with a theta, whatever the order of the columns.
_WORDS = {
    (
        "t",
        "",
    ): "time times timestamp date datetime sec second seconds elapsed zeit temps",
    ("q", "angle"): "theta th angle ang phi varphi psi o",
    ("q", "line"): "x y z pos position displacement disp deflection",
    ("v", "angle"): "omega w angvel angularvelocity angularrate gyro",
    ("v", "line"): "vel velocity speed",
    ("p", "line"): "momentum mom",
    ("dv", "line"): "a acc accel acceleration",
    ("dv", "angle"): "alpha angacc angularacceleration",
    ("u", ""): "tau torque force control input",
    ("trajectory", ""): "trial run experiment episode sequence series traj repetition",
}
_ALIASES = {word: role for role, words in _WORDS.items() for word in words.split()}
_POSITIONS = "|".join(
    sorted((word for word, (role, _) in _ALIASES.items() if role == "q"), key=len)[::-1]
)
#: Names of a derivative of a position.
_DOTTED = {
    "dv": rf"({_POSITIONS}|q)_?ddot|dd_?({_POSITIONS}|q)",
    "v": rf"({_POSITIONS}|q)_?dot|d_?({_POSITIONS})",
}
_GREEK = {"θ": "theta", "ϑ": "theta", "φ": "phi", "ϕ": "phi", "ψ": "psi"}
_GREEK |= {"ω": "omega", "τ": "tau", "α": "alpha", "\u0307": "dot", "\u0308": "ddot"}
_GREEK |= {"ẋ": "xdot", "ẏ": "ydot", "ż": "zdot"}

#: What stands before x, y or z, and its role.
_BEFORE_AXES = {"position": "q", "pos": "q", "velocity": "v", "vel": "v", "v": "v"}
_BEFORE_AXES |= {"p": "p", "force": "u", "f": "u", "acc": "dv", "a": "dv"}

#: Units at the end of a name, after an underscore.
_SUFFIX = re.compile(
    r"_(rad|deg|rad_?s|deg_?s|rad_per_s|deg_per_s|rpm|ms|us|s|sec|m|mm|cm|m_s|nm)"
)
_ANGLES = ("rad", "deg", "°", "degree", "degrees", "radian", "radians")


def find_roles(
    names: Sequence[str],
    asked: Mapping[str, str] | None = None,
    needed: Sequence[str] = ("t", "q"),
) -> Roles:
    """The roles of columns.

    Args:
      names: of the columns.
      asked: name → role, such as {"theta": "q1", "temperature": "-"}; - leaves a
        column out. Roles that are not asked for are found by name.
      needed: roles that must be there.

    Raises:
      ValueError: where names or roles are unknown, or one that is needed is missing.
    """
    plain = [name.strip() for name in names]
    chosen = _asked(plain, asked or {})
    taken = {role for role, _ in chosen.values()}
    parts = [_parted(name) for name in plain]
    own: dict[int, tuple[str, int]] = {}
    guesses: dict[int, tuple[str, str, int]] = {}
    for index, (word, _) in enumerate(parts):
        if index in chosen or not word:
            continue
        if (match := _OWN.fullmatch(word)) and match[1] not in taken:
            own[index] = (match[1], int(match[2] or 0))
        elif (guess := _guess(word)) and guess[0] not in taken:
            guesses[index] = guess
    has = {role for role, _ in own.values()}
    guesses = {i: guess for i, guess in guesses.items() if guess[0] not in has}
    _one_of(guesses, "t")
    _one_of(guesses, "trajectory")
    columns: dict[str, list[int]] = {}
    for group in (chosen, own):
        for role in dict.fromkeys(role for role, _ in group.values()):
            if role != "-":
                columns[role] = _in_order(role, group)
    _guessed_columns(columns, guesses)
    known = {i for indices in columns.values() for i in indices}
    known |= {i for i, (role, _) in chosen.items() if role == "-"}
    # A number is that of its place, and no name.
    unknown = [
        name
        for i, name in enumerate(plain)
        if i not in known and name and not name.isdigit()
    ]
    _check(columns, plain, unknown, needed)
    _check_numbering(own, len(columns.get("q", ())), plain)
    _check_counts(columns, plain, guesses)
    unknown += _optional(columns, plain, guesses)
    units = {i: parts[i][1] for i in known if parts[i][1]}
    angles = [
        units.get(i, "") in _ANGLES
        or (i in guesses and guesses[i][1] == "angle")
        or (i in chosen and (_guess(parts[i][0]) or ("", "", 0))[1] == "angle")
        for i in columns.get("q", ())
    ]
    new = set(guesses) & {i for indices in columns.values() for i in indices}
    guessed = any(parts[i][0] != "time" for i in new)
    return Roles(columns, units, angles, unknown, guessed)


def _parted(name: str) -> tuple[str, str]:
    """A name in plain letters, and its unit or an empty text."""
    word, unit = name.lower().strip(), ""
    brackets = re.fullmatch(r"(.+?)\s*[\[(]\s*([^\])]*?)\s*[\])]", word)
    slash = re.fullmatch(r"(\w+)\s*/\s*([a-zµ°]+(?:/s)?)", word)
    if match := brackets or slash:
        word, unit = match[1], match[2]
    for letter, letters in _GREEK.items():
        word = word.replace(letter, letters)
    word = re.sub(r"[\s.\-]+", "_", word)
    if not unit and (match := re.fullmatch(rf"(\w+?){_SUFFIX.pattern}", word)):
        word, unit = match[1], match[2].replace("_per_", "/").replace("_", "/")
    word = re.sub(r"_(meas|measured|actual|act)$", "", word)
    return word, {"rads": "rad/s", "degs": "deg/s"}.get(unit, unit)


def without_unit(name: str) -> str:
    """A name in plain letters without its unit.

    Example:
      >>> without_unit("θ1 [deg]"), without_unit("pos_m")
      ('theta1', 'pos')
    """
    return _parted(name)[0]


def _guess(word: str) -> tuple[str, str, int] | None:
    """(role, kind, number) of a name that is not the library's own."""
    if match := re.fullmatch(rf"({'|'.join(_BEFORE_AXES)})_?([xyz])", word):
        return _BEFORE_AXES[match[1]], "line", _axis(match[2])
    number = re.search(r"\d+", word)
    count = int(number[0]) if number else 0
    base = re.sub(r"_*\d+_*", "_", word).strip("_")
    flat = base.replace("_", "")
    for role, shape in _DOTTED.items():
        if match := re.fullmatch(shape, base):
            what = match[1] or match[2]
            return role, _ALIASES.get(what, ("q", ""))[1], count or _axis(what)
    if flat in _ALIASES:
        role, kind = _ALIASES[flat]
        return role, kind, count or _axis(flat)
    return None


def _axis(word: str) -> int:
    return "xyz".index(word) + 1 if word in ("x", "y", "z") else 0


def _asked(
    names: Sequence[str], asked: Mapping[str, str]
) -> dict[int, tuple[str, int]]:
    """Index → (role, number) of what was asked for."""
    lower = [name.lower() for name in names]
    short = [_parted(name)[0] for name in names]
    found = {}
    for name, role in asked.items():
        wanted = name.strip().lower()
        match = _OWN.fullmatch(role.strip().lower())
        if role != "-" and match is None:
            raise ValueError(
                f"columns has {name}:{role}; expected a role: t, q, p, v, u, dq, dp, "
                "dv, energy or trajectory, with a number where there are several, "
                "such as q2, or - to leave the column out."
            )
        places = [i for i, x in enumerate(lower) if x == wanted]
        places = places or [i for i, x in enumerate(short) if x == wanted]
        if len(places) != 1:
            many = "no column" if not places else f"{len(places)} columns"
            raise ValueError(
                f"columns asks for {name}, and there is {many} of that name; there "
                f"are {', '.join(names)}."
            )
        number = int(match[2] or 0) if match else 0
        found[places[0]] = (match[1] if match else "-", number)
    return found


def _in_order(role: str, group: Mapping[int, tuple[str, int]]) -> list[int]:
    """The columns of a role by their numbers, without numbers as they come."""
    own = {i: number for i, (which, number) in group.items() if which == role}
    numbers = [n for n in own.values() if n]
    if len(set(numbers)) < len(numbers):
        twice = next(n for n in numbers if numbers.count(n) > 1)
        raise ValueError(f"two columns are {role}{twice}; rename one.")
    return sorted(own, key=lambda i: (own[i], i))


def _one_of(guesses: dict[int, tuple[str, str, int]], role: str) -> None:
    """Of several guesses for one column the first stays."""
    found = [i for i, guess in guesses.items() if guess[0] == role]
    for i in found[1:]:
        del guesses[i]


def _guessed_columns(
    columns: dict[str, list[int]], guesses: Mapping[int, tuple[str, str, int]]
) -> None:
    """Add guessed columns, velocities in the order of their positions."""
    kinds = list(dict.fromkeys(g[1] for g in guesses.values() if g[0] == "q"))

    def place(index: int) -> tuple[int, int, int]:
        _, kind, number = guesses[index]
        return (kinds.index(kind) if kind in kinds else len(kinds), number, index)

    for role in dict.fromkeys(guess[0] for guess in guesses.values()):
        own = [i for i, guess in guesses.items() if guess[0] == role]
        columns[role] = sorted(own, key=place)


def _check(
    columns: Mapping[str, list[int]],
    names: Sequence[str],
    unknown: Sequence[str],
    needed: Sequence[str],
) -> None:
    missing = [role for role in needed if not columns.get(role)]
    if missing:
        nameless = all(name.isdigit() for name in names)
        how = "there are no column names" if nameless else ""
        how = how or f"there is no column {' and no column '.join(missing)}"
        first = next(iter(unknown), names[0] if nameless else "NAME")
        raise ValueError(
            f"{how}. The columns are {', '.join(names)}.{nearest(missing, unknown)} "
            "Say which is which, such as by "
            f"--columns {first}:{missing[0]} on the command line, or columns="
            f'{{"{first}": "{missing[0]}"}}: the roles are t, q or q1 … qn, p…, v…, '
            "u or u1 … um, energy, trajectory."
        )
    for role in ("t", "energy", "trajectory"):
        if len(columns.get(role, ())) > 1:
            shown = ", ".join(names[i] for i in columns[role])
            raise ValueError(f"two columns are {role}: {shown}; rename one.")


def _check_counts(
    columns: Mapping[str, list[int]],
    names: Sequence[str],
    guesses: Mapping[int, tuple[str, str, int]],
) -> None:
    n = len(columns.get("q", ()))
    for role in COORDINATES:
        found = columns.get(role, [])
        free = role.startswith("d") and any(i in guesses for i in found)
        if n and found and len(found) != n and not free:
            raise ValueError(
                f"{len(found)} columns are {role} ({_shown(found, names)}) and {n} are "
                f"q ({_shown(columns['q'], names)}); expected one for each q. Say "
                "which is which by columns, such as "
                f"{names[found[0]]}:{role}1, and leave one out by NAME:-."
            )


def _check_numbering(
    own: Mapping[int, tuple[str, int]], n: int, names: Sequence[str]
) -> None:
    """Raise where the library's own names are numbered with gaps, or twice."""
    for role in dict.fromkeys(role for role, _ in own.values()):
        places = [i for i, (which, _) in own.items() if which == role]
        numbers = sorted(own[i][1] for i in places)
        count = n if n and role in COORDINATES else len(numbers)
        if numbers in ([*range(1, count + 1)], [0]):
            continue
        if len(set(numbers)) < len(numbers):
            twice = next(names[i] for i in places if numbers.count(own[i][1]) > 1)
            raise ValueError(f"two columns are {twice}; rename one.")
        expected = f"{role}1 … {role}{count}" if count > 1 else role
        raise ValueError(
            f"the columns of {role} are {_shown(places, names)}; expected {expected}, "
            "numbered from 1 without a gap."
        )


def _shown(indices: Sequence[int], names: Sequence[str]) -> str:
    return ", ".join(names[i] for i in indices)


def _optional(
    columns: dict[str, list[int]],
    names: Sequence[str],
    guesses: Mapping[int, tuple[str, str, int]],
) -> list[str]:
    """Leave out accelerations that are not one for each q; returns their names."""
    found = columns.get("dv", [])
    n = len(columns.get("q", ()))
    wrong = any(i in guesses for i in found) and len(found) != n
    return [names[i] for i in columns.pop("dv")] if wrong else []


#: Units that are changed into the library's: radians and seconds.
_FACTORS = {
    "q": {"deg": ("rad", np.pi / 180), "rev": ("rad", 2 * np.pi)},
    "v": {"deg/s": ("rad/s", np.pi / 180), "rpm": ("rad/s", np.pi / 30)},
    "dv": {"deg/s²": ("rad/s²", np.pi / 180), "deg/s^2": ("rad/s²", np.pi / 180)},
    "t": {"ms": ("s", 1e-3), "us": ("s", 1e-6), "µs": ("s", 1e-6), "min": ("s", 60.0)},
}
_SAME = {"°": "deg", "degree": "deg", "degrees": "deg", "°/s": "deg/s", "dps": "deg/s"}
_SAME |= {"degrees/s": "deg/s", "°/s²": "deg/s²", "msec": "ms", "milliseconds": "ms"}
_SAME |= {"radians": "rad", "radian": "rad", "seconds": "s", "sec": "s"}


def unit_factor(role: str, unit: str) -> tuple[str, float]:
    """The unit in which a column is kept, and what its numbers are multiplied by.

    Example:
      >>> unit_factor("t", "ms"), unit_factor("q", "m")
      (('s', 0.001), ('m', 1.0))
    """
    plain = _SAME.get(unit, unit)
    return _FACTORS.get(role, {}).get(plain, (plain, 1.0))
