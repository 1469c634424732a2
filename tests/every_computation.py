"""Public computations of every room, small: what a device has to compile.

Each is a function and its arguments, in float32. Derivatives stand beside the values
where people take them.
"""

import functools

import jax
import jax.numpy as jnp
import optax

from jaxphys import (
    integrators,
    linalg,
    losses,
    mechanics,
    metrics,
    models,
    ode,
    optim,
    problems,
    roots,
    systems,
    training,
)
from jaxphys.data import Moment
from jaxphys.types import PhaseState, TangentState

single = functools.partial(jax.tree.map, lambda x: jnp.asarray(x, jnp.float32))


def of_systems():
    for name in systems.names():
        system = systems.get(name)
        field = mechanics.vector_field(system)
        y = single(system.sample(jax.random.key(0)))
        params = single(system.params)
        yield f"field of {name}", field, (jnp.float32(0), y, params)
        if system.lagrangian is not None:
            moving = single(system.sample_tangent(jax.random.key(0)))
            accelerate = mechanics.acceleration(system.lagrangian)
            yield f"acceleration of {name}", accelerate, (params, *moving)


def of_mechanics():
    def hamiltonian(params, q, p):
        return p @ params @ p / 2 + jnp.sum(q**4) + (params @ q) @ q

    def lagrangian(params, q, v):
        return v @ params @ v / 2 - (params @ q) @ q

    def length(params, q):
        return jnp.atleast_1d(q @ params @ q - 1)

    params, q = jnp.eye(4) + 0.1, jnp.linspace(0.1, 1.0, 4)
    at = single((params, q, q + 1))
    for make in (
        mechanics.acceleration,
        mechanics.energy,
        mechanics.momentum,
        mechanics.mass_matrix,
        mechanics.mass_condition,
        mechanics.equations_of_motion,
    ):
        yield make.__name__, make(lagrangian), at
    accelerate = mechanics.acceleration(lagrangian)
    yield (
        "gradient of acceleration",
        jax.grad(lambda *at: jnp.sum(accelerate(*at) ** 2)),
        at,
    )
    yield "inverse_dynamics", mechanics.inverse_dynamics(lagrangian), (*at, at[1])
    yield "velocity", mechanics.velocity(hamiltonian), at
    yield "legendre", mechanics.legendre(lagrangian), at
    constrained = mechanics.constrained(lagrangian, length)
    state = TangentState(*at[1:])
    yield "constrained", constrained.vector_field, (jnp.float32(0), state, at[0])
    yield "project", constrained.project, (state, at[0])
    field = mechanics.hamiltonian_vector_field(hamiltonian)
    y, args = PhaseState(*at[1:]), at[0]
    steps = {
        "euler": integrators.euler(field),
        "rk4": integrators.rk4(field),
        "symplectic_euler": integrators.symplectic_euler(hamiltonian),
        "leapfrog": integrators.leapfrog(hamiltonian),
        "yoshida4": integrators.yoshida4(hamiltonian),
        "implicit_midpoint": integrators.implicit_midpoint(field),
        "gauss4": integrators.gauss4(field),
        "variational": integrators.variational(lagrangian),
    }
    for name, step in steps.items():

        def end(y, args, step=step):
            return integrators.repeat(step, y, dt=0.1, num_steps=3, args=args)

        def cost(y, args, end=end):
            return sum(jnp.sum(x**2) for x in end(y, args))

        yield f"rollout of {name}", end, (y, args)
        yield f"gradient of a rollout of {name}", jax.grad(cost), (y, args)
        yield (
            f"batch of rollouts of {name}",
            jax.vmap(end, (0, None)),
            (
                jax.tree.map(lambda x: jnp.stack([x, x]), y),
                args,
            ),
        )
    defect = metrics.symplectic_defect(steps["leapfrog"])
    yield "symplectic_defect", defect, (jnp.float32(0), y, jnp.float32(0.1), args)
    ts = jnp.linspace(0.0, 1.0, 4, dtype=jnp.float32)
    for method in ode.SOLVERS:
        solve = functools.partial(ode.solve, field, solver=method)
        yield (
            f"ode.solve by {method}",
            lambda y, args, s=solve: s(y, ts, args),
            (
                y,
                args,
            ),
        )
    yield (
        "find_root",
        lambda x, a: roots.find_root(lambda x: a @ x + x**3 - 1, x)[0],
        (at[1], at[0]),
    )


