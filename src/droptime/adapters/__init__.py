"""Doors from other training loops: Lightning, the Hugging Face Trainer, pytorch-ignite.

Each is a module of its own that needs its own library; nothing is imported here. Accelerate,
timm's scripts and loops of your own need none: they take the scheduler itself.
"""
