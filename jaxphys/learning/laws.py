"""Which law do these data follow? Several models fitted, followed, and ranked.

Each is fitted to whole records, weights and starts together, and judged by one rollout
along every record, through what was held out as well, in units of the noise: a loss of
derivatives tells hardly anything apart that a rollout does not forgive.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxphys import checkpoint, data, stopping
from jaxphys.learning.arguments import LAGRANGIANS, arguments_for
from jaxphys.learning.motions import learn
from jaxphys.learning.recipe import Recipe
from jaxphys.learning.shooting import Judged, Whole, coverage, judge, learn_whole
from jaxphys.names import check_known
from jaxphys.training import one_blas_thread
from jaxphys.types import Array, PhaseState, PyTree, TangentState, Trajectories

__all__ = ["LAWS", "Law", "Ranked", "Ranking", "which_law"]

#: A simpler law whose score is within this factor of the best one's is preferred.
_AS_GOOD = 1.25

#: Why laws are left out after a signal.
_INTERRUPTED = "interrupted"

#: Updates of the derivatives that each fit begins with.
_BEGINNING = 200


class Law(NamedTuple):
    """A kind of law that may be tried.

    Attributes:
      kind: one of `jaxphys.checkpoint.KINDS`.
      what: in words.
      friction: whether a friction is added to a Lagrangian.
      keeps: whether the energy stays where nothing pushes.
      pushed: whether inputs act on it.
    """

    kind: str
    what: str
    friction: bool = False
    keeps: bool = False
    pushed: bool = True

    @property
    def of_velocities(self) -> bool:
        """Whether it moves in q and v, or in q and p."""
        return self.kind in (*LAGRANGIANS, "second_order")


#: What may be tried, the simplest first.
LAWS = {
    "separable": Law("separable", "T(p) + V(q)", keeps=True, pushed=False),
    "structured": Law("structured", "½ pᵀM⁻¹p + V(q)", keeps=True, pushed=False),
    "delan": Law("delan", "½ vᵀMv − V(q)", keeps=True),
    "hnn": Law("hnn", "any H(q, p)", keeps=True, pushed=False),
    "lnn": Law("lnn", "any L(q, v)", keeps=True),
    "port_hamiltonian": Law("port_hamiltonian", "½ pᵀM⁻¹p + V(q), friction"),
    "delan+friction": Law("delan", "½ vᵀMv − V(q), friction", friction=True),
    "dissipative": Law("dissipative", "any H, and a potential of loss", pushed=False),
    "second_order": Law("second_order", "any acceleration"),
    "neural_ode": Law("neural_ode", "any vector field"),
}

#: Those that are tried where none are named: one that stays, one with each friction,
#: and the baselines.
_USUAL = (
    "structured",
    "delan",
    "hnn",
    "port_hamiltonian",
    "delan+friction",
    "dissipative",
    "second_order",
    "neural_ode",
)


class Ranked(NamedTuple):
    """One law, fitted and judged.

    Attributes:
      name: one of `LAWS`.
      arguments: of its model.
      whole: the fit.
      judged: its rollouts.
      bands: by how much its bands of 90 % must be stretched, and what part of the
        measurements is then in them; None where that is not known.
    """

    name: str
    arguments: dict[str, Any]
    whole: Whole
    judged: Judged
    bands: tuple[float, float] | None

    @property
    def score(self) -> float:
        """Geometric mean of the misfits over whole records and where held out."""
        return float(np.sqrt(self.judged.misfit * self.judged.misfit_held_out))

    @property
    def params(self) -> PyTree:
        """The weights."""
        return self.whole.params


class Ranking(NamedTuple):
    """Laws in the order of their rollouts, the best first; it prints as a table.

    Attributes:
      rows: the laws that were fitted.
      recommended: the name of one.
      reason: why, in a sentence or two.
      left_out: pairs of a name, and why it was not tried or could not be fitted.
      noise: the unit of each column, (2n,).
      look: what the data are like.
    """

    rows: tuple[Ranked, ...]
    recommended: str
    reason: str
    left_out: tuple[tuple[str, str], ...]
    noise: np.ndarray
    look: data.Look

    def row(self, name: str) -> Ranked:
        """The law of that name."""
        return {each.name: each for each in self.rows}[name]

    @property
    def interrupted(self) -> bool:
        """Whether a signal ended it before all laws were tried."""
        return any(why == _INTERRUPTED for _, why in self.left_out)

    @property
    def model(self) -> checkpoint.Learned:
        """The recommended model, ready to be called and followed."""
        row = self.row(self.recommended)
        kind = LAWS[row.name].kind
        return checkpoint.Learned(kind, row.arguments, row.params, {})

    def report(self) -> dict[str, Any]:
        """All of it as JSON has it."""
        return {
            "status": "interrupted" if self.interrupted else "finished",
            "recommended": self.recommended,
            "reason": self.reason,
            "noise": self.noise.tolist(),
            "measured_energy_change": _plain(self.rows[0].judged.measured_change),
            "laws": [_row(each) for each in self.rows],
            "left_out": [list(pair) for pair in self.left_out],
            "data": self.look.facts
            | {"warnings": [list(pair) for pair in self.look.warnings]},
        }

    def __str__(self) -> str:
        head = ["law", "", "record", "held out", "energy", "weights", "in"]
        table = [head]
        for row in self.rows:
            judged, whole = row.judged, row.whole
            table.append(
                [
                    row.name,
                    LAWS[row.name].what,
                    f"{judged.misfit:.3g}",
                    f"{judged.misfit_held_out:.3g}",
                    f"{judged.change:+.2f}" if np.isfinite(judged.change) else "–",
                    f"{whole.determined:.0f} of {whole.weights}",
                    f"{whole.seconds:.0f} s",
                ]
            )
        width = [max(len(line[i]) for line in table) for i in range(len(head))]
        lines = []
        for line in table:
            cells = [
                x.ljust(w) if i < 2 else x.rjust(w)
                for i, (x, w) in enumerate(zip(line, width, strict=True))
            ]
            lines.append("  ".join(cells).rstrip())
        change = self.rows[0].judged.measured_change
        measured = f"{change:+.2f}" if np.isfinite(change) else "not known"
        lines += [
            "record, held out: one rollout less measured, in units of the noise; "
            f"energy: its change in kinetic energies, measured {measured}",
            *(f"not tried: {name}, {why}" for name, why in self.left_out),
            f"recommended: {self.recommended}: {self.reason}",
        ]
        return "\n".join(lines)


def which_law(
    trajectories: Sequence[Trajectories],
    *,
    laws: Sequence[str] = (),
    hold_out: float = 0.2,
    by: str = "auto",
    periodic: Sequence[bool] = (),
    intersample: str = "auto",
    hidden: Sequence[int] = (),
    seconds: float = 60.0,
    key: Array | None = None,
    told: Callable[[str], None] | None = None,
    kept: Callable[[Ranking], None] | None = None,
) -> Ranking:
    """Fit several laws to whole records, and rank them by their rollouts.

    Args:
      trajectories: measured, N = 1 each, in q and v or in q and p. Of one coordinate
        velocities serve as momenta of mass one.
      laws: names of `LAWS`; by default those that fit the data, from conservative to
        a mere vector field.
      hold_out: the part of the data that is kept for the test.
      by: "trajectory", "time", or "auto", which takes trajectories where there are
        several.
      periodic: which coordinates are angles; by default as `jaxphys.data.look` finds.
      intersample: what inputs do from one time to the next, "held" or "linear"; "auto"
        takes what `jaxphys.data.look` finds.
      hidden: units of each hidden layer; by default one as wide as the data allow.
      seconds: for each law, once its derivatives are matched.
      key: a random key of weights and hold-out.
      told: called with a line of what is being done, such as `print`.
      kept: called after each law with the ranking until then, such as to write it.

    Returns:
      A `Ranking`: its rows, a recommendation, and `.model`, that law ready to be used.
      `jaxphys.plots.ranking` draws it. SIGINT or SIGTERM ends it with the laws that
      were fitted until then, and raises KeyboardInterrupt where there are none.

    Raises:
      ValueError: for unknown names, data that do not fit, and where no law could be
        fitted.

    Example:
      >>> jax.config.update("jax_enable_x64", True)
      >>> t = np.linspace(0.0, 12.0, 61)
      >>> decay = np.exp(-0.1 * t)
      >>> swing = {"t": t, "q": decay * np.cos(t), "v": -decay * np.sin(t + 0.1)}
      >>> seen = data.trajectories_from(swing)
      >>> found = which_law(seen, laws=("hnn", "neural_ode"), hidden=(4,))
      >>> found.recommended
      'neural_ode'
    """
    for name in laws:
        check_known("law", name, LAWS)
    check_known("intersample", intersample, ("auto", *data.INTERSAMPLE))
    look = data.look(trajectories, periodic=periodic, conservative=False)
    seen = look.trajectories
    between = intersample
    if between == "auto":
        between = look.facts.get("intersample", "held")
    key = jax.random.key(0) if key is None else key
    if by == "auto":
        by = "trajectory" if len(seen) > 1 else "time"
    split_key = key if by == "trajectory" else None
    train, held_out = data.split(seen, hold_out, by=by, key=split_key)
    window = _window(train)
    rows: list[Ranked] = []
    left_out: list[tuple[str, str]] = []
    with stopping.deferred() as stop:
        for name in laws or _USUAL:
            why = _INTERRUPTED if stop.asked else _unfit(LAWS[name], seen[0])
            if why:
                left_out.append((name, why))
                continue
            if told is not None:
                told(f"{name}, {LAWS[name].what}")
            own, rest = (_in_kind(LAWS[name], part) for part in (train, held_out))
            given = by, look.periodic, window, between, hidden, seconds, key, told
            try:
                row = _fitted(name, own, rest, *given)
            except ValueError as error:
                left_out.append((name, f"could not be fitted: {error}"))
                continue
            if row is None:
                left_out.append((name, _INTERRUPTED))
            else:
                rows.append(row)
                if kept is not None:
                    kept(_ranking(rows, left_out, look))
    if stop.asked and not rows:
        raise KeyboardInterrupt
    if not rows:
        reasons = "; ".join(f"{name}: {why}" for name, why in left_out)
        raise ValueError(f"no law could be fitted to these data: {reasons}")
    return _ranking(rows, left_out, look)


def _ranking(
    fitted: Sequence[Ranked], left_out: Sequence[tuple[str, str]], look: data.Look
) -> Ranking:
    """The laws in order, with the one to take."""
    rows = sorted(fitted, key=lambda row: row.score)
    chosen, reason = _recommended(rows)
    noise = rows[0].whole.own_noise
    return Ranking(tuple(rows), chosen, reason, tuple(left_out), noise, look)


def _window(train: Sequence[Trajectories]) -> int:
    """The smoothing of the derivatives that every fit begins with."""
    wanted = sorted(
        data.suggest_window(each.t, np.concatenate(each.y, axis=-1)) or 0
        for each in train
    )
    return wanted[len(wanted) // 2]


def _unfit(law: Law, motion: Trajectories) -> str:
    """Why a law does not fit the kind of these data; empty where it does."""
    n = motion.y.q.shape[2]
    if motion.u is not None and not law.pushed:
        return "it knows of no inputs u"
    if n > 1 and law.of_velocities != isinstance(motion.y, TangentState):
        if law.of_velocities:
            return "it takes velocities in place of momenta"
        return "it takes momenta: give the masses that make them"
    return ""


def _in_kind(law: Law, motions: Sequence[Trajectories]) -> list[Trajectories]:
    """The motions in the law's kind of state; one coordinate has mass one."""
    kind: Any = TangentState if law.of_velocities else PhaseState
    return [
        each._replace(
            y=kind(*each.y), rate=None if each.rate is None else kind(*each.rate)
        )
        for each in motions
    ]


