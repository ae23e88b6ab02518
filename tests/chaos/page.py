"""``docs/reliability.md``: the results as a page."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from tests.chaos.notes import ROOT

RESULTS = ROOT / "docs" / "results" / "chaos.json"
PATH = ROOT / "docs" / "reliability.md"

_PAGE = """\
# Can I lose a run?

`make chaos` trains the same small model again and again with `droptime train`, disturbs it, lets
the same command go on, and compares what is left with a run that nobody disturbed. A run is
**lost** unless all of this holds:

- it finishes;
- `model.safetensors` and `ema.safetensors` have the SHA-256 of the undisturbed run's;
- `rows.jsonl` has it too: no step is missing, none is there twice, every loss is the same.

{runs} runs were disturbed; in {killed} of them {kills} processes ended by SIGKILL. **{verdict}**
{bound}

{table}

The middle columns count processes by how they ended: SIGKILL, 75 (asked to stop, and saved), 2 (an
error that was said), 0 (finished); of two workers, the one that was killed, and the run's end.

{moments}

{disk} {named}

Raw: [chaos.json](results/chaos.json). Again: `make chaos`, which took {minutes} minutes for this
page; if it is stopped it goes on where it was.

## What was run

```sh
{command}
```

{steps} steps with everything that has a state: two curves, masks, mixup, flips, an average,
accumulated gradients; a checkpoint every seven steps. {system}, CPU, one thread; Python {python},
torch {torch}. Every moment is drawn from a fixed seed, but where in the run it falls depends on how
fast the machine is. To save time, processes are forked from one that has loaded the libraries and
computed nothing.

## What can I count on?

- **A process may end at any moment.** Lost is the work since the newest checkpoint
  (`checkpoint_every`, `checkpoint_minutes`). It is done again, not approximated: on a CPU the end
  is the same bit for bit.
- **A checkpoint is whole or not there.** Each of its two files is written under another name,
  synced and renamed, and is under a checksum. If the disk harms the newest one, a warning names it
  and the one before is used (`keep_checkpoints`).
- **A run goes on as itself or not at all.** Checkpoints of another run, tensors of other shapes,
  and a record that was changed or cut since are errors, and nothing is written.
- **Several processes go on as one does.** When one is killed or fails, the others end; the
  same launch command goes on, bit for bit with two processes on a CPU.
- **A full disk is an error that says so.** The run stops, what was saved stays good, and the same
  command goes on when there is room.
- **SIGTERM and SIGUSR1 save first** and end the process with code 75: see
  [training](training.md#on-a-cluster).

Not tried here: a power cut, a network file system, a GPU, several machines.
"""

_MOMENTS = {
    "killed: torn": "with half of a file written",
    "killed: written": "with a file written and not yet renamed",
    "killed: renamed": "with a file renamed and the next one not begun",
    "killed: removing": "with an old checkpoint half removed",
}


def as_json(results: dict[str, Any]) -> str:
    """What ``chaos.json`` is."""
    return json.dumps(results, indent=1) + "\n"


def render(results: dict[str, Any]) -> str:
    """The page."""
    runs, notes = results["runs"].values(), _all_notes(results)
    lost = sum(each["lost"] for each in results["scenarios"])
    moments = [f"- {notes[note]} {what}" for note, what in _MOMENTS.items() if notes[note]]
    return _PAGE.format(
        runs=len(runs),
        kills=sum(run["ends"].get("SIGKILL", 0) for run in runs),
        killed=sum("SIGKILL" in run["ends"] for run in runs),
        verdict="None was lost." if not lost else f"{lost} were lost.",
        bound=_bound(lost, len(runs)),
        table=table(results),
        moments="\n".join(["Those killed while they wrote a checkpoint were killed:\n", *moments]),
        disk=_disk(notes),
        named=f"A warning named {notes['damage named']} damaged checkpoints.",
        minutes=max(1, round(results["seconds"] / 60)),
        **{name: results[name] for name in ("command", "steps", "system", "python", "torch")},
    )


def _bound(lost: int, runs: int) -> str:
    """The chance of losing a run that this many without a loss still allow (Clopper & Pearson)."""
    if lost:
        return ""
    chance = 1 - 0.05 ** (1 / runs)
    return (
        f"With 95 % confidence that rules out a chance above {100 * chance:.1f} % of losing such "
        "a run, not a smaller one."
    )


def table(results: dict[str, Any]) -> str:
    """One line for each scenario, in Markdown."""
    ends = ("SIGKILL", "75", "2", "0")
    lines = [
        f"| what happens | runs | {' | '.join(ends)} | lost |",
        f"|---|{'---|' * (len(ends) + 2)}",
    ]
    for each in results["scenarios"]:
        counts = " | ".join(str(each["ends"].get(end, 0)) for end in ends)
        lines.append(f"| {each['what']} | {each['runs']} | {counts} | {each['lost']} |")
    return "\n".join(lines)


def _disk(notes: Counter[str]) -> str:
    how = "a file system of 2 MiB in memory (tmpfs) that another file filled up"
    if notes["ENOSPC made up"]:
        how = "made up, as no small file system could be mounted: fsync said ENOSPC"
    ended = notes["ended by the full disk"]
    return f"The full disk was {how};\nit ended {ended} processes."


def _all_notes(results: dict[str, Any]) -> Counter[str]:
    total: Counter[str] = Counter()
    for each in results["scenarios"]:
        total.update(each["notes"])
    return total
