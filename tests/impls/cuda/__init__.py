"""CUDA kernels shown right without a GPU: simulated thread by thread, and compiled to machine code."""