def _fitted(
    name: str,
    train: list[Trajectories],
    held_out: list[Trajectories],
    by: str,
    periodic: Sequence[bool],
    window: int,
    between: str,
    hidden: Sequence[int],
    seconds: float,
    key: Array,
    told: Callable[[str], None] | None,
) -> Ranked | None:
    """A law, fitted and judged; None where the fit was interrupted."""
    law = LAWS[name]
    smooth = data.with_rates(train, window, intersample=between)
    train, held_out = (
        [data.held_inputs(each, between) for each in part] for part in (train, held_out)
    )
    inputs = None
    if train[0].u is not None:
        square = train[0].u.shape[2] == train[0].y.q.shape[2]
        inputs = "direct" if square else "learned"
    arguments = arguments_for(
        law.kind,
        smooth,
        periodic=periodic,
        hidden=hidden,
        inputs=inputs,
        dissipation=law.friction,
    )
    motion = checkpoint.build(law.kind, arguments)
    recipe = Recipe(optimizer="levenberg_marquardt", steps=_BEGINNING)
    with one_blas_thread():
        begun = learn(motion, recipe, smooth, key=key, normalized=True, progress=False)
    if begun.status == "interrupted":
        return None
    whole = learn_whole(motion, train, begun.state.params, seconds=seconds, told=told)
    if whole.status == "interrupted":
        return None
    noise = whole.own_noise
    judged = judge(whole, train, held_out, noise, by=by, periodic=periodic)
    return Ranked(name, arguments, whole, judged, coverage(whole, judged, whole.noise))


