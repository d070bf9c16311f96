"""Vectors for kernels: what this CPU can do, and intrinsics by role.

With ``native.compiler`` the only place that emits LLVM IR. Everything that depends on the CPU is decided here, in
tables that tests and benchmarks walk too; what a kernel computes with vectors is not.
"""
