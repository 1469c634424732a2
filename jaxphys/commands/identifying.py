"""`jaxphys identify`: the constants of a known law from a file of measurements.

With --learned, a network for what the law misses is fitted together with them.
"""

import contextlib
import dataclasses
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxphys import data, plots
from jaxphys.checks import check_count
from jaxphys.commands.beside import draw_learned, learned_section
from jaxphys.commands.fitting import read_measured
from jaxphys.commands.fitting.pages import columns_in, data_section
from jaxphys.commands.fitting.prepare import intersample_of
from jaxphys.commands.fitting.resuming import digest
from jaxphys.commands.laws import constants_of, keep_network, known_law, law_facts
from jaxphys.commands.pages import (
    command_line,
    figures,
    number,
    paragraph,
    section,
    table,
    warned,
    write_page,
)
from jaxphys.experiments import record
from jaxphys.learning.beside import LEARNED, KnownAndLearned, known_and_learned
from jaxphys.learning.constants import KINDS, Identified, identify
from jaxphys.names import check_known
from jaxphys.types import System

__all__ = ["Identification", "IdentifyOptions", "identify_constants"]


#: Options that a law with something learned beside it cannot have.
_ALONE = ("bounds", "sensors", "initial", "inputs", "rows", "substeps")


@dataclasses.dataclass(frozen=True)
class IdentifyOptions:
    """Find the constants of a law from measurements.

    Attributes:
      data: a file of trajectories, .csv and other tables of text, .npz, .npy, .mat or
        .parquet; positions alone will do.
      columns: what other columns are, as NAME:ROLE, such as angle:q rate:v load:u
        clock:t; NAME:- leaves one out.
      start: where to look for constants, as NAME=VALUE; of a system, those that are not
        its own; of a function, all of them, in the order of its parameters.
      fixed: constants that are known, as NAME=VALUE, or NAME for its value in start.
      bounds: as NAME=LOW:HIGH, either side may be empty.
      friction: `viscous`, `coulomb`, `quadratic`, one constant a coordinate each.
      sensors: `scale_v`, `offset_q` and so on: what is shown is scale · true + offset;
        `delay_u`: inputs act so much later than they were recorded.
      kind: `hamiltonian`, `lagrangian` or `field`, where the names of the function's
        arguments do not tell.
      initial: the state in which every motion began, positions and then velocities or
        momenta; by default it is found.
      inputs: `held` until the next time, or `linear` to it; `auto` takes linear where
        the motion shows that, else held.
      rows: of the pieces in which the record is fitted; by default half a period, 50 at
        most.
      substeps: integrator steps between two times; by default as many as it takes.
      learned: what a network learns that the law misses, together with the constants:
        `friction`, a force of velocities; `force`, of positions and velocities; or
        `energy`, a term of the energy.
      hidden: units of each hidden layer of that network.
      periodic: which coordinates are angles [rad], true or false for each; by default
        those with the name of an angle, and those that jump by whole turns.
      out: directory of the results; `runs/identify-DATE-TIME` by default.
    """

    data: pathlib.Path
    columns: tuple[str, ...] = ()
    start: tuple[str, ...] = ()
    fixed: tuple[str, ...] = ()
    bounds: tuple[str, ...] = ()
    friction: tuple[str, ...] = ()
    sensors: tuple[str, ...] = ()
    kind: str | None = None
    initial: tuple[float, ...] | None = None
    inputs: str = "auto"
    rows: int | None = None
    substeps: int | None = None
    learned: str | None = None
    hidden: tuple[int, ...] = (8,)
    periodic: tuple[bool, ...] = ()
    out: pathlib.Path | None = None


class Identification(NamedTuple):
    """What `identify_constants` leaves.

    Attributes:
      found: constants, errors, and what is not determined; or, with `learned`, the
        constants and what was learned beside them.
      look: what the data are like.
      out: the directory.
    """

    found: Identified | KnownAndLearned
    look: data.Look
    out: pathlib.Path


