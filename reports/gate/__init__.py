"""The gate: whether head is slower than base, implementation by implementation.

`sources` builds both, `agreement` checks head, `bench.paired` measures both in one process, `session` decides what
to measure next, `statistics` and `verdicts` decide what came of it, and `formats` writes it down.
"""
