"""Around a model: command line, reports, comparison with LiteRT, profiles, warm-up.

Nothing below imports from here.
"""
