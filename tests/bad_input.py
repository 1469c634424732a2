"""Public functions with a valid call each, and what may not stand in their arguments.

A row is a function, a call that is right, and for some of its arguments a kind. Each
value of the kind in place of the right one is a case: it must be refused by an error of
this package that names the argument and says what was expected.
"""

import pathlib
import traceback
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jaxphys
from jaxphys import (
    curvature,
    data,
    doctor,
    experiments,
    integrators,
    learning,
    linalg,
    losses,
    mechanics,
    metrics,
    models,
    motion,
    ode,
    optim,
    precision,
    problems,
    roots,
    scalars,
    systems,
    training,
    trees,
    types,
)
from jaxphys.types import PhaseState, TangentState

ROOT = str(pathlib.Path(jaxphys.__file__).parent)
NAN, INF = float("nan"), float("inf")
HUGE = 10**400


class Odd:
    """Nothing that anybody expects."""

    def __repr__(self):
        return "Odd()"


NO_NUMBERS = [None, "1", Odd(), [1.0, "x"], {}, 1j, np.array([1, "x"], object)]
#: What is no such thing, by kind.
KINDS: dict[str, list[Any]] = {
    "count": [*NO_NUMBERS, 2.5, -1, NAN, INF, [3], jnp.ones(2)],
    "whole": [*NO_NUMBERS, 2.5, NAN, INF],
    "number": [*NO_NUMBERS, NAN, INF, -INF, jnp.ones(2), HUGE],
    "positive": [*NO_NUMBERS, NAN, INF, 0, -1.0, jnp.ones(2), HUGE],
    "least0": [*NO_NUMBERS, NAN, INF, -1.0, jnp.ones(2)],
    "option": [NAN, INF, 0, -1.0, "1", Odd(), 1j],
    # Infinity is a bound that binds nothing.
    "bound": [NAN, -INF, 0, -1.0, "1", Odd(), 1j, jnp.ones(2)],
    "function": [3, "f", Odd(), jnp.ones(2), {}],
    "needed": [None, 3, "f", Odd(), jnp.ones(2), {}],
    "name": [None, 3, "nothing", "", Odd(), b"rk4", ["rk4"]],
    "dtype": ["float33", 3, "int32", complex, "float16", Odd(), object],
    "vector": [
        None,
        "x",
        Odd(),
        1.0,
        {},
        [[1.0]],
        jnp.ones((2, 2)),
        jnp.ones(5, complex),
        np.array([1, "x"], object),
    ],
    "matrix": [
        None,
        "x",
        Odd(),
        1.0,
        {},
        jnp.ones(3),
        jnp.ones((2, 2, 2)),
        jnp.ones((3, 3), complex),
        np.array([["x"]], object),
    ],
    "record": [None, 3, "x", Odd(), {}, (), jnp.ones(2), lambda x: x],
    "tree": [None, "x", Odd(), object(), np.array(["x"], object)],
}


class Row(NamedTuple):
    """A function, a valid call of it, and the kind of some arguments."""

    function: Callable
    valid: dict[str, Any]
    kinds: dict[str, Any]


def unpacked(**valid: Any) -> dict[str, Any]:
    return valid


def hamiltonian(params, q, p):
    return p @ p / 2 + q @ q / 2


def lagrangian(params, q, v):
    return v @ v / 2 - q @ q / 2


def field(t, y, args):
    return jax.tree.map(lambda x: -x, y)


Q = jnp.array([0.3, -0.2])
Y = PhaseState(Q, Q)
STEP = integrators.rk4(field)
SPRING = systems.mass_spring()


def of_checks() -> Iterator[tuple[str, Row]]:
    yield "types.phase_state", Row(types.phase_state, {"flat": Q}, {"flat": "vector"})
    yield (
        "types.tangent_state",
        Row(types.tangent_state, {"flat": Q}, {"flat": "vector"}),
    )
    yield (
        "types.required",
        Row(
            types.required, {"record": SPRING, "field": "points"}, {"record": "record"}
        ),
    )
    yield "trees.real_dtype", Row(trees.real_dtype, {}, {"dtype": "dtype"})
    yield (
        "trees.check_one_dtype",
        Row(trees.check_one_dtype, {"tree": Q}, {"tree": "tree"}),
    )
    yield "trees.ravel", Row(trees.ravel, {"tree": Q}, {"tree": "tree"})
    yield "trees.time_dtype", Row(trees.time_dtype, {"y": Q}, {"y": "tree"})
    for function in (precision.exact, precision.always_exact, scalars.scalarize):
        yield (
            f"{function.__module__.split('.')[1]}.{function.__name__}",
            Row(function, {"function": jnp.sin}, {"function": "needed"}),
        )
    yield (
        "scalars.scalarize, largest",
        Row(scalars.scalarize, {"function": jnp.sin}, {"largest": "count"}),
    )
    yield (
        "doctor.check",
        Row(
            doctor.check,
            {"f": jnp.sin, "example": 1.0, "time_updates": False},
            {
                "f": "needed",
                "example": [None, "x", 3, Odd(), (), {}, NAN, INF, jnp.nan * Q],
                "seed": "whole",
            },
        ),
    )


