"""What runs in measuring processes: the asv benchmarks, the workers, and the judge of their results.

asv always takes this package from the working tree, also when it measures an old commit of `impls`.
So what a measuring process needs uses little of `impls`, which must stay as it is: `impls.load`, a kernel's `run`,
`refusal`, `backend`, `threads` and, where it has one, `largest`, `impls.contract.OPERATIONS` (`allocate`, `dtypes`),
`impls.layout.fold`, `impls.backends`, `impls.threads` (and, for the ceiling alone, `impls.simd` and
`impls.compilation`), and the two public functions. And its parameter lists never come from the registry: asv finds them
once, with the newest code, and hands every other commit only an index into them.
"""