def identify_constants(law: str, options: IdentifyOptions) -> Identification:
    """Find the constants of a law, print them, and write report.html and report.json.

    What ends before its time leaves a report.json whose status is `interrupted`.

    Args:
      law: a system of `jaxphys.systems.names()`, or FILE.py:NAME, a function
        H(params, q, p), L(params, q, v) or f(t, y, params) in a file; its params are a
        NamedTuple of the constants of `start`, read as `c.mass` or `c["mass"]`.
      options: the file, where to begin, and what is known.

    Returns:
      An `Identification`.

    Raises:
      ValueError: for laws, data and options that do not fit, with nothing written.
      FileNotFoundError: where there is no such file.
    """
    out = pathlib.Path(options.out or record.dated_directory("identify"))
    record.check_empty(out)
    if options.kind is not None:
        check_known("kind", options.kind, KINDS)
    if options.substeps is not None:
        check_count("substeps", options.substeps)
    check_known("inputs", options.inputs, ("auto", *data.INTERSAMPLE))
    _check_learned(options)
    given = dict(_value("start", each) for each in options.start)
    # A name alone is fixed at its value in start.
    fixed = {each.partition("=")[0]: each for each in options.fixed}
    given |= dict(_value("fixed", each) for each in fixed.values() if "=" in each)
    known = known_law(law)
    # Those of friction and sensors begin where these say.
    names = (*options.friction, *options.sensors)
    extras = {k: given.pop(k) for k in list(given) if k in names}
    constants: Any = given
    if not isinstance(known, System):
        if not given:
            raise ValueError(
                "a function as a law needs --start NAME=VALUE for each of its "
                "constants, such as --start mass=1 stiffness=2."
            )
        constants = constants_of(given)
    measured = read_measured(options)
    look = data.look(measured, periodic=options.periodic, conservative=False)
    print(f"{look.text}\n", flush=True)
    begun = _begun_report(law, options, look)
    with _cleared(out), record.said_where_it_ends(out / "report.json", begun):
        found = _found(known, look, constants, tuple(fixed), extras, options)
        if isinstance(found, KnownAndLearned):
            facts = law_facts(law, options.kind, found.law) | keep_network(found, out)
        else:
            facts = law_facts(law, options.kind, found.bound())
    print(found)
    report = begun | {"status": "finished"} | found.report() | {"model": facts}
    record.write_json(out / "report.json", report)
    _draw(law, look, found, out)
    _write_page(law, options, look, found, out)
    print(f"report and figure in {out}; to go on: jaxphys predict {out} --state …")
    return Identification(found, look, out)


def _check_learned(options: IdentifyOptions) -> None:
    """A ValueError where options do not go together with what is learned."""
    usual = {each.name: each.default for each in dataclasses.fields(options)}
    if options.learned is None:
        if options.hidden != usual["hidden"]:
            raise ValueError(
                "hidden is of the network of --learned, which is missing; add it, or "
                "leave hidden out."
            )
        return
    check_known("learned", options.learned, LEARNED)
    for units in options.hidden:
        check_count("hidden", units)
    for name in _ALONE:
        if getattr(options, name) != usual[name]:
            raise ValueError(
                f"{name} cannot be used together with --learned; leave one of them out."
            )


def _found(
    law: System | Callable,
    look: data.Look,
    constants: Any,
    fixed: tuple[str, ...],
    extras: Mapping[str, float],
    options: IdentifyOptions,
) -> Identified | KnownAndLearned:
    """The constants of a law, alone or together with what it misses."""
    shared: dict[str, Any] = {
        "fixed": fixed,
        "friction": _begun(options.friction, extras),
        "kind": options.kind,
    }
    between = intersample_of(options.inputs, look)
    if options.learned is None:
        return identify(
            law,
            look.trajectories,
            constants,
            **shared,
            bounds=_bounds(options.bounds),
            sensors=_begun(options.sensors, extras),
            initial=options.initial,
            inputs=between,
            rows=options.rows,
            substeps=options.substeps,
        )
    return known_and_learned(
        law,
        [data.held_inputs(each, between) for each in look.trajectories],
        constants,
        **shared,
        learned=options.learned,
        periodic=options.periodic or getattr(law, "periodic", None) or look.periodic,
        hidden=options.hidden,
        told=lambda line: print(line, flush=True),
    )