#: Of the constants of systems, those that may have any sign, or be zero.
ANY_SIGN = (
    "gravity",
    "linear",
    "cubic",
    "coupling",
    "alpha",
    "beta",
    "strength",
    "exponent",
    "charge",
    "magnetic",
    "electric",
    "gravity1",
    "gravity2",
    "amplitude",
    "frequency",
    "damping",
    "softening",
    "mu",
    "stiffness",
)


def of_systems() -> Iterator[tuple[str, Row]]:
    import inspect

    for name in systems.names():
        family = getattr(systems, name)
        kinds = {}
        for parameter in inspect.signature(family).parameters.values():
            if isinstance(parameter.default, int):
                kinds[parameter.name] = "count"
            elif isinstance(parameter.default, float):
                sign = parameter.name in ANY_SIGN
                kinds[parameter.name] = "number" if sign else "positive"
        yield f"systems.{name}", Row(family, {}, kinds)
    yield "systems.get", Row(systems.get, {"name": "pendulum"}, {"name": "name"})
    yield (
        "systems.n_body",
        Row(
            systems.n_body,
            {"num_bodies": 3},
            {
                "masses": [
                    "x",
                    jnp.ones(2),
                    -jnp.ones(3),
                    jnp.nan * jnp.ones(3),
                    Odd(),
                    jnp.ones((3, 3)),
                ]
            },
        ),
    )


def of_mechanics() -> Iterator[tuple[str, Row]]:
    for name in (
        "acceleration",
        "energy",
        "equations_of_motion",
        "inverse_dynamics",
        "lagrangian_vector_field",
        "mass_condition",
        "mass_matrix",
        "momentum",
        "torque_parts",
    ):
        make = getattr(mechanics, name)
        row = Row(make, {"lagrangian": lagrangian}, {"lagrangian": "needed"})
        yield f"mechanics.{name}", row
    for name in ("hamiltonian_vector_field", "velocity"):
        make = getattr(mechanics, name)
        row = Row(make, {"hamiltonian": hamiltonian}, {"hamiltonian": "needed"})
        yield f"mechanics.{name}", row
    for name in ("acceleration", "lagrangian_vector_field"):
        yield (
            f"mechanics.{name}, options",
            Row(
                getattr(mechanics, name),
                {"lagrangian": lagrangian},
                {
                    "force": "function",
                    "dissipation": "function",
                    "regularization": "least0",
                },
            ),
        )
    for name in ("legendre", "conjugate"):
        yield (
            f"mechanics.{name}",
            Row(
                getattr(mechanics, name),
                {"energy": lagrangian},
                {"energy": "needed", "tolerance": "option", "max_iterations": "count"},
            ),
        )
    yield (
        "mechanics.constrained",
        Row(
            mechanics.constrained,
            {"lagrangian": lagrangian, "constraint": lambda params, q: q @ q},
            {
                "lagrangian": "needed",
                "constraint": "needed",
                "stabilization": "least0",
                "projections": "count",
            },
        ),
    )
    yield (
        "mechanics.controlled",
        Row(
            mechanics.controlled,
            {"hamiltonian": hamiltonian, "force": lambda u: u},
            {"hamiltonian": "needed", "force": "needed"},
        ),
    )
    yield (
        "mechanics.controlled_lagrangian",
        Row(
            mechanics.controlled_lagrangian,
            {"lagrangian": lagrangian, "force": lambda u: u},
            {"lagrangian": "needed", "force": "needed"},
        ),
    )
    yield (
        "mechanics.natural",
        Row(
            mechanics.natural,
            {
                "mass": lambda params, q: jnp.eye(2),
                "potential": lambda params, q: q @ q,
            },
            {"mass": "needed", "potential": "needed"},
        ),
    )
    yield (
        "mechanics.poisson_bracket",
        Row(
            mechanics.poisson_bracket,
            {"f": hamiltonian, "g": hamiltonian},
            {"f": "needed", "g": "needed"},
        ),
    )
    yield (
        "mechanics.lattice_acceleration",
        Row(
            mechanics.lattice_acceleration,
            {"density": lagrangian},
            {"density": "needed"},
        ),
    )
    yield (
        "mechanics.split_torque",
        Row(mechanics.split_torque, {"torque": lagrangian}, {"torque": "needed"}),
    )
    yield (
        "mechanics.vector_field",
        Row(mechanics.vector_field, {"system": SPRING}, {"system": "record"}),
    )


