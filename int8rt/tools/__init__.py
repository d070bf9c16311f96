"""Around a model: command line, reports, comparison with LiteRT, profiles, warm-up, images.

Nothing below imports from here.
"""
