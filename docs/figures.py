"""The figures of the site: `python docs/figures.py [NAME …]`, all of them by default.

Each is made by the library alone, and small: the site loads them from its own folder.
"""

import io
import pathlib
import sys
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from PIL import Image

import jaxphys
from jaxphys import (
    integrators,
    linalg,
    mechanics,
    models,
    motion,
    optim,
    plots,
    problems,
    systems,
)
from jaxphys.experiments.control import logistic
from jaxphys.types import PhaseState

__all__ = ["FIGURES", "main"]

FOLDER = pathlib.Path(__file__).parent / "figures"


def save(figure: Figure, name: str) -> None:
    """A PNG of 64 colors, a third of the size of one in full color."""
    path = FOLDER / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=110)
    image = Image.open(buffer).convert("RGB")
    image.quantize(64, dither=Image.Dither.NONE).save(path, optimize=True)


def figure(columns: int, width: float = 8.0, height: float = 2.8):
    """A figure and its axes."""
    made = Figure(figsize=(width, height), layout="constrained")
    return made, made.subplots(1, columns, squeeze=False)[0]


#: Where the usual seed draws a motion that shows little.
_SEEDS = {"double_pendulum": 8}

#: Lattices and chains, whose points lie on a line.
_ON_A_LINE = ("linear_chain", "quartic_chain", "fput_chain", "toda_chain", "wave")


def of_systems() -> None:
    """A motion of each system from a random state."""
    for name in systems.names():
        system = systems.get(name)
        ts = np.linspace(0.0, system.duration, 801)
        seen = motion.simulated(system, jax.random.key(_SEEDS.get(name, 3)), 1, ts)
        made, axes = figure(2, 7.2, 2.5)
        if len(system.coordinates) > 12:
            plots.space_time(axes[0], seen)
        else:
            q = seen.y.q[0]
            for i, symbol in enumerate(system.coordinates):
                axes[0].plot(ts, q[:, i], label=f"${symbol}$", linewidth=1.1)
            axes[0].set(xlabel="time $t$", ylabel="coordinates")
            if len(system.coordinates) <= 6:
                axes[0].legend(fontsize=8, ncols=3)
        _path(axes[1], system, seen)
        save(made, f"systems/{name}")


def _path(axes, system, seen) -> None:
    """The points of a system in the plane, or the phase space of a coordinate."""
    points = np.zeros((1, 1, 2))
    if system.points is not None and system.name not in _ON_A_LINE:
        q = jnp.asarray(seen.y.q[0])
        points = np.asarray(jax.vmap(system.points, (None, 0))(system.params, q))
    if np.ptp(points[..., 1]) == 0:
        # The first momentum of a body that turns freely is conserved.
        turning = system.points is None and len(system.coordinates) > 1
        plots.phase_space(axes, seen, coordinate=int(turning))
        return
    for i in range(points.shape[1]):
        if np.ptp(points[:, i]) > 0:
            axes.plot(*points[:, i].T, linewidth=0.8)
    if system.linked:
        axes.plot(*points[-1].T, "k.-", linewidth=1.5)
    else:
        axes.plot(*points[-1].T, "k.", markersize=6)
    axes.set(xlabel="$x$", ylabel="$y$", aspect="equal")


def of_integrators() -> None:
    """Kepler's problem with e = 0.5: order, and energy over a thousand orbits."""
    kepler = systems.kepler()
    field = mechanics.hamiltonian_vector_field(kepler.hamiltonian)
    start = PhaseState(jnp.array([0.5, 0.0]), jnp.array([0.0, np.sqrt(3.0)]))
    makers = {
        "euler": integrators.euler(field),
        "symplectic_euler": integrators.symplectic_euler(kepler.hamiltonian),
        "leapfrog": integrators.leapfrog(kepler.hamiltonian),
        "rk4": integrators.rk4(field),
        "yoshida4": integrators.yoshida4(kepler.hamiltonian),
        "yoshida6": integrators.yoshida6(kepler.hamiltonian),
    }
    made, (left, right) = figure(2, 8.4, 3.2)
    counts = 2 ** np.arange(6, 13)
    for name, step in makers.items():
        errors = []
        for count in counts:
            end = integrators.repeat(
                step,
                start,
                dt=2 * np.pi / count,
                num_steps=int(count),
                args=kepler.params,
            )
            errors.append(float(jnp.linalg.norm(end.q - start.q)))
        left.loglog(2 * np.pi / counts, errors, ".-", label=name)
    left.set(
        xlabel=r"step $\Delta t$", ylabel="error after one orbit", ylim=(1e-12, 10)
    )
    left.legend(fontsize=8)
    for name in ("leapfrog", "rk4", "yoshida4"):
        path = integrators.rollout(
            makers[name],
            start,
            dt=2 * np.pi / 20,
            num_steps=20_000,
            substeps=10,
            args=kepler.params,
        )
        energy = jax.vmap(kepler.hamiltonian, (None, 0, 0))(kepler.params, *path)
        errors = np.abs(energy / energy[0] - 1)[1:].reshape(1000, 20).max(axis=1)
        right.loglog(np.arange(1, 1001), errors, label=name, linewidth=1.3)
    right.set(xlabel="orbits", ylabel="largest energy error of an orbit")
    right.legend(fontsize=8)
    save(made, "integrators")