def of_integrators() -> Iterator[tuple[str, Row]]:
    for name in ("euler", "rk4", "implicit_midpoint", "gauss4"):
        make = getattr(integrators, name)
        yield f"integrators.{name}", Row(make, {"f": field}, {"f": "needed"})
    for name in ("implicit_midpoint", "gauss4"):
        yield (
            f"integrators.{name}, options",
            Row(
                getattr(integrators, name),
                {"f": field},
                {"method": "name", "tolerance": "option", "max_iterations": "count"},
            ),
        )
    for name in ("symplectic_euler", "leapfrog", "yoshida4", "yoshida6"):
        make = getattr(integrators, name)
        row = Row(make, {"hamiltonian": hamiltonian}, {"hamiltonian": "needed"})
        yield f"integrators.{name}", row
    yield (
        "integrators.variational",
        Row(
            integrators.variational,
            {"lagrangian": lagrangian},
            {"lagrangian": "needed", "tolerance": "option", "max_iterations": "count"},
        ),
    )
    yield (
        "integrators.splitting",
        Row(
            integrators.splitting,
            {"coefficients": [(0.5, 1.0), (0.5, 0.0)]},
            {
                "coefficients": [
                    None,
                    3,
                    "x",
                    [],
                    [1.0],
                    [(1.0,)],
                    [(NAN, 1.0)],
                    [("a", 1)],
                    [(0.2, 1.0)],
                ]
            },
        ),
    )
    yield (
        "integrators.projected",
        Row(
            integrators.projected,
            {"step": STEP, "project": lambda y, args: y},
            {"step": "needed", "project": "needed"},
        ),
    )
    states = [
        None,
        "x",
        Odd(),
        1,
        jnp.arange(2),
        [],
        jnp.zeros(0),
        jnp.nan * Q,
        INF,
        [1.0, 0.0],
        np.array(["x"], object),
    ]
    for name in ("rollout", "repeat"):
        yield (
            f"integrators.{name}",
            Row(
                getattr(integrators, name),
                {"step": STEP, "y0": Q, "dt": 0.1, "num_steps": 2},
                {
                    "step": "needed",
                    "y0": states,
                    "t0": "number",
                    "dt": [*NO_NUMBERS, NAN, INF, 0, jnp.ones(2)],
                    "num_steps": "count",
                    "substeps": "count",
                    "controls": [jnp.ones(3), "x", 1.0, Odd(), {}],
                },
            ),
        )
    yield (
        "integrators.rollout_at",
        Row(
            integrators.rollout_at,
            {"step": STEP, "y0": Q, "ts": jnp.array([0.0, 0.1])},
            {
                "step": "needed",
                "y0": states,
                "ts": [*KINDS["vector"], jnp.array([0.0, NAN]), jnp.zeros(0)],
                "substeps": [None, "x", 2.5, -1, 0, NAN, Odd(), jnp.ones(3)],
            },
        ),
    )
    yield (
        "integrators.check_time_step",
        Row(
            integrators.check_time_step,
            {"dt": 0.1, "num_steps": 2},
            {
                "dt": [*NO_NUMBERS, NAN, INF, 0],
                "num_steps": "count",
                "substeps": "count",
            },
        ),
    )
    yield (
        "ode.solve",
        Row(
            ode.solve,
            {"vector_field": field, "y0": Q, "ts": jnp.array([0.0, 1.0])},
            {
                "vector_field": "needed",
                "y0": states,
                "ts": [
                    *KINDS["vector"],
                    jnp.array([0.0, NAN]),
                    jnp.array([1.0, 0.0]),
                    jnp.ones(1),
                ],
                "rtol": "option",
                "atol": "option",
                "solver": "name",
                "max_steps": "count",
                "derivative": "name",
                "event": "function",
            },
        ),
    )
    yield (
        "roots.find_root",
        Row(
            roots.find_root,
            {"residual": lambda x: x**2 - 2, "guess": jnp.ones(1)},
            {
                "residual": "needed",
                "guess": [*KINDS["vector"], jnp.arange(2)],
                "method": "name",
                "tolerance": "option",
                "max_iterations": "count",
            },
        ),
    )


