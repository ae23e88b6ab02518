"""The device of a run, and the processes that share it."""
