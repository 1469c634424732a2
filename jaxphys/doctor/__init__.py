"""A doctor for differentiable simulators: what is wrong with a gradient, and where.

`check(f, example)` looks at a function of JAX arrays at one example, and leaves a
`Report` of findings. It knows of these:

| finding | what it says |
|---|---|
| `not_traceable` | JAX cannot trace the function: no derivative, no compilation |
| `value_not_finite` | a NaN or an infinity, and the line that made it |
| `no_gradient`, `no_forward` | a derivative that JAX does not have |
| `gradient_not_finite` | finite values with a NaN gradient or J v: the line, the trap |
| `jvp_vjp` | forward and backward derivatives against one another |
| `finite_differences` | the derivative against that of the values |
| `kink` | the example stands where the slope jumps |
| `float32` | single against double precision |
| `idle_input` | an input, or entries of it, that do nothing |
| `blind_input` | an input that changes values, and no derivative tells of it |
| `jump` | changes that happen in jumps, which the gradient does not see |
| `horizon` | how a loop's steps stretch a change: vanishing, exploding, chaotic |
| `spectrum` | singular values of the Jacobian: which method, `rcond` and dtype |
| `updates` | the time of an update by Adam and by Levenberg–Marquardt |
"""

from jaxphys.doctor.examine import check
from jaxphys.doctor.record import Finding, Report

__all__ = ["Finding", "Report", "check"]
