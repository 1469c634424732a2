"""Experiments that learn a motion: its Hamiltonian, its Lagrangian, or its field."""

__all__ = ()
