"""Learning a motion by matching its derivatives, its torques or its trajectories.

Each function makes an `outputs(params, inputs) -> (d,)` of one sample, as every
optimizer takes it. Matching derivatives needs no integrator. Matching trajectories
needs no derivatives, and so no finite differences, which amplify noise.
"""

__all__ = [
    "derivative_matching",
    "rate_vector",
    "torque_matching",
    "trajectory_matching",
]
