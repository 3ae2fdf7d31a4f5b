"""Tests that run inside Numba's CUDA simulator, in a process of their own: see test_in_simulator.py."""
