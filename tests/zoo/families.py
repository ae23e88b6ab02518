"""What the generic way does not reach: changes by family."""

from __future__ import annotations

from typing import Any

MODELS: dict[str, tuple[str, str]] = {}
CHANGES: dict[str, dict[str, Any]] = {}
UNBUILT: dict[str, str] = {}
