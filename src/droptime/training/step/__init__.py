"""One optimizer step, and what it keeps from one to the next."""
