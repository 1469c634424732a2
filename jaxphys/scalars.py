"""Small arrays taken apart into numbers, for speed in large batches on a CPU.

A state has a few entries and a batch has thousands of states. Computed number by
number, a batch is arithmetic on long, contiguous vectors, with no stacking between.
How the function is rewritten is in `jaxphys/_jaxpr/scalars.py`.
"""

from jaxphys._jaxpr.scalars import scalarize

__all__ = ["scalarize"]
