"""`jaxphys simulate`: a system by name; trajectories, figures and an animation.

The file trajectory.npz has the layout of `jaxphys.data.save_trajectories`; results.json
says what was asked for, and whether it came to its end.
"""

import dataclasses
import pathlib
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxphys import data, plots
from jaxphys.commands.simulation.constants import build
from jaxphys.commands.simulation.integration import SimulationInfo, carry_out
from jaxphys.commands.simulation.options import Plan, SimulateOptions, plan
from jaxphys.experiments import record
from jaxphys.types import System, Trajectories, required

__all__ = ["Simulated", "simulate"]


class Simulated(NamedTuple):
    """What `simulate` leaves.

    Attributes:
      trajectories: in (q, p), with rates and energies.
      info: how it went.
      out: the directory.
      files: the names of the files in it.
    """

    trajectories: Trajectories
    info: SimulationInfo
    out: pathlib.Path
    files: tuple[str, ...]


def simulate(
    system: str, options: SimulateOptions | None = None, **constants: Any
) -> Simulated:
    """Simulate a system by name, and write trajectories, figures and an animation.

    Args:
      system: one of `jaxphys.systems.names()`.
      options: time step, duration, initial states, output; by default the system's
        own.
      constants: of the system, such as `mass2=3.0`; `key` is the seed of one.

    Raises:
      ValueError: for invalid options and constants, or an output directory that is not
        empty; with nothing written.

    Example:
      >>> import tempfile
      >>> out = pathlib.Path(tempfile.mkdtemp()) / "swing"
      >>> options = SimulateOptions(duration=1.0, dtype="float32", out=out)
      >>> done = simulate("pendulum", options, length=2.0)  # doctest: +ELLIPSIS
      pendulum: 1 trajectory by rk4, 100 steps of dt = 0.01 to t = 1, ...
      >>> done.trajectories.y.q.shape, done.files[0]
      ((1, 101, 1), 'trajectory.npz')
    """
    options = options or SimulateOptions()
    made, chosen = build(system, constants)
    planned = plan(made, options)
    out = pathlib.Path(options.out or record.dated_directory(system))
    record.check_empty(out)
    # A place that cannot be written to is found out before anything is computed.
    out.mkdir(parents=True, exist_ok=True)
    print(_announced(planned), flush=True)
    path = out / "results.json"
    with record.said_where_it_ends(path, _begun(system, options, chosen)):
        found, info = carry_out(planned)
    found = found._replace(meta={**found.meta, "options": chosen})
    print(_went(found, info), flush=True)
    data.save_trajectories(out / "trajectory.npz", found)
    record.mark(path, "finished")
    files = ["trajectory.npz", path.name]
    if len(found.t) > 1:
        files += _draw(made, found, out, options.animate)
    print(f"{out}: {', '.join(files)}")
    return Simulated(found, info, out, tuple(files))


def _begun(
    system: str, options: SimulateOptions, constants: dict[str, Any]
) -> dict[str, Any]:
    """The contents of results.json."""
    asked = dataclasses.asdict(options)
    del asked["out"]
    return {
        "system": system,
        "status": "running",
        "options": asked | constants,
        "versions": record.versions(),
        "device": record.device(),
    }


def _announced(plan: Plan) -> str:
    system, options, grid, y0 = plan
    count = len(y0.q)
    many = "1 trajectory" if count == 1 else f"{count} trajectories"
    end = grid.dt * grid.substeps * grid.intervals
    how = "adaptive steps"
    if plan.step is not None:
        how = f"{grid.intervals * grid.substeps} steps of dt = {plan.step:.6g}"
    return (
        f"{system.name}: {many} by {options.integrator}, {how} to t = {end:g}, "
        f"{grid.intervals + 1} states saved, {options.dtype}"
    )


def _went(found: Trajectories, info: SimulationInfo) -> str:
    rate = info.num_steps / max(info.seconds, 1e-9)
    lines = [
        f"{info.seconds:.2g} s, {rate:.3g} steps/s; compiled in "
        f"{info.compile_seconds:.1f} s"
    ]
    energy = np.asarray(found.energy)
    if not np.all(np.isfinite(energy[:, 0])):
        return "\n".join([*lines, "the energy of an initial state is not finite"])
    if not found.meta["conservative"]:
        low, high = np.nanmin(energy), np.nanmax(energy)
        lines.append(f"energy from {low:.4g} to {high:.4g}: it is driven or damped")
        return "\n".join(lines)
    worst = float(np.nanmax(data.energy_error(found)))
    lines.append(f"largest relative energy error {worst:.1e}")
    if worst > 0.01 and not info.message:
        lines.append(
            "energy is not conserved: the time step is too long for this motion, the "
            "tolerance too loose, or bodies met; lower --dt or raise --softening"
        )
    return "\n".join(lines)


def _draw(
    system: System, found: Trajectories, out: pathlib.Path, animate: bool
) -> list[str]:
    """Write the figures; returns their names."""
    figures = {
        "phase_space.png": plots.phase_portraits(found),
        "time_series.png": plots.motion(found),
        "energy.png": plots.energy_figure(found),
    }
    for name, figure in figures.items():
        plots.save(figure, out / name)
    files = list(figures)
    if animate and system.points is not None:
        plots.save_animation(_animation(system, found), out / "animation.gif")
        files.append("animation.gif")
    return files


def _animation(system: System, found: Trajectories):
    """The first trajectory that was followed to the end, or the longest, in motion."""
    place = required(system, "points")
    lengths = np.sum(np.all(np.isfinite(found.y.q), axis=2), axis=1)
    chosen = int(np.argmax(lengths))
    end = int(lengths[chosen])
    q = jnp.asarray(found.y.q[chosen, :end])
    points = jax.jit(jax.vmap(lambda q: place(system.params, q)))(q)
    return plots.animation(
        found.t[:end],
        {system.name.replace("_", " "): points},
        linked=system.linked,
        units=plots.planar_units(found),
    )
