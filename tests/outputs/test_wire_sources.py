"""Lines say who spoke: the kernel, the wire, or both."""

from typing import Any

import msgspec
import pytest

from tests.outputs.test_wire import written
from tests.outputs.values import count, reset
from whyreset.outputs import wire


@pytest.mark.parametrize(
    ("facts", "on_wire", "sources"),
    [({}, 0, ["kernel"]), ({}, 1, ["kernel", "wire"]), ({"past_stack": True}, 0, ["wire"])],
)
def test_who_spoke_of_a_reset_stands_beside_it(facts: dict[str, Any], on_wire: int, sources: list[str]) -> None:
    """The kernel, the wire, or both."""
    told = msgspec.structs.replace(reset(facts=facts), on_wire=on_wire)
    assert written(wire.reset_line(told))["sources"] == sources


def test_a_reset_that_only_the_wire_showed_has_an_id_of_its_own() -> None:
    """No other reset has that number."""
    assert (wire.identifier(3), wire.identifier(-3)) == ("r3", "w3")


def test_what_left_and_what_did_not_stands_in_the_account() -> None:
    """Only where packets were read."""
    line = written(wire.count_line(msgspec.structs.replace(count(), past_stack=2, off_wire=0)))
    assert (line["past_stack"], line["off_wire"]) == (2, 0)
    assert "off_wire" not in written(wire.count_line(count()))
