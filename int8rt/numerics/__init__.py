"""Which bits: rounding rules, fixed point, requantization, the C library's functions, storage form, simulation.

One source serves NumPy and the kernels. No operator and no memory layout is known here.
"""
