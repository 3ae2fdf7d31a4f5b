"""What is measured on: the grid, the workloads, and arrays by description."""
