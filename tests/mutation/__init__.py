"""Mutation testing of the contract, the public functions and the gate: ``python -m tests.mutation --help``."""
