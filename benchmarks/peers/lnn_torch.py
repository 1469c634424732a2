"""A step of a Lagrangian network as published, in PyTorch: a peer of `lnn_step`.

The formula of Cranmer et al., Lagrangian Neural Networks, 2020, eq. 6,
https://arxiv.org/abs/2003.04630, by the transformations of `torch.func`: a Hessian, a
Jacobian of a Jacobian and a pseudo-inverse of one sample, vmapped over the batch. Adam
descends the mean squared error of the accelerations.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch

from benchmarks.peers.hnn_torch import all_threads

# Each size of network and batch, and each number of threads, is compiled anew.
torch._dynamo.config.recompile_limit = 64


class Trainer:
    """A network, its batch, and its optimizer.

    It runs eagerly, with `torch.func.hessian`, forward over reverse. `torch.compile`
    does not take that under vmap (https://github.com/pytorch/pytorch/issues/183015), so
    that the compiled step has its Hessian by reverse over reverse.

    Args:
      q, v, a: positions, velocities and accelerations, arrays (batch, n).
      weights: kernels (inputs, units) and biases (units,), layer by layer, to start
        from. The last bias is left out: a constant added to L moves nothing.
      learning_rate: of Adam.
      threads: of torch, set anew by each step; by default one a core.
      compiled: whether `torch.compile` gets the loss.
    """

    def __init__(
        self,
        q: np.ndarray,
        v: np.ndarray,
        a: np.ndarray,
        weights: Sequence[tuple[np.ndarray, np.ndarray]],
        *,
        learning_rate: float = 1e-3,
        threads: int | None = None,
        compiled: bool = False,
    ):
        self._threads = all_threads() if threads is None else threads
        self._batch = [torch.tensor(x) for x in (q, v, a)]
        arrays = [x for kernel, bias in weights for x in (kernel.T, bias)][:-1]
        self._params = [torch.tensor(x.copy(), requires_grad=True) for x in arrays]
        loss = _loss(_twice_reversed if compiled else torch.func.hessian)
        self._loss = torch.compile(loss, dynamic=False) if compiled else loss
        self._adam = torch.optim.Adam(self._params, lr=learning_rate)

    def _backward(self):
        torch.set_num_threads(self._threads)
        loss = self._loss(self._params, *self._batch)
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
        gradient = [p.grad.numpy().T.copy() for p in self._params]
        self._adam.zero_grad()
        return loss, gradient


def _lagrangian(params, q, v):
    """A perceptron of softplus units, and ½ |v|²."""
    x = torch.cat([q, v])
    *hidden, last = params
    for weights, shift in zip(hidden[::2], hidden[1::2], strict=True):
        x = torch.nn.functional.softplus(torch.nn.functional.linear(x, weights, shift))
    return torch.nn.functional.linear(x, last)[0] + v @ v / 2


def _twice_reversed(function: Callable, argument: int) -> Callable:
    return torch.func.jacrev(torch.func.jacrev(function, argument), argument)


def _loss(hessian: Callable) -> Callable:
    momentum = torch.func.jacrev(_lagrangian, 2)

    def accelerate(params, q, v):
        mass = hessian(_lagrangian, 2)(params, q, v)
        mixed = torch.func.jacrev(momentum, 1)(params, q, v)
        push = torch.func.grad(_lagrangian, 1)(params, q, v) - mixed @ v
        return torch.linalg.pinv(mass) @ push

    def loss(params, q, v, a):
        ours = torch.func.vmap(accelerate, (None, 0, 0))(params, q, v)
        return ((ours - a) ** 2).mean()

    return loss