def of_linalg() -> Iterator[tuple[str, Row]]:
    J, g = jnp.eye(3), jnp.ones(3)
    for name in ("spectral", "spectral_direction"):
        yield (
            f"linalg.{name}",
            Row(
                getattr(linalg, name),
                {"jacobian": J, "cotangent": g, "power": -0.5},
                {
                    "jacobian": "matrix",
                    "cotangent": [*KINDS["vector"], jnp.ones(2)],
                    "power": "number",
                    "rcond": [NAN, INF, -1.0, 1.0, "1", Odd(), 1j],
                    "method": "name",
                },
            ),
        )
    yield (
        "linalg.symmetric_solve",
        Row(
            linalg.symmetric_solve,
            {"matrix": J, "rhs": g},
            {"matrix": "matrix", "rhs": [None, "x", Odd(), jnp.ones(2), 1.0, {}]},
        ),
    )
    yield (
        "linalg.self_product",
        Row(linalg.self_product, {"rows": J}, {"rows": "matrix"}),
    )
    yield (
        "linalg.inverse_fourth_root",
        Row(
            linalg.inverse_fourth_root,
            {"matrix": J},
            {"matrix": [*KINDS["matrix"], jnp.ones((2, 3))]},
        ),
    )
    for name, argument in (("damped_solver", "gram"), ("damped_root_solver", "root")):
        yield (
            f"linalg.{name}",
            Row(
                getattr(linalg, name),
                {argument: J, "damping": 0.1},
                {
                    argument: "matrix",
                    "damping": [None, "x", Odd(), -1.0, NAN, 1j, jnp.ones(2)],
                },
            ),
        )
    for name in ("gram_power", "newton_power"):
        yield (
            f"linalg.{name}",
            Row(
                getattr(linalg, name),
                {"gram": J, "cotangent": g, "power": -0.5, "rcond": 1e-6},
                {
                    "gram": [*KINDS["matrix"], jnp.ones((2, 3))],
                    "cotangent": [*KINDS["vector"], jnp.ones(2)],
                    "power": "number",
                    "rcond": [None, NAN, INF, -1.0, 1.0, "1", Odd(), 1j],
                },
            ),
        )
    yield (
        "linalg.cyclic_solve",
        Row(
            linalg.cyclic_solve,
            {"diagonal": 4 * g, "off": g, "rhs": g},
            {
                name: [*KINDS["vector"], jnp.ones(2)]
                for name in ("diagonal", "off", "rhs")
            },
        ),
    )
    yield (
        "linalg.lanczos",
        Row(
            linalg.lanczos,
            {"product": lambda v: v, "start": g, "iterations": 2},
            {"product": "needed", "start": "vector", "iterations": "count"},
        ),
    )
    yield (
        "linalg.lanczos_power",
        Row(
            linalg.lanczos_power,
            {
                "product": lambda v: v,
                "cotangent": g,
                "power": -0.5,
                "rcond": 1e-6,
                "iterations": 2,
            },
            {
                "product": "needed",
                "cotangent": "vector",
                "power": "number",
                "iterations": "count",
                "rcond": [None, NAN, -1.0, 1.0, "1"],
            },
        ),
    )
    yield (
        "linalg.lanczos_solve",
        Row(
            linalg.lanczos_solve,
            {
                "product": lambda v: v,
                "rhs": g,
                "damping": 0.1,
                "iterations": 2,
                "tolerance": 1e-6,
            },
            {"product": "needed", "rhs": "vector", "iterations": "count"},
        ),
    )
    yield (
        "linalg.hutchinson_trace",
        Row(
            linalg.hutchinson_trace,
            {"product": lambda v: v, "size": 3, "dtype": "float32"},
            {"product": "needed", "size": "count", "probes": "count", "dtype": "dtype"},
        ),
    )
    yield "linalg.quarters", Row(linalg.quarters, {"power": -0.5}, {"power": "number"})
    yield (
        "linalg.check_rcond",
        Row(
            linalg.check_rcond,
            {"rcond": 0.1},
            {"rcond": [None, NAN, INF, -1.0, 1.0, "1", Odd(), 1j]},
        ),
    )
    yield (
        "curvature.curvature",
        Row(
            curvature.curvature,
            {"f": lambda x: jnp.sum(x**2), "point": (Q,), "directions": (Q,)},
            {
                "f": "needed",
                "point": [None, 3, Q, "x", ()],
                "directions": [None, 3, "x", (), (jnp.ones(3),)],
            },
        ),
    )


def of_losses() -> Iterator[tuple[str, Row]]:
    wrong = [None, "x", Odd(), jnp.ones((2, 1)), jnp.ones(3), 1.0, {}]
    for name in (
        "squared_error",
        "half_squared_error",
        "mean_squared_error",
        "infidelity",
        "infidelity_residual",
    ):
        yield (
            f"losses.{name}",
            Row(
                getattr(losses, name),
                {"outputs": Q, "targets": Q},
                {"outputs": wrong, "targets": wrong},
            ),
        )
    yield (
        "losses.squared_size",
        Row(losses.squared_size, {"residual": Q}, {"residual": [None, "x", Odd(), {}]}),
    )
    for name in ("curvature", "newton_residual", "second_derivatives"):
        yield (
            f"losses.{name}",
            Row(
                getattr(losses, name),
                {"objective": losses.squared_error, "values": Q, "targets": Q},
                {
                    "objective": "needed",
                    "values": [None, "x", Odd(), 1.0, jnp.ones((2, 2)), jnp.arange(2)],
                },
            ),
        )
    for name in ("relative_error", "squared_error"):
        yield (
            f"metrics.{name}",
            Row(
                getattr(metrics, name),
                {"predicted": Q, "true": Q},
                {
                    # (2, 1) are two times of one component, as (2,) are.
                    "predicted": [None, "x", Odd(), jnp.ones(3), jnp.ones((2, 2)), {}],
                    "true": [None, "x", Odd(), jnp.ones(3), Y],
                },
            ),
        )
    t = jnp.linspace(0.0, 1.0, 5)
    yield (
        "metrics.valid_time",
        Row(
            metrics.valid_time,
            {"t": t, "errors": t},
            {
                "t": ["x", None, jnp.ones(4), 1.0, Odd()],
                "errors": ["x", None, jnp.ones(4), 1.0],
                "threshold": "bound",
            },
        ),
    )
    yield (
        "metrics.geometric_mean",
        Row(
            metrics.geometric_mean,
            {"errors": t},
            {
                "errors": [None, "x", Odd(), jnp.zeros(0), {}],
                "t": ["x", jnp.ones(4), Odd()],
            },
        ),
    )
    for name in ("quartiles", "summary"):
        yield (
            f"metrics.{name}",
            Row(
                getattr(metrics, name),
                {"values": t},
                {"values": [None, "x", Odd(), jnp.zeros(0), {}]},
            ),
        )
    yield (
        "metrics.divergence",
        Row(metrics.divergence, {"field": field}, {"field": "needed"}),
    )
    yield (
        "metrics.symplectic_defect",
        Row(metrics.symplectic_defect, {"step": STEP}, {"step": "needed"}),
    )
    yield (
        "metrics.energy_drift",
        Row(
            metrics.energy_drift,
            {"energy": t},
            {"energy": [None, "x", Odd(), jnp.zeros(0), {}]},
        ),
    )


