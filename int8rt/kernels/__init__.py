"""Products and depthwise convolutions: packing, the loop over tiles, epilogues.

What several operators compute by, on tensors and constants that are given; no node of a model is known here.
"""
