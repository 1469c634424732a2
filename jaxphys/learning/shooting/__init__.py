"""Multiple shooting: a law's constants and a record's starts, found together.

| module | what is in it |
|---|---|
| `law` | `Law`: what is searched for, six constants or a network's weights |
| `pieces` | a record in pieces |
| `linearised` | residuals and their Jacobian, compiled once |
| `least_squares` | Levenberg–Marquardt within bounds, with a prior |
| `search` | `Search`: the stages, the noise, and the prior by the evidence |
| `rollouts` | one trajectory along a whole record, and how sure it is |
| `whole` | `learn_whole`: a network's weights, by all of it |
| `judge` | rollouts along records in units of the noise, and the coverage of bands |
"""

from jaxphys.learning.shooting.judge import NINETY, Judged, coverage, judge, spreads
from jaxphys.learning.shooting.law import Law, law_of_motion
from jaxphys.learning.shooting.rollouts import deviations, rollouts, starts_of
from jaxphys.learning.shooting.search import Plan, Search, State
from jaxphys.learning.shooting.whole import Whole, learn_whole

__all__ = [
    "NINETY",
    "Judged",
    "Law",
    "Plan",
    "Search",
    "State",
    "Whole",
    "coverage",
    "deviations",
    "judge",
    "law_of_motion",
    "learn_whole",
    "rollouts",
    "spreads",
    "starts_of",
]
