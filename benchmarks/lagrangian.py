"""The experiments that learn a Lagrangian, beside published figures.

Each row is trained as `jaxphys run` does it; kept are medians and quartiles over seeds
of what the table shows. Those that train for minutes have fewer seeds.
"""

from typing import Any

from benchmarks import hamiltonian
from jaxphys.names import check_known

#: Experiment → number of seeds.
SEEDS = {
    "relativistic": 5,
    "two_link_arm": 5,
    "wave": 5,
    "seed_polar": 5,
    "seed_double_pendulum": 5,
    "double_pendulum_box": 3,
    "double_pendulum": 1,
}
SMOKE = ("wave",)


def run(
    *, smoke: bool, only: tuple[str, ...] = ()
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Measure; returns (config, results)."""
    for name in only:
        check_known("experiment", name, SEEDS)
    names = only or (SMOKE if smoke else tuple(SEEDS))
    seeds = {name: 1 if smoke else SEEDS[name] for name in names}
    found = {n: hamiltonian.measured(n, smoke, count) for n, count in seeds.items()}
    return {"seeds": seeds, "fast": smoke}, {"experiments": found}
