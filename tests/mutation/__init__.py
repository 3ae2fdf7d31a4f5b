"""Mutation testing of the contract and the public functions: ``python -m tests.mutation --help``."""
