"""Half-inverse gradients by the dense Jacobian and its SVD, written out in JAX.

What a user writes who has the formula: the Jacobian of all outputs of the batch by
reverse passes, stacked to (m, P), its thin SVD, singular values to the power −1/2 with
the same truncation as ours. `together` has `jax.jacrev` of the whole batch, as
published; without it each sample has its own d reverse passes, which is b times fewer
and what JAX makes easy.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp


def step(
    outputs: Callable,
    objective: Callable,
    *,
    learning_rate: float,
    rcond: float,
    together: bool = True,
) -> Callable:
    """`step(params, (inputs, targets)) -> params`, to be jitted."""

    def update(params, batch):
        inputs, targets = batch

        def batched(params):
            return jax.vmap(outputs, in_axes=(None, 0))(params, inputs)

        def loss(values):
            return jnp.mean(jax.vmap(objective)(values, targets))

        cotangent = jax.grad(loss)(batched(params)).reshape(-1)
        if together:
            tree = jax.jacrev(lambda params: batched(params).reshape(-1))(params)
        else:
            tree = jax.vmap(jax.jacrev(outputs), in_axes=(None, 0))(params, inputs)
        leaves, structure = jax.tree.flatten(params)
        rows = cotangent.size
        columns = [leaf.reshape(rows, -1) for leaf in jax.tree.leaves(tree)]
        jacobian = jnp.concatenate(columns, axis=1)
        left, values, right = jnp.linalg.svd(jacobian, full_matrices=False)
        keep = values > rcond * values[0]
        weights = jnp.where(keep, jnp.where(keep, values, 1) ** -0.5, 0)
        change = -learning_rate * right.T @ (weights * (left.T @ cotangent))
        new, start = [], 0
        for leaf in leaves:
            part = change[start : start + leaf.size].reshape(leaf.shape)
            new.append(leaf + part)
            start += leaf.size
        return jax.tree.unflatten(structure, new)

    return update
