"""Mutation testing of the contract, measuring, records, analysis and the gate: ``python -m tests.mutation --help``."""
