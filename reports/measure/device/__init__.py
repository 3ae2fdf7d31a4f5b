"""The device report: tasks on a GPU within a given time, and the tuning of its regimes."""