def of_models() -> Iterator[tuple[str, Row]]:
    options = {"activation": ["nothing", None, 3, "", Odd()], "dtype": "dtype"}
    sizes = [
        None,
        3,
        "x",
        (),
        (2,),
        (2, 0),
        (2, -1, 1),
        (2.5, 1),
        ("a", 1),
        (NAN, 1),
        Odd(),
    ]
    yield (
        "models.mlp",
        Row(
            models.mlp,
            {"sizes": (2, 3)},
            {"sizes": sizes, "kernel_init": "name", **options},
        ),
    )
    yield (
        "models.convolution",
        Row(
            models.convolution,
            {"size": 4, "channels": (2,)},
            {
                "size": "count",
                "channels": [None, 3, "x", (0,), (-1,), (2.5,), Odd()],
                "reach": "count",
                **options,
            },
        ),
    )
    hidden = [None, 3, "x", (0,), (-1,), (2.5,), Odd()]
    periodic = [3, "x", (True,), (True, True, True), Odd(), (2, 3)]
    for name in ("hnn", "lnn", "delan", "separable", "structured"):
        yield (
            f"models.{name}",
            Row(
                getattr(models, name),
                {"num_coordinates": 2},
                {
                    "num_coordinates": "count",
                    "periodic": periodic,
                    "hidden": hidden,
                    "normalization": ["x", 3, Odd(), {}],
                    **options,
                },
            ),
        )
    for name in ("neural_ode", "second_order", "port_hamiltonian"):
        yield (
            f"models.{name}",
            Row(
                getattr(models, name),
                {"num_coordinates": 2},
                {
                    "num_coordinates": "count",
                    "num_controls": [-1, 2.5, None, "x", NAN, Odd()],
                    "periodic": periodic,
                    "hidden": hidden,
                    **options,
                },
            ),
        )
    yield (
        "models.dissipative",
        Row(
            models.dissipative,
            {"num_coordinates": 2},
            {"num_coordinates": "count", "periodic": periodic, "hidden": hidden},
        ),
    )
    yield (
        "models.pairwise",
        Row(
            models.pairwise,
            {"num_bodies": 2},
            {"num_bodies": "count", "dimensions": "count", "hidden": hidden, **options},
        ),
    )
    yield (
        "models.lattice",
        Row(
            models.lattice,
            {},
            {
                "spacing": "positive",
                "regularization": "least0",
                "hidden": hidden,
                **options,
            },
        ),
    )
    for name in ("dynamics", "lagrangian_dynamics"):
        yield (
            f"models.{name}",
            Row(
                getattr(models, name),
                {"model": models.lnn(1)},
                {"model": [None, 3, "x", Odd(), {}, jnp.ones(2)]},
            ),
        )
    yield (
        "models.forced",
        Row(
            models.forced,
            {"model": models.lnn(1), "num_coordinates": 1, "num_controls": 1},
            {
                "model": [None, 3, "x", Odd(), {}],
                "num_coordinates": "count",
                "num_controls": [-1, 2.5, None, "x"],
                "inputs": "name",
            },
        ),
    )
    yield (
        "models.from_equinox",
        Row(models.from_equinox, {}, {"module": [None, 3, "x", Odd(), {}]}),
    )
    yield (
        "models.from_nnx",
        Row(models.from_nnx, {}, {"module": [None, 3, "x", Odd(), {}]}),
    )
    yield (
        "models.from_linen",
        Row(models.from_linen, {}, {"module": [None, 3, "x", Odd(), {}]}),
    )


def of_optim() -> Iterator[tuple[str, Row]]:
    rate = [*NO_NUMBERS, NAN, INF, 0, -1.0]
    rcond = [None, NAN, INF, -1.0, "1", Odd(), 1j]
    for name in ("hig", "gauss_newton"):
        yield (
            f"optim.{name}",
            Row(
                getattr(optim, name),
                {},
                {
                    "learning_rate": rate,
                    "rcond": rcond,
                    "method": "name",
                    "iterations": "count",
                    "memory_limit": "bound",
                },
            ),
        )
    yield (
        "optim.scale_by_spectral",
        Row(
            optim.scale_by_spectral,
            {"power": -0.5},
            {
                "power": "number",
                "rcond": rcond,
                "method": "name",
                "iterations": "count",
                "memory_limit": "bound",
            },
        ),
    )
    yield (
        "optim.spring",
        Row(
            optim.spring,
            {},
            {
                "learning_rate": rate,
                # None is its default.
                "damping": KINDS["positive"][1:],
                "decay": [*NO_NUMBERS, NAN, -1.0, 1.0, 2.0],
                "max_step": KINDS["bound"],
            },
        ),
    )
    yield (
        "optim.levenberg_marquardt",
        Row(
            optim.levenberg_marquardt,
            {},
            {
                "damping": "positive",
                "min_damping": "positive",
                "max_damping": "bound",
                "decrease": "positive",
                "increase": "positive",
                "max_bend": "bound",
                "method": "name",
                "iterations": "count",
                # Zero asks for all iterations.
                "tolerance": [*NO_NUMBERS, NAN, INF, -1.0, 1.0],
            },
        ),
    )
    yield (
        "optim.scale_by_kronecker",
        Row(
            optim.scale_by_kronecker,
            {"power": -0.5},
            {
                "power": "number",
                "damping": "positive",
                "average": [*NO_NUMBERS, NAN, -1.0, 1.0, 2.0],
                "refresh": "count",
                "largest_side": "count",
            },
        ),
    )
    simulate = lambda control, inputs: control  # noqa: E731
    yield (
        "optim.sip",
        Row(
            optim.sip,
            {"simulate": simulate, "objective": losses.squared_error},
            {
                "simulate": "needed",
                "objective": "needed",
                "step_size": "positive",
                "rcond": rcond,
                "invert": "function",
            },
        ),
    )
    yield (
        "optim.local_inverse",
        Row(
            optim.local_inverse,
            {"simulate": simulate},
            {
                "simulate": "needed",
                "residual": "function",
                "iterations": "count",
                "damping": "least0",
            },
        ),
    )
    yield (
        "optim.linearise",
        Row(
            optim.linearise,
            {"outputs": lambda w, x: w * x, "params": Q, "inputs": jnp.ones((4, 2))},
            {
                "outputs": "needed",
                "params": [None, "x", Odd(), jnp.arange(2), 1j * Q],
                "inputs": [
                    None,
                    "x",
                    Odd(),
                    1.0,
                    {},
                    (jnp.ones((4, 2)), jnp.ones((3, 2))),
                ],
            },
        ),
    )


