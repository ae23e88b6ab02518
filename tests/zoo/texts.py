"""The words of ``docs/zoo.md``."""

from __future__ import annotations

INTRODUCTION = """\
# Does it work on models nobody here wrote?

`make zoo` builds a small member of every family of timm, torchvision and transformers twice, once
with every drop rate up and once with all of them at 0, and proves of both:

- **found**: each rate is a site, with its kind, in both builds;
- **opened**: a scheduler takes hold of every site, writes a rate of its own to each kind and reads
  it back, also where only a placeholder stands;
- **acts**: [`droptime.verify`](sites.md#does-it-act-proof-by-effect) raises each site alone and
  sees the output or a gradient change;
- **given back**: after `close()` every attribute of every module, `state_dict` (keys and values)
  and the config are what they were.

{models} models were built without weights and their sites counted, {families} families examined.
What does not hold is listed with its reason. Parameters that start at 0 were given small values
first, as a step of training would. Raw: [zoo.json](results/zoo.json).

Conditions: {conditions}; one process on CPU, batches of two.
A run that was stopped goes on where it was. One family again:
`python -m tests.zoo --library timm --only volo`.
"""

IGNORED = """\
## Rates that models ignore

Built, found, driven, and never used: the model's own code passes them by, with droptime or without.
`droptime.verify` calls them dead, and `DropScheduler(strict=True)` refuses them.
"""

AT_RATE_0 = """\
## What only building with a rate can open

A model built at rate 0 keeps a placeholder for almost every rate, and the scheduler opens it. Not
these:
"""

EVERY = """\
## Every family

Rates of each kind in the member examined, built with rates up. *Models* is how many of the family
were built without weights to count theirs.
"""
