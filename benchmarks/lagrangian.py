"""The experiments that learn a Lagrangian, beside published figures.

Each row is trained as `jaxphys run` does it; kept are medians and quartiles over seeds
of what the table shows. Those that train for minutes have fewer seeds, and of chains of
pendula only the rows that Levenberg–Marquardt trains are here.
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
    "pendulum_chain_2": 1,
    "pendulum_chain_3": 1,
}

#: Rows that Levenberg–Marquardt trains with a mass matrix in them.
CHAINS = ("structured_levenberg_marquardt", "delan_levenberg_marquardt")
SMOKE = ("wave",)


def run(
    *, smoke: bool, only: tuple[str, ...] = ()
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Measure; returns (config, results)."""
    for name in only:
        check_known("experiment", name, SEEDS)
    names = only or (SMOKE if smoke else tuple(SEEDS))
    seeds = {name: 1 if smoke else SEEDS[name] for name in names}
    found = {name: _measured(name, smoke, count) for name, count in seeds.items()}
    return {"seeds": seeds, "fast": smoke}, {"experiments": found}


def _measured(name: str, smoke: bool, seeds: int) -> dict[str, Any]:
    """One experiment, or a chain of as many pendula as its name ends with."""
    experiment, _, links = name.rpartition("_")
    if not links.isdigit():
        return hamiltonian.measured(name, smoke, seeds)
    return hamiltonian.measured(experiment, smoke, seeds, CHAINS, links=int(links))
