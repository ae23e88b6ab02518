"""Checkpoints: what is in one, when it is due, and how it is never torn."""
