"""jaxphys: networks that learn from, and through, mechanics.

Pure functions define the physics, JAX differentiates it, and one sample-space
second-order engine trains controllers and learned energies alike.
"""

__version__ = "0.1.0"
