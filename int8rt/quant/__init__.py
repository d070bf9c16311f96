"""From a float model to a quantized one: rules of the operators, ranges, parameters, and the graph that follows.

What measures, decides or changes in order to quantize belongs here. What quantized numbers mean does not: that is
``numerics``.
"""
