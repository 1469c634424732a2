"""All that reads a traced function equation by equation.

| module | reads |
|---|---|
| `walk` | any jaxpr: runs its equations in order, and enters the calls among them |
| `layers` | a network's dense layers, and its Jacobian off them |
| `curvature` | second derivatives of a scalar, in one sweep each way |
| `plans` | loops, and how the function around and in them is differentiated |
| `sensitivities` | the Jacobian of such a function, carried along its loops |
| `scalars` | small arrays, taken apart into numbers |
| `once` | a function that is called again and again while something is traced |

What they know of JAX's primitives is in one table, `primitives.KINDS`. A primitive that
is not there is run, and differentiated, by JAX itself.
"""
