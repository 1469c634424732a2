"""Half-inverse gradients as published, in TensorFlow: the peer of the HIG benchmark.

The algorithm of the Physics-based Deep Learning book's notebook, written anew: the
Jacobian of all outputs by `tape.jacobian` (vectorized by pfor), its SVD, singular
values to the power −1/2, one plain descent step. All of it is in one `tf.function`,
which is kinder to it than the notebook's eager linear algebra.
"""

import numpy as np
import tensorflow as tf

COUPLING = 0.2


def _chain_matrix(num_oscillators: int) -> np.ndarray:
    """A of d(q, v)/dt = A (q, v): unit springs and a free-ended Laplacian."""
    n = num_oscillators
    laplacian = np.zeros((n, n))
    for i in range(n - 1):
        laplacian[i : i + 2, i : i + 2] += [[-1, 1], [1, -1]]
    force = -np.eye(n) + COUPLING * laplacian
    return np.block([[np.zeros((n, n)), np.eye(n)], [force, np.zeros((n, n))]])


def _simulator(num_oscillators: int, dt: float):
    matrix = tf.constant(_chain_matrix(num_oscillators).T, tf.float32)
    push = tf.one_hot(2 * num_oscillators - 1, 2 * num_oscillators)

    def slope(y, u):
        return y @ matrix + u[:, None] * push

    def simulate(y, controls):
        for i in range(controls.shape[1]):
            u = controls[:, i]
            k1 = slope(y, u)
            k2 = slope(y + dt / 2 * k1, u)
            k3 = slope(y + dt / 2 * k2, u)
            k4 = slope(y + dt * k3, u)
            y = y + dt / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        return y

    return simulate


def _network(sizes) -> tf.keras.Model:
    layers = [tf.keras.layers.Input((sizes[0],))]
    layers += [tf.keras.layers.Dense(n, activation="tanh") for n in sizes[1:-1]]
    return tf.keras.Sequential([*layers, tf.keras.layers.Dense(sizes[-1])])


class Trainer:
    """Half-inverse gradients on the oscillators, traced and warmed up.

    Args:
      batch_size, num_samples, sizes, dt, rcond: the published settings.
      seed: of data and network.
    """

    def __init__(
        self,
        *,
        batch_size: int = 32,
        num_samples: int = 4096,
        sizes=(4, 20, 20, 20, 24),
        dt: float = 0.5,
        rcond: float = 1e-10,
        seed: int = 0,
    ):
        tf.keras.utils.set_random_seed(seed)
        states = np.random.default_rng(seed).random((num_samples, sizes[0]))
        self._states = tf.constant(states, tf.float32)
        self._batch_size = batch_size
        simulate = _simulator(sizes[0] // 2, dt)
        network = _network(sizes)
        variables = network.trainable_variables

        @tf.function
        def loss(x):
            return tf.reduce_mean(tf.reduce_sum((simulate(x, network(x)) - x) ** 2, 1))

        @tf.function
        def update(x):
            with tf.GradientTape() as tape:
                outputs = simulate(x, network(x))
            blocks = tape.jacobian(outputs, variables, experimental_use_pfor=True)
            rows = outputs.shape[0] * outputs.shape[1]
            jacobian = tf.concat([tf.reshape(b, (rows, -1)) for b in blocks], 1)
            cotangent = tf.reshape(2 / batch_size * (outputs - x), (-1, 1))
            values, left, right = tf.linalg.svd(jacobian)
            keep = values > rcond * tf.reduce_max(values)
            inverse = tf.where(keep, tf.math.rsqrt(values), 0.0)
            step = right @ (inverse[:, None] * (tf.transpose(left) @ cotangent))
            parts = tf.split(step[:, 0], [int(np.prod(v.shape)) for v in variables])
            for variable, part in zip(variables, parts, strict=True):
                variable.assign_sub(tf.reshape(part, variable.shape))

        self._loss, self._update = loss, update

    def epoch(self) -> None:
        """Train one epoch in stored order."""
        for start in range(0, len(self._states), self._batch_size):
            self._update(self._states[start : start + self._batch_size])

    def loss(self) -> float:
        """The mean loss over the data."""
        return float(self._loss(self._states))
