"""The ways in which a run is disturbed. One function each; the list at the end is all there is."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tests.chaos.faults import MOMENTS, Fault
from tests.chaos.trial import Outcome, Trial, judge
from tests.chaos.workers import one_worker_killed

_TIMES = 3
_DISK = 2 * 2**20


@dataclass(frozen=True)
class Scenario:
    """One way to disturb a run.

    Attributes:
        name: short, for the results.
        what: what happens, for the page.
        runs: how many runs are made of it.
        play: disturbs a run that has not begun, lets it end and judges it.
    """

    name: str
    what: str
    runs: int
    play: Callable[[Trial], Outcome]


def killed(trial: Trial) -> Outcome:
    """SIGKILL at random moments, from the start of the process on."""
    while trial.ends["SIGKILL"] < _TIMES and not trial.done:
        process = trial.start()
        trial.sleep()
        process.kill()
        trial.end(process)
    return judge(trial)


def killed_while_saving(trial: Trial) -> Outcome:
    """SIGKILL inside the writing or removing of a checkpoint, twice."""
    for moment in trial.random.sample(MOMENTS, 2):
        how = trial.end(trial.start(Fault(moment, trial.random.randint(0, 7))))
        trial.notes[f"killed: {moment}"] += how == "SIGKILL"
    return judge(trial)


def disk_full(trial: Trial) -> Outcome:
    """The disk fills up while the run trains; later there is room again."""
    with _small_disk(trial.out) as mounted:
        trial.notes["small disk" if mounted else "ENOSPC made up"] += 1
        if mounted:
            process = trial.start()
            trial.until_trains(process)
            trial.sleep(most=0.3)
            with _full(trial.out, room=trial.random.randrange(2**18)):
                how = trial.end(process)
        else:
            how = trial.end(trial.start(Fault("full", trial.random.randint(0, 9))))
        trial.notes["ended by the full disk"] += how == "2"
        return judge(trial)


def damaged(trial: Trial) -> Outcome:
    """SIGKILL once there are two checkpoints, and then the newest is damaged."""
    process = trial.start()
    trial.until_saved(process, above=trial.random.randrange(5, trial.whole.steps // 2))
    process.kill()
    trial.end(process)
    if not trial.done:
        suffix = trial.random.choice((".json", ".safetensors"))
        newest = trial.out / "checkpoints" / f"step-{trial.saved()[-1]:08d}{suffix}"
        _damage(newest, trial.random)
        trial.end(trial.start())
        trial.notes["damage named"] += newest.stem in "".join(trial.log.read_text().split())
    return judge(trial)


def asked_to_stop(trial: Trial) -> Outcome:
    """SIGTERM or SIGUSR1 at random moments of training."""
    while trial.ends["75"] < _TIMES and not trial.done:
        process = trial.start()
        if trial.until_trains(process):
            trial.sleep()
            asked = trial.random.choice((signal.SIGTERM, signal.SIGUSR1))
            with suppress(ProcessLookupError):  # it has finished
                os.kill(process.pid or 0, asked)
        if trial.end(process) not in ("0", "75"):
            break
    return judge(trial)


def _damage(path: Path, random: Random) -> None:
    content = bytearray(path.read_bytes())
    place = random.randrange(len(content))
    match random.choice(("bit", "cut", "zeros")):
        case "bit":
            content[place] ^= 1 << random.randrange(8)
        case "cut":
            del content[place:]
        case _:
            content[place:] = bytes(len(content) - place)
    path.write_bytes(content)


@contextmanager
def _full(folder: Path, *, room: int) -> Iterator[None]:
    """Fill the disk but for so many bytes."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        with suppress(OSError):
            while True:
                file.write(bytes(2**12))
        file.truncate(max(file.tell() - room, 0))
    try:
        yield
    finally:
        ballast.unlink()


@contextmanager
def _small_disk(folder: Path) -> Iterator[bool]:
    """Put a file system in memory under a folder, where the system lets us."""
    folder.mkdir(parents=True)
    options = ["-t", "tmpfs", "-o", f"size={_DISK}", "tmpfs", str(folder)]
    mounted = shutil.which("mount") and subprocess.run(["mount", *options], check=False).returncode
    try:
        yield mounted == 0
    finally:
        if mounted == 0:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


SCENARIOS: tuple[Scenario, ...] = (
    Scenario("killed", "SIGKILL at up to three random moments", 20, killed),
    Scenario(
        "saving", "SIGKILL inside the writing of a checkpoint, twice", 12, killed_while_saving
    ),
    Scenario("full", "the disk (2 MiB) is full for a while", 6, disk_full),
    Scenario("damaged", "SIGKILL, and the newest checkpoint damaged", 6, damaged),
    Scenario("worker", "SIGKILL for one of two workers, twice", 4, one_worker_killed),
    Scenario("asked", "SIGTERM or SIGUSR1, up to three times", 6, asked_to_stop),
)