def of_spectrum() -> None:
    """Singular values of a batch, and what each method makes of them."""
    problem = problems.oscillator_control()
    model = models.mlp((4, 20, 20, 20, 24), dtype="float64")
    params = model.init(jax.random.key(0))
    inputs = problem.sample(jax.random.key(1), 32)[0].astype(float)
    batch = optim.linearise(problems.outputs(problem, model), params, inputs)
    sigma = np.linalg.svd(np.asarray(batch.jacobian()), compute_uv=False)
    made, (left, right) = figure(2, 8.4, 3.2)
    left.semilogy(np.arange(1, len(sigma) + 1), sigma / sigma[0], "k.", markersize=4)
    left.set(xlabel="number $i$", ylabel=r"$\sigma_i / \sigma_1$")
    ratio = np.geomspace(1e-7, 1.0, 200)
    named = {
        "gradient, κ = 1": ("#7f7f7f", 1.0),
        "HIG, κ = −1/2": ("#d62728", -0.5),
        "Gauss–Newton, κ = −1": ("#17becf", -1.0),
    }
    for label, (color, power) in named.items():
        right.loglog(ratio, ratio ** (power + 1), color=color, label=label)
    damped = ratio**2 / (ratio**2 + 1e-8)
    right.loglog(ratio, damped, color="#1f3f8f", label="damped, λ = 1e-8 σ₁²")
    right.set(
        xlabel=r"$\sigma_i / \sigma_1$",
        ylabel="part of the error removed",
        ylim=(1e-9, 4),
    )
    right.legend(fontsize=8, loc="lower right")
    save(made, "spectrum")


def of_precision() -> None:
    """J^(−1/2) g by a float32 Gram matrix, by a QR in float32, and by float64."""
    key = jax.random.split(jax.random.key(0), 3)
    decades = np.linspace(0, 8, 17)
    made, (axes,) = figure(1, 5.6, 3.2)
    labels = {
        "float32, Gram matrix": ("gram", "float32", "#d62728"),
        "float32, QR": ("qr", "float32", "#1f77b4"),
        "float64, Gram matrix": ("gram", "float64", "#2ca02c"),
    }
    left = jnp.linalg.qr(jax.random.normal(key[0], (32, 32)))[0]
    right = jnp.linalg.qr(jax.random.normal(key[1], (200, 32)))[0]
    weights = jax.random.normal(key[2], (32,))
    for label, (method, dtype, color) in labels.items():
        errors = []
        for spread in decades:
            sigma = jnp.logspace(0, -spread, 32)
            jacobian = (left * sigma) @ right.T
            # A residual that network and physics can make, as training has it.
            cotangent = left @ (sigma * weights)
            true = right @ (jnp.sqrt(sigma) * weights)
            if dtype == "float32":
                jax.config.update("jax_enable_x64", False)
            found = linalg.spectral_direction(
                jnp.asarray(jacobian, dtype),
                jnp.asarray(cotangent, dtype),
                power=-0.5,
                rcond=1e-10,
                method=method,
            )
            found = np.asarray(found, float)
            jax.config.update("jax_enable_x64", True)
            errors.append(np.linalg.norm(found - true) / np.linalg.norm(true))
        axes.semilogy(decades, errors, ".-", color=color, label=label)
    axes.set(
        xlabel=r"decades from $\sigma_\max$ to $\sigma_\min$",
        ylabel="error of the HIG step, relative",
        ylim=(1e-16, 30),
    )
    axes.legend(fontsize=8)
    save(made, "precision")


def of_equations() -> None:
    """The logistic equation, solved from its residual by two methods."""
    settings = logistic.Settings()
    problem, network = logistic.build(settings, jnp.dtype("float64"))
    found = jaxphys.compare(
        problem, network, 512, batch_size=512, steps=3000, progress=False
    )
    t = jnp.linspace(0.0, settings.duration, 501)
    solved = jax.jit(jax.vmap(problems.solution(problem, network), (None, 0)))
    curves = {name: solved(params, t) for name, params in found.params.items()}
    save(plots.solutions(t, logistic.true_solution(settings, t), curves), "equations")


FIGURES: dict[str, Callable[[], None]] = {
    "equations": of_equations,
    "systems": of_systems,
    "integrators": of_integrators,
    "spectrum": of_spectrum,
    "precision": of_precision,
}


def main(names: list[str]) -> None:
    """Make the figures of these names."""
    jax.config.update("jax_enable_x64", True)
    unknown = set(names) - set(FIGURES)
    if unknown:
        raise ValueError(f"unknown figures: {unknown}; known: {', '.join(FIGURES)}")
    with rc_context(plots.STYLE):
        for name in names or FIGURES:
            FIGURES[name]()


if __name__ == "__main__":
    main(sys.argv[1:])
