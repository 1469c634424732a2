"""Constants of a known law from measurements.

| module | what is in it |
|---|---|
| `law` | an energy or a vector field, friction and sensors, as one vector field |
| `extras` | frictions and sensors, which have constants of their own |
| `errors` | standard errors, and what is not determined, in words |
| `bound` | `BoundLaw`: the law with these constants, to be called and followed |
| `result` | `Identified`, printed as a table |
| `identify` | all of it in a row, by `jaxphys.learning.shooting` |
"""

from jaxphys.learning.constants.bound import BoundLaw, Followed
from jaxphys.learning.constants.errors import Errors
from jaxphys.learning.constants.extras import FRICTIONS, SENSORS
from jaxphys.learning.constants.identify import identify
from jaxphys.learning.constants.law import KINDS
from jaxphys.learning.constants.result import Identified

__all__ = [
    "FRICTIONS",
    "KINDS",
    "SENSORS",
    "BoundLaw",
    "Errors",
    "Followed",
    "Identified",
    "identify",
]
