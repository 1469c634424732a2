"""Learning from data: a recipe, a learner, and motions learned from trajectories.

| module | what is in it |
|---|---|
| `recipe` | `Recipe`: optimizer, schedule, batches, budget, what is matched |
| `learner` | `Learner`: any target by any recipe, compiled once for many seeds |
| `motions` | `matching` and `learn`: a motion from its trajectories |
| `constants` | `identify`: the constants of a law that is known, with errors |
| `many` | `learn_many`: one network by several learning rates and seeds, all at once |
"""

from jaxphys.learning.learner import Learner
from jaxphys.learning.many import Many, learn_many
from jaxphys.learning.motions import everything, learn, matching, samples, typical
from jaxphys.learning.recipe import ENDING, OPTIMIZERS, Recipe, transformation

__all__ = [
    "ENDING",
    "OPTIMIZERS",
    "Learner",
    "Many",
    "Recipe",
    "everything",
    "learn",
    "learn_many",
    "matching",
    "samples",
    "transformation",
    "typical",
]
