"""droptime: dropout at the right time."""
