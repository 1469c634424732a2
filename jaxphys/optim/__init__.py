"""Second-order optimizers in sample space, as optax gradient transformations.

| name | step | extras it reads |
|---|---|---|
| `hig` | −η Jᵀ K^(−3/4) g | linearisation, cotangent |
| `gauss_newton` | −η c J̃⁺ r̃ | and curvature_fn |
| `levenberg_marquardt` | −J̃ᵀ (K̃ + μ I)⁻¹ r̃ | and value, value_fn |
| `spring` | Kaczmarz momentum on damped Gauss–Newton | as `gauss_newton` |
| `scale_by_kronecker` | HIG and others by the factors of the layers | as either |
| `sip` | an objective for Adam: invert the physics only | – |

J̃ = S J and r̃ = S⁻¹ g with S² = ∂²ℓ/∂y², sample by sample a matrix, so that any convex
objective will do. HIG is defined by J and g alone.

`linearise` gives them a batch's Jacobian without forming it, and
`jaxphys.training.make_train_step` passes every extra, which `optax.adam` ignores. What
they say of their last step is in `step_info(opt_state)`.
"""

from jaxphys.optim.info import StepInfo, step_info
from jaxphys.optim.kronecker import scale_by_kronecker
from jaxphys.optim.levenberg_marquardt import USUAL_BEND, levenberg_marquardt
from jaxphys.optim.linearise import Linearisation, linearise
from jaxphys.optim.sip import local_inverse, sip
from jaxphys.optim.spectral import gauss_newton, hig, scale_by_spectral
from jaxphys.optim.spring import spring

__all__ = [
    "USUAL_BEND",
    "Linearisation",
    "StepInfo",
    "gauss_newton",
    "hig",
    "levenberg_marquardt",
    "linearise",
    "local_inverse",
    "scale_by_kronecker",
    "scale_by_spectral",
    "sip",
    "spring",
    "step_info",
]
