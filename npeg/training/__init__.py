"""Training of npeg's networks in PyTorch: transforms, entropy model, loss, data, loop, export.

This is the only part of the package that imports torch; what a user installs never does.
"""
