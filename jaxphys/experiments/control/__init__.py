"""Experiments that train a network through a simulator, and sweeps over such."""

__all__ = ()
