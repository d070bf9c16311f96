"""From a Subgraph to a Program: shapes and constants, what calls run, and where tensors live.

Nothing is compiled or run here.
"""
