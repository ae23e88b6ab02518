"""Every error droptime raises on purpose, one tree.

    DroptimeError
    ├── CurveError            a rate, shape, knot or duration that makes no sense
    │   ├── CurveArgumentError  one argument of a curve is to blame; names it
    │   └── CurveSyntaxError    a curve's text cannot be read; points at the offending piece
    ├── ClockError            a duration the clock cannot resolve, or a step past its end
    ├── SiteError             a model's dropout cannot be driven as asked
    │   ├── NoSiteError       a selector matched no site
    │   └── ClosedSiteError   a placeholder that must drop cannot be opened
    ├── StateError            a saved state belongs to another run
    ├── ConfigError           a setting, or a combination of settings, that cannot work
    ├── DataError             a data set is missing, empty or malformed
    ├── GradientError         a gradient that is missing, or has no direction
    ├── DivergedError         a loss, a weight or a gradient is no longer finite
    ├── CheckpointError       a checkpoint is torn, corrupt or of another run
    ├── RecordError           a run directory cannot be read or written
    ├── StatsError            a statistic that its input cannot support
    └── MissingExtraError     an optional dependency is not installed

Each message says what was given, what was expected and how to mend it.
"""

from __future__ import annotations


class DroptimeError(Exception):
    """Base of every error droptime raises on purpose."""


class CurveError(DroptimeError, ValueError):
    """A rate, shape, knot or duration that makes no sense."""


class CurveArgumentError(CurveError):
    """One argument of a curve makes no sense; ``argument`` names it."""

    def __init__(self, argument: str, problem: str) -> None:
        self.argument, self.problem = argument, problem
        super().__init__(f"{argument}: {problem}")

    def __reduce__(self) -> tuple[type[CurveArgumentError], tuple[str, str]]:
        """Pickle by the constructor's arguments, so the error crosses processes whole."""
        return type(self), (self.argument, self.problem)


class CurveSyntaxError(CurveError):
    """A curve's text cannot be read; the message points at the offending piece."""

    def __init__(self, problem: str, text: str, start: int, end: int | None = None) -> None:
        self.problem, self.text, self.start = problem, text, start
        self.end = start + 1 if end is None else max(end, start + 1)
        marker = " " * start + "^" * (self.end - start)
        shown = f"\n  {text}\n  {marker}" if text.strip() else ": the text is empty"
        super().__init__(f"{problem}{shown}")

    def __reduce__(self) -> tuple[type[CurveSyntaxError], tuple[str, str, int, int]]:
        """Pickle by the constructor's arguments, so the error crosses processes whole."""
        return type(self), (self.problem, self.text, self.start, self.end)


class ClockError(DroptimeError, ValueError):
    """A duration the clock cannot resolve, or a step past its end."""


class SiteError(DroptimeError, ValueError):
    """A model's dropout cannot be driven as asked."""


class NoSiteError(SiteError):
    """A selector matched no site."""


class ClosedSiteError(SiteError):
    """A placeholder that must drop cannot be opened."""


class StateError(DroptimeError, ValueError):
    """A saved state belongs to another run."""


class ConfigError(DroptimeError, ValueError):
    """A setting, or a combination of settings, that cannot work."""


class DataError(DroptimeError, ValueError):
    """A data set is missing, empty or malformed."""


class GradientError(DroptimeError, ValueError):
    """A gradient that is missing, or has no direction."""


class DivergedError(DroptimeError, ArithmeticError):
    """A loss, a weight or a gradient is no longer finite.

    Attributes:
        step: the optimizer step whose loss it was; None where it was not a loss.
        images: indices, in the training set, of that step's batch.
    """

    step: int | None = None
    images: tuple[int, ...] = ()


class CheckpointError(DroptimeError, RuntimeError):
    """A checkpoint is torn, corrupt or of another run."""


class RecordError(DroptimeError, ValueError):
    """A run directory cannot be read or written."""


class StatsError(DroptimeError, ValueError):
    """A statistic that its input cannot support."""


class MissingExtraError(DroptimeError, ImportError):
    """An optional dependency is not installed."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        self.package, self.extra, self.purpose = package, extra, purpose
        super().__init__(
            f"{purpose} needs {package}, which is not installed. "
            f"Install it with: pip install 'droptime[{extra}]'"
        )

    def __reduce__(self) -> tuple[type[MissingExtraError], tuple[str, str, str]]:
        """Pickle by the constructor's arguments, so the error crosses processes whole."""
        return type(self), (self.package, self.extra, self.purpose)
