"""From bytes to a Graph: FlatBuffer tables of a file nobody trusts, and what a model means by them.

Nothing here knows how a model runs. What reads or writes ``.tflite`` bytes belongs here; what a node means does not.
"""