def of_linalg():
    a = jax.random.normal(jax.random.key(0), (6, 9), jnp.float32)
    g = jnp.ones(6, jnp.float32)
    gram = a @ a.T
    for method in ("svd", "qr", "gram"):
        direction = functools.partial(
            linalg.spectral_direction, power=-0.5, method=method
        )
        yield f"spectral_direction by {method}", direction, (a, g)
    yield "self_product", linalg.self_product, (a,)
    yield "tall_product", linalg.tall_product, (jnp.ones((2500, 3), jnp.float32),)
    yield "symmetric_solve", linalg.symmetric_solve, (gram, g)
    yield "damped_solver", lambda k, w: linalg.damped_solver(k, 0.1)(w), (gram, g)
    yield (
        "lanczos_power",
        lambda k, w: linalg.lanczos_power(lambda v: k @ v, w, -0.75, 1e-6, 4),
        (gram, g),
    )


def of_models():
    key = jax.random.key(0)
    q = jnp.array([0.3, -0.2], jnp.float32)
    options = {"hidden": (8, 8)}
    for make in (models.hnn, models.separable, models.structured):
        model = make(2, **options)
        field = mechanics.hamiltonian_vector_field(model.apply)
        params = model.init(key)
        yield (
            f"field of {make.__name__}",
            field,
            (
                jnp.float32(0),
                PhaseState(q, q),
                params,
            ),
        )
    for make in (models.lnn, models.delan):
        model = make(2, **options)
        accelerate = mechanics.acceleration(model.apply)
        yield f"acceleration of {make.__name__}", accelerate, (model.init(key), q, q)
    field = models.convolution(4, (2,))
    yield "convolution", field.apply, (field.init(key), single(jnp.ones(16)))


def steps():
    """One train step of each optimizer, of a controller and of two learned energies."""
    methods = {
        "adam": optax.adam(1e-3),
        "hig": optim.hig(1.0),
        "gauss_newton": optim.gauss_newton(1.0),
        "levenberg_marquardt": optim.levenberg_marquardt(),
        "spring": optim.spring(0.1),
        "kronecker": optim.scale_by_kronecker(power=-0.5),
    }
    problem = problems.oscillator_control(num_steps=6)
    controller = models.mlp((4, 8, 6))
    data = problem.sample(jax.random.key(1), 8)
    system = systems.double_pendulum()
    y = single(jax.vmap(system.sample_tangent)(jax.random.split(jax.random.key(1), 8)))
    lnn = models.lnn(2, hidden=(8,), periodic=(True, True))
    rates = single(
        jax.vmap(mechanics.acceleration(system.lagrangian), (None, 0, 0))(
            single(system.params), *y
        )
    )
    cases = {
        "controller": (
            problems.outputs(problem, controller),
            problem.objective,
            controller.init(jax.random.key(0)),
            data,
        ),
        "lnn": (
            problems.derivative_matching(models.lagrangian_dynamics(lnn)),
            losses.mean_squared_error,
            lnn.init(jax.random.key(0)),
            (Moment(jnp.zeros(8, jnp.float32), y), rates),
        ),
    }
    for name, (outputs, objective, params, batch) in cases.items():
        for method, tx in methods.items():
            step = training.make_train_step(outputs, objective, tx)
            yield (
                f"step of {method} for {name}",
                step,
                (
                    training.init_state(params, tx),
                    batch,
                ),
            )


def equations():
    """The rows of an equation with a condition, and their derivatives."""
    problem = problems.residual(
        lambda u, x: problems.derivatives(u, x, 0)[2] + u(x),
        lambda key: jax.random.uniform(key, (2,), jnp.float32),
        conditions=[problems.Condition(lambda u, x: u(x), jnp.zeros((1, 2)))],
    )
    network = models.mlp((2, 5, 1))
    batch, _ = single(problem.sample(jax.random.key(0), 3))
    rows = jax.vmap(jax.jacrev(problems.outputs(problem, network)), (None, 0))
    yield "rows of an equation", rows, (network.init(jax.random.key(0)), batch)


def simulators():
    for make in (
        problems.poisson,
        functools.partial(problems.quantum_dipole, num_steps=4),
        problems.rotated_sine,
        problems.scaled_waves,
        problems.exponential,
        functools.partial(problems.heat, 8),
    ):
        problem = make()
        inputs, targets = problem.sample(jax.random.key(0), 2)
        control = jnp.ones((2, problem.num_controls), inputs.dtype)

        def cost(control, inputs, targets, problem=problem):
            outputs = problem.simulate(control, inputs)
            return problem.objective(outputs, targets)

        yield (
            f"gradient through {problem.name}",
            jax.vmap(jax.grad(cost)),
            (
                control,
                inputs,
                targets,
            ),
        )


ROOMS = (
    of_systems,
    of_mechanics,
    of_linalg,
    of_models,
    steps,
    equations,
    simulators,
)