def of_training() -> Iterator[tuple[str, Row]]:
    tx = optax.sgd(0.1)
    outputs = lambda w, x: w * x  # noqa: E731
    step = training.make_train_step(outputs, losses.squared_error, tx)
    state = training.init_state(Q, tx)
    pair = (jnp.ones((8, 2)), jnp.ones((8, 2)))
    yield (
        "training.fit",
        Row(
            training.fit,
            {
                "step": step,
                "state": state,
                "data": pair,
                "batch_size": 4,
                "steps": 2,
                "progress": False,
            },
            {
                "step": "needed",
                "state": [None, 3, "x", Odd(), Q, {}],
                "data": [
                    None,
                    3,
                    "x",
                    Odd(),
                    pair[0],
                    (),
                    (pair[0],),
                    (pair[0], pair[1][:3]),
                    (jnp.nan * pair[0], pair[1]),
                    (pair[0], jnp.ones(8)),
                    (jnp.ones((0, 2)), jnp.ones((0, 2))),
                    (pair[0], jnp.ones((8, 3))),
                    (pair[0], 1j * pair[1]),
                    (np.array(["x"] * 8, object), pair[1]),
                ],
                "batch_size": [*KINDS["count"], 0, 9],
                "steps": [*(x for x in KINDS["count"] if x is not None), 0],
                "key": ["x", Odd(), 2.5, jnp.ones(3)],
                "looks": [3, "x", Odd(), {}],
                "storage": [3, Odd(), {}],
            },
        ),
    )
    yield (
        "training.make_train_step",
        Row(
            training.make_train_step,
            {"outputs": outputs, "objective": losses.squared_error, "tx": tx},
            {
                "outputs": "needed",
                "objective": "needed",
                "tx": ["adam", optim.hig, None, 3, Odd(), {}],
                "memory_limit": "bound",
            },
        ),
    )
    yield (
        "training.init_state",
        Row(
            training.init_state,
            {"params": Q, "tx": tx},
            {"params": ["x", Odd(), object()], "tx": ["adam", optim.hig, None, 3, {}]},
        ),
    )
    yield (
        "training.make_evaluate",
        Row(
            training.make_evaluate,
            {"outputs": outputs, "objective": losses.squared_error},
            {"outputs": "needed", "objective": "needed"},
        ),
    )
    yield (
        "training.side_by_side",
        Row(training.side_by_side, {"step": step}, {"step": "needed"}),
    )
    yield (
        "training.make_loop",
        Row(
            training.make_loop,
            {"step": step, "batch_size": 4},
            {
                "step": "needed",
                "batch_size": "count",
                "skips": [-1, 2.5, None, "x", NAN],
            },
        ),
    )
    for name in ("steps", "seconds", "learning_rate", "batch_size", "chunk"):
        make = lambda **given: learning.Recipe(**({"steps": 3} | given)).check()  # noqa: E731
        kinds = {name: [x for x in KINDS["positive"] if x is not None]}
        if name == "learning_rate":
            kinds = {name: KINDS["positive"]}
        yield f"learning.Recipe, {name}", Row(make, {}, kinds)
    yield (
        "compare",
        Row(
            jaxphys.compare,
            {
                "outputs": outputs,
                "objective": losses.squared_error,
                "model": Q,
                "data": pair,
                "steps": 1,
                "progress": False,
            },
            {
                "outputs": ["x", 3, Odd(), Q],
                "model": [None, 3, "x", Odd()],
                "data": [
                    3,
                    "x",
                    Odd(),
                    pair[0],
                    (),
                    (pair[0],),
                    (pair[0], pair[1][:3]),
                    (pair[0], jnp.ones((8, 3))),
                ],
                "methods": ["nothing", 3, Odd(), [], ["nothing"], [None]],
                "steps": [2.5, -1, 0, "x", NAN, Odd()],
                "seeds": [2.5, -1, 0, "x", NAN, None, Odd()],
                # A batch that is larger than the data is filled up, as in `learn`.
                "batch_size": [2.5, -1, "x", NAN, 0, Odd()],
                "objective": ["x", 3, Odd(), Q, lambda y, z: y],
            },
        ),
    )


