"""The experiments by name: a `Config` and a `run(config)` each.

| name | what it trains | source |
|---|---|---|
| `oscillators` | a controller through coupled oscillators | Schnell et al. 2022 |
| `nonlinear_oscillators` | a controller through nonlinear ones | the same |
| `quantum_dipole` | a field that steers a particle in a box | the same |
| `poisson` | a network that inverts the Laplacian | the same |
| `waves` | two waves, one of them scaled by λ | the same |
| `rotated_sine`, `exponential` | networks that invert small maps | Holl et al. 2022 |
| `heat` | a network that finds the heat there was | the same |
| `ablations` | any of these, by exponents, cut-offs, batches, widths and λ | – |
| `mass_spring`, `pendulum` | H of one coordinate, noisy | Greydanus et al. 2019 |
| `two_body`, `three_body` | H of bodies under gravity | the same |
| `seed_spring` | the same, without noise, and a table of its derivatives | – |
| `damped_spring` | H and a dissipation, from a grid | Greydanus & Sosanya 2022 |
| `pendulum_torque` | H and how a torque acts | Zhong et al. 2020 |
| `pendulum_chain` | H with its mass matrix, of three pendula | Finzi et al. 2020 |
| `double_pendulum` | L of a double pendulum | Cranmer et al. 2020 |
| `relativistic` | L and H of a fast particle | the same |
| `wave` | a Lagrangian density, on a ring | the same |
| `two_link_arm` | torques of a robot arm | Lutter & Peters 2023 |
| `seed_polar`, `seed_double_pendulum` | L from 512 short motions, and a sweep | – |
| `double_pendulum_box` | L of a double pendulum that does not turn over | – |
| `identification` | masses and lengths of a double pendulum, from noisy motion | – |
"""

import importlib
from types import ModuleType

from jaxphys.names import check_known

EXPERIMENTS = {
    "oscillators": "steer coupled oscillators back to where they started",
    "nonlinear_oscillators": "steer nonlinear oscillators back to their start",
    "quantum_dipole": "steer a particle in a box to a superposition, by a field",
    "poisson": "solve Poisson's equation by a network, through the Laplacian",
    "waves": "learn two waves, one of them through a physics that makes it tiny",
    "rotated_sine": "invert a badly scaled, turned sine by a network",
    "exponential": "invert an exponential, whose gradients vanish",
    "heat": "find the heat that was there, of what is left of it",
    "ablations": "change the exponent of HIG, and all else that one may choose",
    "mass_spring": "learn the energy of a mass on a spring from noisy states",
    "pendulum": "learn the energy of a pendulum from noisy states",
    "seed_spring": "learn a unit spring's energy, and tabulate its derivatives",
    "damped_spring": "split a damped spring into energy and dissipation",
    "pendulum_torque": "learn a pendulum's energy and how a torque acts on it",
    "pendulum_chain": "learn the energy of a chain of pendula from pieces of motion",
    "two_body": "learn the energy of two bodies under gravity",
    "three_body": "learn the energy of three bodies under gravity",
    "double_pendulum": "learn a double pendulum's Lagrangian, and keep its energy",
    "relativistic": "learn a relativistic particle's motion, by L and by H",
    "wave": "learn the Lagrangian density of a wave on a ring",
    "two_link_arm": "learn the torques of a robot arm, and what they are spent on",
    "seed_polar": "learn a spring pendulum's Lagrangian in (r, θ) from short motions",
    "seed_double_pendulum": "learn a double pendulum's Lagrangian from short motions",
    "double_pendulum_box": "learn a double pendulum's Lagrangian, most precisely",
    "identification": "find a double pendulum's masses and lengths from noisy motion",
}


def get(name: str) -> ModuleType:
    """The experiment of that name, a module with `Config`, `METHODS` and `run`.

    Raises:
      ValueError: for an unknown name, with the known ones and the nearest match.

    Example:
      >>> get("oscillators").Config().oscillators
      2
    """
    check_known("experiment", name, EXPERIMENTS)
    return importlib.import_module(f"jaxphys.experiments.{name}")


__all__ = ["EXPERIMENTS", "get"]
