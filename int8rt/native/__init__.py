"""From a Python function to the address of machine code: decorators, argument blocks, compiler, cache, loader.

The one place for options of Numba. Nothing here knows of tensors, models or vectors.
"""
