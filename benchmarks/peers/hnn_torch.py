"""A step of a Hamiltonian network as published, in PyTorch: the peer of `hnn_step`.

The algorithm of Greydanus, Dzamba & Yosinski, Hamiltonian Neural Networks, 2019,
https://arxiv.org/abs/1906.01563, written anew: H is summed over the batch, its gradient
by the states is turned by the symplectic matrix, and Adam, with the weight decay in its
gradient, descends the mean squared error of the derivatives.
"""

import os
from collections.abc import Sequence

import numpy as np
import torch

VERSION = torch.__version__


def all_threads() -> int:
    """How many threads torch takes to use all cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Trainer:
    """A network, its batch, and its optimizer.

    It runs eagerly, as the authors ran it, with ∂H/∂x from `torch.autograd.grad`. Its
    graph of a graph is more than `torch.compile` takes ("does not currently support
    double backward"), so the compiled step has ∂H/∂x from `torch.func.grad`, which is
    traced as part of the loss: the same values by the same products.

    Args:
      states, rates: arrays (batch, 2n), (q, p) and its derivative (q̇, ṗ).
      weights: kernels (inputs, units) and biases (units,), layer by layer, to start
        from. The last bias is left out: a constant added to H moves nothing.
      learning_rate, weight_decay: of Adam.
      threads: of torch, set anew by each step; by default one a core.
      compiled: whether `torch.compile` gets the loss.
    """

    def __init__(
        self,
        states: np.ndarray,
        rates: np.ndarray,
        weights: Sequence[tuple[np.ndarray, np.ndarray]],
        *,
        learning_rate: float = 1e-3,
        weight_decay: float = 1e-4,
        threads: int | None = None,
        compiled: bool = False,
    ):
        self._threads = all_threads() if threads is None else threads
        self._states = torch.tensor(states, requires_grad=not compiled)
        self._rates = torch.tensor(rates)
        self._network = _network(weights)
        half = torch.eye(states.shape[1] // 2)
        zero = torch.zeros_like(half)
        # Rows of the gradient (∂H/∂q, ∂H/∂p) times this are (∂H/∂p, −∂H/∂q).
        self._symplectic = torch.cat(
            [torch.cat([zero, -half], 1), torch.cat([half, zero], 1)]
        )
        self._gradient = torch.func.grad(self._energy) if compiled else self._eager
        self._loss = self._mean_error
        if compiled:
            self._loss = torch.compile(self._mean_error, dynamic=False)
        self._adam = torch.optim.Adam(
            self._network.parameters(), lr=learning_rate, weight_decay=weight_decay
        )

    def _energy(self, x):
        return self._network(x).sum()

    def _eager(self, x):
        return torch.autograd.grad(self._energy(x), x, create_graph=True)[0]

    def _mean_error(self, x, target):
        return ((self._gradient(x) @ self._symplectic - target) ** 2).mean()

    def _backward(self):
        torch.set_num_threads(self._threads)
        loss = self._loss(self._states, self._rates)
        loss.backward()
        return loss

    def step(self) -> None:
        """One step of Adam."""
        self._backward()
        self._adam.step()
        self._adam.zero_grad()

    def loss_and_gradient(self) -> tuple[float, list[np.ndarray]]:
        """The loss, and its gradient by kernels and biases, shaped as `weights`."""
        loss = self._backward().item()
        gradient = [p.grad.numpy().T.copy() for p in self._network.parameters()]
        self._adam.zero_grad()
        return loss, gradient


def _network(weights: Sequence[tuple[np.ndarray, np.ndarray]]) -> torch.nn.Sequential:
    layers: list[torch.nn.Module] = []
    for kernel, bias in weights:
        last = len(layers) == 2 * (len(weights) - 1)
        layer = torch.nn.Linear(*kernel.shape, bias=not last)
        with torch.no_grad():
            layer.weight.copy_(torch.tensor(kernel.T))
            if not last:
                layer.bias.copy_(torch.tensor(bias))
        layers += [layer] if last else [layer, torch.nn.Tanh()]
    return torch.nn.Sequential(*layers)
