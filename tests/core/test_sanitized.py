"""The compiled core again under AddressSanitizer: no test of it reads or writes a byte outside of its tables."""

import pytest

from tests.background import Background
from tests.core.sanitized import sanitizer


@pytest.mark.background("tests.core.sanitized")
@pytest.mark.timeout(1500)
def test_the_core_stays_within_its_tables(background: Background) -> None:
    """Every test of rings, groups, captures and noise passes on a core whose every access is checked."""
    if isinstance(missing := sanitizer(), str):
        pytest.skip(missing)
    code, printed = background.end(timeout=1400)
    assert code == 0, printed
    assert " passed" in printed
