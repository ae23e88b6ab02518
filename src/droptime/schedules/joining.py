"""Curves one after another, each with a clock of its own."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from droptime.errors import ClockError, CurveArgumentError, CurveError
from droptime.schedules.checks import Moment, duration, in_order, steps_in_order
from droptime.schedules.scaling import absolute
from droptime.schedules.text import TextCurve, cutoffs, written_pairs
from droptime.types import Clock, Curve, Duration, Rate, Schedule, Step


def join(pieces: Mapping[Moment, Curve] | Iterable[tuple[Moment, Curve]]) -> Join:
    """Return one curve made of others: ``{start: curve}``, each in force until the next start.

    A piece knows nothing of its neighbours. It sees its own step 0 when it starts, and a clock
    whose run is the piece: in a piece 100 epochs long ``"50%"`` is 50 epochs after its start, and
    a cutoff beyond its end is an error. With starts s_0 = 0 < s_1 < ..., for s_k <= i < s_{k+1}::

        schedule_k(i - s_k)

    The last piece goes on past the end of the run.

    >>> from droptime.schedules import early, standard
    >>> curve = join({"0ep": early(0.2, until="100%"), "10ep": standard(0.4)})
    >>> schedule = curve.resolve(Clock(epochs=20, steps_per_epoch=5))
    >>> schedule(0), schedule(49), schedule(50), schedule(99)
    (0.2, 0.0, 0.4, 0.4)
    >>> str(curve)
    'join(0ep: early(0.2, until=100%, shape=linear), 10ep: standard(0.4))'

    Args:
        pieces: a mapping, or pairs, of start and curve, in order of time; at least two, the
            first at 0.

    Raises:
        CurveError: fewer than two pieces, the first not at 0, a start without a unit, starts out
            of order or at one moment, a piece that is no curve or a relative one.
    """
    pairs = pieces.items() if isinstance(pieces, Mapping) else pieces
    return Join(tuple((duration(at, f"start {n}"), c) for n, (at, c) in enumerate(pairs, 1)))


@dataclass(frozen=True, repr=False)
class Join(TextCurve):
    """See :func:`join`."""

    pieces: tuple[tuple[Duration, Curve], ...]

    def __post_init__(self) -> None:
        checked = tuple(
            (duration(at, f"start {number}"), _curve(piece, f"curve {number}"))
            for number, (at, piece) in enumerate(self.pieces, start=1)
        )
        if len(checked) < 2:
            raise CurveError(f"join needs at least two pieces, not {len(checked)}.")
        if checked[0][0].amount != 0:
            raise CurveArgumentError(
                "start 1", f"{checked[0][0]} leaves the run without a beginning: start at 0ep."
            )
        in_order([at for at, _ in checked], "start")
        object.__setattr__(self, "pieces", checked)

    def resolve(self, clock: Clock) -> Schedule:
        """Return the schedule; see :meth:`droptime.types.Curve.resolve`."""
        starts = self._starts(clock)
        schedules = [self._resolve_piece(number, clock) for number in range(len(starts))]

        def schedule(step: Step) -> Rate:
            number = bisect_right(starts, step) - 1
            return schedules[number](step - starts[number])

        return schedule

    def cutoffs(self, clock: Clock) -> tuple[Step, ...]:
        """Return the starts of the later pieces and every piece's own cutoffs."""
        found = set(self._starts(clock)[1:])
        for start, (_, piece), length in zip(
            self._starts(clock), self.pieces, self._clocks(clock), strict=True
        ):
            found.update(start + step for step in cutoffs(piece, length))
        return tuple(sorted(found))

    def __str__(self) -> str:
        """The text that ``droptime.parse`` reads back."""
        return written_pairs("join", self.pieces)

    def _starts(self, clock: Clock) -> tuple[Step, ...]:
        starts = steps_in_order([at for at, _ in self.pieces], clock, "start")
        if starts[-1] == clock.total_steps:
            raise CurveError(
                f"{self}: the last piece starts at the end of the run ({clock}) and would never "
                "be in force: start it earlier or leave it out."
            )
        return starts

    def _clocks(self, clock: Clock) -> list[Clock]:
        starts = self._starts(clock)
        ends = [*starts[1:], clock.total_steps]
        return [
            Clock(
                steps_per_epoch=clock.steps_per_epoch,
                total_steps=None if end is None else end - start,
            )
            for start, end in zip(starts, ends, strict=True)
        ]

    def _resolve_piece(self, number: int, clock: Clock) -> Schedule:
        start, piece = self.pieces[number]
        try:
            return piece.resolve(self._clocks(clock)[number])
        except (ClockError, CurveError) as error:
            kind = ClockError if isinstance(error, ClockError) else CurveError
            raise kind(
                f"In piece {number + 1} of a join, which starts at {start} on a clock of its own: "
                f"{error}"
            ) from error


def _curve(value: object, argument: str) -> Curve:
    if isinstance(value, Curve):
        return absolute(value, argument)
    raise CurveArgumentError(
        argument, f"{value!r} is not a curve: give one, such as standard(0.1)."
    )
