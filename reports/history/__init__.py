"""The history: asv's results over commits, anchored to the machine's own speed, and the steps in them.

`run` measures commits with asv into a folder that machines share, `series` reads whatever such a folder holds,
`steps` finds where a series changes, and `page` and `publish` show it.
"""
