"""The asv benchmarks: how the implementations are measured.

asv always takes this package from the working tree, also when it measures an old commit of `impls`.
So it uses little of `impls`, which must stay as it is: `impls.load`, a kernel's `run`, `refusal` and
`backend`, `impls.contract.OPERATIONS` (`allocate`, `verify`), `impls.layout.fold`, and the two public
functions. And its parameter lists never come from the registry: asv finds them once, with the newest
code, and hands every other commit only an index into them.
"""