def of_problems() -> Iterator[tuple[str, Row]]:
    number = ["x", None, NAN, INF, 1j, Odd(), jnp.ones(2)]
    positive = [*number, 0, -1.0]
    for name, kinds in {
        "oscillator_control": {
            "num_oscillators": "count",
            "coupling": "name",
            "num_steps": "count",
            "dt": positive,
            "gain": number,
        },
        "quantum_dipole": {"num_points": "count", "num_steps": "count", "dt": positive},
        "poisson": {"size": "count"},
        "heat": {"size": "count", "amount": positive, "floor": positive},
        "rotated_sine": {"conditioning": positive, "angle": number, "scale": positive},
        "scaled_waves": {"scale": positive},
        "exponential": {"low": number},
    }.items():
        make = getattr(problems, name)
        yield f"problems.{name}", Row(make, {}, {**kinds, "dtype": "dtype"})
    release = TangentState(Q, Q)
    yield (
        "problems.identification",
        Row(
            problems.identification,
            {
                "system": systems.double_pendulum(),
                "unknown": ("mass1",),
                "release": release,
                "num_steps": 4,
            },
            {
                "system": "record",
                "unknown": [None, 3, "x", ("nothing",), (), Odd()],
                "release": [None, 3, "x", Q, Odd(), {}, Y],
                "num_steps": "count",
                "dt": positive,
                "substeps": "count",
                "noise": [*number, -1.0],
                "amplitude": number,
                "dtype": "dtype",
            },
        ),
    )
    yield (
        "problems.residual",
        Row(
            problems.residual,
            {"equation": lambda u, x: u(x), "points": jnp.zeros((3, 2))},
            {
                "equation": "function",
                "points": [None, 3, "x", Odd(), {}, jnp.zeros((0, 2))],
                "num_fields": "count",
                "num_inputs": [0, -1, 2.5, "x", Odd()],
            },
        ),
    )
    yield (
        "problems.derivatives",
        Row(
            problems.derivatives,
            {"u": jnp.sum, "x": jnp.ones(2), "axis": 1},
            {"u": "function", "axis": [None, 2, 0.5, "x", Odd()]},
        ),
    )
    problem = problems.oscillator_control()
    # Networks of other sizes are refused when they are called, which is when their
    # shapes are known: test_shapes_that_would_be_broadcast_are_refused.
    networks = [
        None,
        3,
        "x",
        Odd(),
        {},
        models.mlp,
    ]
    for name in ("outputs", "residuals", "steered", "network_for"):
        argument = "network" if name == "network_for" else "model"
        given = problems.quantum_dipole(num_steps=4) if name == "residuals" else problem
        valid = {
            "problem": given,
            argument: models.mlp((given.num_inputs, given.num_controls)),
        }
        yield (
            f"problems.{name}",
            Row(
                getattr(problems, name),
                valid,
                {"problem": "record", argument: networks},
            ),
        )
    for name in ("derivative_matching", "torque_matching", "trajectory_matching"):
        valid = {"dynamics": models.dynamics(models.lnn(1))}
        yield (
            f"problems.{name}",
            Row(getattr(problems, name), valid, {"dynamics": "record"}),
        )
    yield (
        "problems.trajectory_matching, options",
        Row(
            problems.trajectory_matching,
            valid,
            {"make_step": "needed", "substeps": "count", "observe": "function"},
        ),
    )


def of_motion() -> Iterator[tuple[str, Row]]:
    key = jax.random.key(0)
    ts = np.linspace(0.0, 1.0, 4)
    yield (
        "motion.simulated",
        Row(
            motion.simulated,
            {"system": SPRING, "key": key, "num_trajectories": 2, "ts": ts},
            {
                "system": "record",
                "key": [None, "x", Odd(), 2.5],
                "num_trajectories": "count",
                "ts": [
                    *KINDS["vector"],
                    np.array([0.0, NAN]),
                    np.array([1.0, 0.0]),
                    np.ones(1),
                ],
                "dtype": "dtype",
                "rtol": "option",
                "atol": "option",
            },
        ),
    )
    yield (
        "motion.drawn",
        Row(
            motion.drawn,
            {"system": SPRING, "key": key, "num_states": 2},
            {
                "system": "record",
                "key": [None, "x", Odd(), 2.5],
                "num_states": "count",
                "dtype": "dtype",
            },
        ),
    )
    yield (
        "motion.of_system",
        Row(
            motion.of_system,
            {"system": SPRING},
            {"system": "record", "state": [None, 3, "x", tuple, Odd()]},
        ),
    )
    dynamics = models.dynamics(models.lnn(1))
    yield (
        "motion.follow",
        Row(
            motion.follow,
            {"dynamics": dynamics},
            {"dynamics": "record", "make_step": "needed", "substeps": "count"},
        ),
    )
    yield (
        "motion.chart_of",
        Row(motion.chart_of, {"dynamics": dynamics}, {"dynamics": "record"}),
    )
    yield (
        "motion.make_stepper",
        Row(
            motion.make_stepper,
            {"dynamics": dynamics, "name": "rk4"},
            {"dynamics": "record", "name": "name"},
        ),
    )
    yield (
        "experiments.get",
        Row(experiments.get, {"name": "oscillators"}, {"name": "name"}),
    )


