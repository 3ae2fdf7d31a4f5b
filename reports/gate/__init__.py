"""The gate: whether head is slower than base, implementation by implementation.

`sources` builds both (`trees`: files of a checkout; `packages`: pip), `agreement` checks head, `processes` measures
both in one process, `session` decides what to measure next, `verdicts` judges, `outcome` holds the result, and `table`
and `formats` write it.
"""
