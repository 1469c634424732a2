"""Second derivatives of a scalar along a few directions, in one sweep each way.

For second derivatives of an energy, say, in its velocities alone. How the function is
read, and what is not read, is in `jaxphys/_jaxpr/curvature.py`.
"""

from jaxphys._jaxpr.curvature import Curvature, curvature

__all__ = ["Curvature", "curvature"]