def of_data() -> Iterator[tuple[str, Row]]:
    t = np.linspace(0.0, 1.0, 12)
    x = np.sin(t)[:, None]
    seen = types.Trajectories(t, PhaseState(x[None], x[None]))
    for name, argument in {
        "check_trajectories": "trajectories",
        "energy_scale": "trajectories",
        "separate": "trajectories",
        "energy_error": "trajectories",
        "with_derivatives": "trajectories",
    }.items():
        yield (
            f"data.{name}",
            Row(getattr(data, name), {argument: seen}, {argument: "record"}),
        )
    moving = seen._replace(rate=seen.y)
    yield (
        "data.integrated",
        Row(data.integrated, {"trajectories": moving}, {"trajectories": "record"}),
    )
    several = ["x", None, 3, Odd(), [3], ["x"], [], [None]]
    for name in ("moments", "unwrapped", "look"):
        yield (
            f"data.{name}",
            Row(
                getattr(data, name), {"trajectories": [seen]}, {"trajectories": several}
            ),
        )
    yield (
        "data.chunks",
        Row(
            data.chunks,
            {"trajectories": [seen], "length": 3},
            {"trajectories": several, "length": "count", "stride": "count"},
        ),
    )
    yield (
        "data.split",
        Row(
            data.split,
            {"trajectories": [seen, seen], "fraction": 0.5},
            {
                "trajectories": several,
                "fraction": [*NO_NUMBERS, NAN, -1.0, 2.0],
                "by": "name",
            },
        ),
    )
    yield (
        "data.cast",
        Row(
            data.cast,
            {"trajectories": [seen], "dtype": "float32"},
            {"trajectories": several, "dtype": "dtype"},
        ),
    )
    yield (
        "data.add_noise",
        Row(
            data.add_noise,
            {"trajectories": seen, "sigma": 0.1, "key": jax.random.key(0)},
            {
                "trajectories": "record",
                "sigma": [*NO_NUMBERS, NAN, INF, -1.0],
                "fields": [("nothing",), 3, "nothing", Odd()],
            },
        ),
    )
    signal = [
        None,
        "x",
        Odd(),
        {},
        1.0,
        np.ones(3),
        np.array(["x"] * 12, object),
        np.full((12, 1), NAN),
    ]
    times = [
        None,
        "x",
        Odd(),
        {},
        1.0,
        np.ones(12),
        t[::-1],
        np.full(12, NAN),
        t[:3],
        1j * t,
    ]
    for name, more in {
        "derivatives": {
            "window": [2.5, -1, "x", NAN, Odd(), 1000],
            "order": [2.5, -1, "x", NAN],
        },
        "smoothed": {
            "window": [2.5, -1, "x", NAN, None, 1000],
            "order": [2.5, -1, "x", NAN],
        },
        "noise_levels": {},
        "suggest_window": {},
    }.items():
        valid = {"t": t, "x": x} | ({"window": 5} if name == "smoothed" else {})
        yield (
            f"data.{name}",
            Row(getattr(data, name), valid, {"t": times, "x": signal, **more}),
        )
    for name in ("load_trajectories", "read_trajectories", "read_inputs"):
        yield (
            f"data.{name}",
            Row(getattr(data, name), {}, {"path": [None, 3, Odd(), b"x", 1.5, []]}),
        )
    yield (
        "data.trajectories_from",
        Row(data.trajectories_from, {}, {"source": [None, 3, Odd(), [], {}]}),
    )
    yield (
        "data.save_trajectories",
        Row(
            data.save_trajectories,
            {"trajectories": seen},
            {"path": [None, 3, Odd(), 1.5, []]},
        ),
    )
    yield (
        "data.num_batches",
        Row(
            data.num_batches,
            {"data": x, "batch_size": 4},
            {"batch_size": ["x", None, 2.5, 0, -1, NAN, 1000]},
        ),
    )


ROOMS = (
    of_checks,
    of_systems,
    of_mechanics,
    of_integrators,
    of_linalg,
    of_losses,
    of_models,
    of_optim,
    of_training,
    of_problems,
    of_motion,
    of_data,
)


class Case(NamedTuple):
    """One wrong value in one argument of one function."""

    name: str
    argument: str
    value: Any
    function: Callable
    given: dict[str, Any]

    def __str__(self):
        return f"{self.name}({self.argument}={shown(self.value)})"


def shown(value: Any) -> str:
    return " ".join(repr(value).split())[:60]


def cases(room: Callable) -> Iterator[Case]:
    """Every wrong value of a room's rows."""
    for name, row in room():
        for argument, kind in row.kinds.items():
            for value in KINDS[kind] if isinstance(kind, str) else kind:
                given = row.valid | {argument: value}
                yield Case(name, argument, value, row.function, given)


def outcome(case: Case) -> str:
    """What becomes of a case: "" where it is refused as it should be."""
    try:
        case.function(**case.given)
    except (TypeError, ValueError) as error:
        ours = traceback.extract_tb(error.__traceback__)[-1].filename.startswith(ROOT)
        said = str(error)
        names = case.argument.replace("_", " ").rstrip("s")
        named = case.argument in said or names in said or "expected" in said
        named = named or "known:" in said
        return "" if ours and named else f"obscure: {type(error).__name__}: {said[:90]}"
    except Exception as error:
        return f"obscure: {type(error).__name__}: {str(error)[:90]}"
    return "silent"
