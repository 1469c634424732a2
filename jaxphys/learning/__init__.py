"""Learning from data: a recipe, a learner, and motions learned from trajectories.

| module | what is in it |
|---|---|
| `recipe` | `Recipe`: optimizer, schedule, batches, budget, what is matched |
| `learner` | `Learner`: any target by any recipe, compiled once for many seeds |
| `motions` | `matching` and `learn`: a motion from its trajectories |
| `arguments` | sizes and units of a model, from the data that it is to learn |
| `shooting` | `learn_whole`: weights and starts together, over whole records |
| `laws` | `which_law`: several kinds of law ranked by their rollouts |
| `constants` | `identify`: the constants of a law that is known, with errors |
| `beside` | `known_and_learned`: constants, and what the law misses, together |
| `many` | `learn_many`: one network by several learning rates and seeds, all at once |
"""

from jaxphys.learning.arguments import (
    LAGRANGIANS,
    arguments_for,
    count_weights,
    usual_hidden,
)
from jaxphys.learning.beside import KnownAndLearned, known_and_learned
from jaxphys.learning.laws import LAWS, Ranking, which_law
from jaxphys.learning.learner import Learner
from jaxphys.learning.many import Many, learn_many
from jaxphys.learning.motions import everything, learn, matching, samples, typical
from jaxphys.learning.recipe import ENDING, OPTIMIZERS, Recipe, transformation
from jaxphys.learning.shooting import Whole, learn_whole

__all__ = [
    "ENDING",
    "LAGRANGIANS",
    "LAWS",
    "OPTIMIZERS",
    "KnownAndLearned",
    "Learner",
    "Many",
    "Ranking",
    "Recipe",
    "Whole",
    "arguments_for",
    "count_weights",
    "everything",
    "known_and_learned",
    "learn",
    "learn_many",
    "learn_whole",
    "matching",
    "samples",
    "transformation",
    "typical",
    "usual_hidden",
    "which_law",
]
