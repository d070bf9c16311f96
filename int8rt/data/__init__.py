"""What models are fed with: files of arrays, images and raw bytes.

Nothing here runs a model.
"""
