"""What the tuned CPU implementations are made of, in Numba: one file for each way to go through an array."""
