"""Models: built, with the paper's start or someone's weights."""
