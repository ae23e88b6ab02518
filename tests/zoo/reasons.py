"""Why a family has an exception, read in its code: by library and family."""

from __future__ import annotations

REASONS: dict[tuple[str, str], str] = {}
