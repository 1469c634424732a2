"""Every system by name, of which the default pass takes a few of each kind."""

import pytest

from jaxphys import systems

QUICK = (
    "pendulum",
    "double_pendulum",
    "kepler",
    "charged_particle",
    "free_rigid_body",
    "relativistic_particle",
)
EVERY = [
    name if name in QUICK else pytest.param(name, marks=pytest.mark.long)
    for name in systems.names()
]
