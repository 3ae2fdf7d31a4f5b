"""`numba_parallel` beside the libraries that users would otherwise call, and beside the machine's ceiling: in turn.

Every implementation has a process of its own, and they are sampled one after the other, round after round, so that a
disturbance meets all of them; asv, which measures one after the other, measures steadier times but compares less well.
One thread is timed by the CPU clock of the process, more by the wall clock. What was measured becomes the records that
a report is made of: a folder for each number of threads.
"""
