"""The machine-readable description of the API, where it lies beside the repository."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

DESCRIPTION = Path(__file__).resolve().parents[3] / "shared" / "kustom-api.json"


def documented() -> dict[str, Any]:
    """The description; the calling test is skipped where it is not at hand."""
    if not DESCRIPTION.exists():
        pytest.skip("the description of the API is not beside the repository")
    return json.loads(DESCRIPTION.read_text("utf-8"))
