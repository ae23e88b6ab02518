"""Nothing of an adapter is imported unless it is used; a missing library is named."""

from __future__ import annotations

import subprocess
import sys

import pytest

LIBRARIES = {"lightning": "lightning", "huggingface": "transformers", "ignite": "pytorch-ignite"}
EXTRAS = {"lightning": "lightning", "huggingface": "transformers", "ignite": "ignite"}
MODULES = ("lightning", "pytorch_lightning", "transformers", "ignite")


def _run(code: str) -> str:
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("name", LIBRARIES)
def test_a_missing_library_is_named_with_its_extra(name: str) -> None:
    out = _run(
        "import sys\n"
        f"sys.modules.update(dict.fromkeys({MODULES}))\n"
        "from droptime.errors import MissingExtraError\n"
        "try:\n"
        f"    import droptime.adapters.{name}\n"
        "except MissingExtraError as error:\n"
        "    print(error)\n"
    )
    assert LIBRARIES[name] in out
    assert f"pip install 'droptime[{EXTRAS[name]}]'" in out


def test_the_package_imports_no_trainer() -> None:
    out = _run(
        "import sys, droptime, droptime.adapters\n"
        "droptime.DropScheduler\n"
        f"print([name for name in {MODULES} if name in sys.modules])\n"
    )
    assert out.strip() == "[]"


def test_pytorch_lightning_alone_is_enough() -> None:
    out = _run(
        "import sys\n"
        "sys.modules['lightning'] = None\n"
        "from droptime.adapters.lightning import DropSchedule\n"
        "print(DropSchedule.__mro__[1].__module__)\n"
    )
    assert out.startswith("pytorch_lightning.")
