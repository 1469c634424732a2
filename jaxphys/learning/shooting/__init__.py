"""Multiple shooting: a law's constants and a record's starts, found together.

| module | what is in it |
|---|---|
| `law` | `Law`: what is searched for, six constants or a network's weights |
| `pieces` | a record in pieces |
| `linearised` | residuals and their Jacobian, compiled once |
| `least_squares` | Levenberg–Marquardt within bounds, with a prior |
| `search` | `Search`: the stages, the noise, and the prior by the evidence |
"""

from jaxphys.learning.shooting.law import Law, law_of_motion
from jaxphys.learning.shooting.search import Plan, Search, State

__all__ = ["Law", "Plan", "Search", "State", "law_of_motion"]