def _recommended(rows: Sequence[Ranked]) -> tuple[str, str]:
    """The simplest of the laws that are as good as the best, and why."""
    order = list(LAWS)
    best = rows[0]
    good = [row for row in rows if row.score <= _AS_GOOD * best.score]
    chosen = min(good, key=lambda row: order.index(row.name))
    judged = chosen.judged
    reason = (
        f"its rollouts are off by {judged.misfit:.3g} times the noise over whole "
        f"records, and by {judged.misfit_held_out:.3g} times where these were held out"
    )
    if chosen is not best:
        reason += (
            f"; {best.name} is not better by more than {100 * (_AS_GOOD - 1):.0f} %, "
            "and less simple"
        )
    keeping = [row for row in rows if LAWS[row.name].keeps and row not in good]
    falls = np.isfinite(judged.measured_change) and judged.measured_change < -0.03
    if keeping and falls and not LAWS[chosen.name].keeps:
        worst = max(keeping, key=lambda row: row.judged.misfit)
        reason += (
            f"; the energy falls by {-judged.measured_change:.2g} kinetic energies, "
            f"which {worst.name} cannot: it is off by {worst.judged.misfit:.3g} times "
            "the noise"
        )
    if judged.misfit > 10:
        reason += "; that is far off: something else acts, or there is too little data"
    return chosen.name, reason


def _row(each: Ranked) -> dict[str, Any]:
    judged, whole = each.judged, each.whole
    return {
        "law": each.name,
        "what": LAWS[each.name].what,
        "misfit": _plain(judged.misfit),
        "misfit_held_out": _plain(judged.misfit_held_out),
        "rms": _plain(judged.rms),
        "rms_held_out": _plain(judged.rms_held_out),
        "energy_change": _plain(judged.change),
        "joined": bool(whole.joined),
        "weights": whole.weights,
        "determined": whole.determined,
        "hidden": list(each.arguments["hidden"]),
        "band_stretch": None if each.bands is None else each.bands[0],
        "band_coverage": None if each.bands is None else each.bands[1],
        "seconds": whole.seconds,
    }


def _plain(x: float) -> float | None:
    return float(x) if np.isfinite(x) else None
