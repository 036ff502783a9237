"""The parts of the teaching program `npeg/train.py`: network, losses, CIFAR-10, pictures, session.

Imports torch, like `npeg.training` and nothing else in the package.
"""