def _value(option: str, asked: str) -> tuple[str, float]:
    """Name and number of NAME=VALUE."""
    name, _, text = asked.partition("=")
    try:
        return name, float(text)
    except ValueError:
        raise ValueError(
            f"{option} has {asked}; expected NAME=VALUE with a number."
        ) from None


def _bounds(asked: Sequence[str]) -> dict[str, tuple[float, float]]:
    """NAME=LOW:HIGH as a dict."""
    found = {}
    for each in asked:
        name, equals, text = each.partition("=")
        low, colon, high = text.partition(":")
        try:
            pair = (float(low or "-inf"), float(high or "inf"))
        except ValueError:
            pair = None
        if not (equals and colon and pair):
            raise ValueError(
                f"bounds has {each}; expected NAME=LOW:HIGH, such as mass=0:10 or "
                "mass=0: without an upper one."
            )
        found[name] = pair
    return found


def _begun(names: Sequence[str], start: Mapping[str, float]) -> dict[str, float]:
    """Where the constants of friction or of sensors begin."""
    usual = {name: float(name.startswith("scale")) for name in names}
    return {name: start.get(name, x) for name, x in usual.items()}


def _begun_report(
    law: str, options: IdentifyOptions, look: data.Look
) -> dict[str, Any]:
    """The report before anything is found."""
    shown = {
        name: str(value) if isinstance(value, pathlib.Path) else value
        for name, value in dataclasses.asdict(options).items()
        if name != "out"
    }
    return {
        "status": "running",
        "law": law,
        "options": shown,
        "versions": record.versions(),
        "data": look.facts | {"warnings": [list(pair) for pair in look.warnings]},
    }


@contextlib.contextmanager
def _cleared(out: pathlib.Path) -> Iterator[None]:
    """A directory for the report, which goes where what was asked for does not fit."""
    new = [folder for folder in (out, out.parent) if not folder.exists()]
    out.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except ValueError:
        (out / "report.json").unlink(missing_ok=True)
        for folder in new:
            folder.rmdir()
        raise


def _write_page(
    law: str,
    options: IdentifyOptions,
    look: data.Look,
    found: Identified | KnownAndLearned,
    out: pathlib.Path,
) -> None:
    """report.html: the constants with errors, and all that led to them."""
    file, name = pathlib.Path(options.data), law.rpartition(":")[2]
    title = f"Constants of {name} by {file.name}"
    errors = "With one standard error each, if the noise is independent."
    if isinstance(found, KnownAndLearned):
        title = f"{name} and what it misses, by {file.name}"
        errors = f"{errors[:-1]}, and with what is learned beside them."
        how_good = learned_section(found, out)
    else:
        how_good = _left_section(look, found, out)
    parts = [
        warned(found.warnings),
        section(
            "The constants",
            paragraph(errors),
            table([["constant", "value", "error"], *found.rows()]),
        ),
        how_good,
        data_section(look, file.name, digest(file)),
    ]
    command = command_line(f"identify {law}", options)
    versions = record.versions()
    page = out / "report.html"
    write_page(page, title, parts, command=command, versions=versions)


def _left_section(look: data.Look, found: Identified, out: pathlib.Path) -> str:
    """What a law leaves of each column."""
    columns = columns_in(look.trajectories[0])
    numbers = zip(columns, found.rms_of_columns, found.missed, strict=False)
    rows = [[x, number(rms), number(missed)] for x, rms, missed in numbers]
    return section(
        "How good the law is",
        paragraph(
            "What is left of each column, root mean square, and the same in units "
            "of the noise that the column has by itself: one is as good as any law "
            "can be."
        ),
        table([["column", "left", "in units of its noise"], *rows]),
        figures(out, {"motion.png": "The longest motion, and the law's."}),
    )


def _draw(
    law: str, look: data.Look, found: Identified | KnownAndLearned, out: pathlib.Path
) -> None:
    """The longest measured motion and the one found for it; what was learned."""
    longest = int(np.argmax([len(each.t) for each in found.shown]))
    label = law.rpartition(":")[2].replace("_", " ")
    motions = look.trajectories[longest], {label: found.shown[longest]}
    plots.save(plots.followed_motion(*motions), out / "motion.png")
    if isinstance(found, KnownAndLearned):
        draw_learned(found, look, out / "learned.png")
