"""Why a Linux host sends TCP resets, who sent them, and what to do about it.

for reset in whyreset.explain("x.pcapng"):
    print(reset.seen.frame, reset.cause.name, *reset.evidence)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from whyreset.captures import explain
    from whyreset.model import Cause
    from whyreset.observed import ObservedReset
    from whyreset.sources.files import CaptureError

__version__ = "0.1.0"
__all__ = ["CaptureError", "Cause", "ObservedReset", "__version__", "explain"]

_HOMES = {
    "explain": "whyreset.captures",
    "Cause": "whyreset.model",
    "ObservedReset": "whyreset.observed",
    "CaptureError": "whyreset.sources.files",
}


def __getattr__(name: str) -> object:
    """What this package offers is imported when it is first asked for: `whyreset --help` needs none of it."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)
