"""The way from capture files to explained resets: order, what is carried over, which side is ours, what goes wrong."""

from __future__ import annotations

import gzip
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import whyreset
from whyreset.captures import Reader
from whyreset.observed import ObservedReset

HERE = Path(__file__).parent / "captures"
HALF_OPEN = HERE / "05a-lost-state/v4.pcap"
FORGED = HERE / "13k-exact-reset-then-data/v4.pcap"
PCAP_HEADER = 24


def records(path: Path) -> tuple[bytes, list[bytes]]:
    """A little-endian pcap's header, and each packet with its own."""
    data = path.read_bytes()
    found, at = [], PCAP_HEADER
    while at < len(data):
        end = at + 16 + int.from_bytes(data[at + 8 : at + 12], "little")
        found.append(data[at:end])
        at = end
    return data[:PCAP_HEADER], found


def split(path: Path, folder: Path, at: int) -> list[str]:
    """The same capture in two files, as a rotating recorder leaves it."""
    header, packets = records(path)
    files = [folder / "first.pcap", folder / "second.pcap"]
    files[0].write_bytes(header + b"".join(packets[:at]))
    files[1].write_bytes(header + b"".join(packets[at:]))
    return [str(each) for each in files]


def facts(resets: Iterator[ObservedReset] | Reader) -> list[tuple[str, str, str]]:
    """What matters of each."""
    return [(each.cause.name, each.seen.history, each.seen.src) for each in resets]


def test_explain_is_offered_by_the_package() -> None:
    """`whyreset.explain` gives typed resets; frames are Wireshark's."""
    resets = list(whyreset.explain(str(HALF_OPEN)))
    assert [(each.cause.name, each.seen.frame, each.direction) for each in resets] == [("half-open", 5, "observed")]
    assert isinstance(resets[0], whyreset.ObservedReset)


def test_package_has_no_other_names() -> None:
    """A name that is not there is an error as in any module."""
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = whyreset.nothing


def test_rotated_files_are_one_capture(tmp_path: Path) -> None:
    """Connections are carried from file to file, in whichever order they were named; frames are counted in each."""
    whole = facts(whyreset.explain(str(FORGED)))
    for at in range(1, 6):
        files = split(FORGED, tmp_path, at)
        for named in (files, files[::-1]):
            reader = Reader(named)
            resets = list(reader)
            assert facts(iter(resets)) == whole
            assert reader.paths == files
            assert reader.overlaps == []
            for reset in resets:
                assert reset.file == files[reset.seen.file]
                frame = reset.seen.frame + (at if reset.seen.file else 0)
                assert frame in (4, 6)


def test_captures_of_the_same_time_are_said_to_overlap(tmp_path: Path) -> None:
    """What both hold is counted twice, and that is said."""
    copy = tmp_path / "copy.pcap"
    copy.write_bytes(FORGED.read_bytes())
    reader = Reader([str(FORGED), str(copy)])
    list(reader)
    assert reader.overlaps == [(str(FORGED), str(copy))]


@pytest.mark.parametrize(
    ("local", "directions"),
    [
        ([], ["observed", "observed"]),
        (["192.0.2.2/32"], ["received", "sent"]),
        (["192.0.2.1"], ["sent", "received"]),
        (["198.51.100.0/24", "2001:db8::/32"], ["observed", "observed"]),
    ],
)
def test_local_networks_tell_sent_from_received(local: list[str], directions: list[str]) -> None:
    """Who is ours changes the direction, and nothing else."""
    resets = list(whyreset.explain(str(FORGED), local=local))
    assert [each.direction for each in resets] == directions
    assert facts(iter(resets)) == facts(whyreset.explain(str(FORGED)))


def test_what_came_before_the_damage_is_given_out(tmp_path: Path) -> None:
    """A capture that breaks off raises only after the resets before that."""
    cut = tmp_path / "cut.pcap"
    cut.write_bytes(FORGED.read_bytes()[:-1])
    resets = whyreset.explain(str(cut))
    assert next(resets).cause.name == "forged"
    with pytest.raises(whyreset.CaptureError, match=r"cut\.pcap: it ends in the midst of a packet.*at byte"):
        next(resets)


def test_one_bad_file_does_not_hide_the_others(tmp_path: Path) -> None:
    """The rest is read, and each file that cannot be is named."""
    reader = Reader([str(tmp_path), str(tmp_path / "nothing"), str(HALF_OPEN)])
    assert [each.cause.name for each in reader] == ["half-open"]
    assert [str(each) for each in reader.damages] == [
        f"{tmp_path}: it is a directory: name the captures in it",
        f"{tmp_path / 'nothing'}: it cannot be opened: No such file or directory",
    ]


def test_groups_count_what_single_resets_are() -> None:
    """Like resets as one have the same totals, and say how many addresses and ports they stand for."""
    path = str(HERE / "13a-syn-flood-closed/v4.pcap")
    singles, groups = list(whyreset.explain(path)), list(whyreset.explain(path, each=False))
    assert len(singles) == sum(each.count for each in groups) == 100
    assert len(groups) < 10
    assert {each.cause for each in groups} == {each.cause for each in singles}


def test_stopping_gives_out_what_was_found() -> None:
    """After `stop` no more is read, and the resets so far are there."""
    reader = Reader([str(HALF_OPEN), str(FORGED)])
    reader.progress = lambda done: reader.stop()
    found = list(reader)
    assert reader.stopped
    assert [each.file for each in found] == [str(HALF_OPEN)]
    assert reader.totals().resets == 1


def test_stream_is_explained_while_it_grows(tmp_path: Path) -> None:
    """A pipe that is still open gives out what is complete: nobody waits for its end."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    header, packets = records(HERE / "13a-syn-flood-closed/v4.pcap")
    seen = threading.Event()

    def feed() -> None:
        with pipe.open("wb", buffering=0) as out:
            # three seconds later in the capture's own time: all before is complete
            late = bytearray(packets[0])
            late[0:4] = (int.from_bytes(late[0:4], "little") + 3).to_bytes(4, "little")
            out.write(header + b"".join(packets) + bytes(late))
            assert seen.wait(10)

    feeder = threading.Thread(target=feed)
    feeder.start()
    try:
        reader = Reader([str(pipe)])
        first = next(iter(reader))
        assert first.cause.name == "closed-port"
    finally:
        seen.set()
        feeder.join()


def test_progress_ends_at_the_size_on_disk(tmp_path: Path) -> None:
    """Of compressed files too."""
    packed = tmp_path / "x.pcap.gz"
    packed.write_bytes(gzip.compress(FORGED.read_bytes()))
    reader = Reader([str(packed), str(HALF_OPEN)])
    told: list[int] = []
    reader.progress = told.append
    list(reader)
    assert told == sorted(told)
    assert told[-1] == reader.size() == packed.stat().st_size + HALF_OPEN.stat().st_size


def test_segments_of_one_connection() -> None:
    """They are those of the connection that was asked for, and all of them."""
    path = str(HERE / "11d-listener-crashed/v4.pcap")
    wanted = next(iter(whyreset.explain(path))).seen
    reader = Reader([path], follow=wanted.connection)
    list(reader)
    steps, left_out = reader.steps()
    assert left_out == 0
    assert [step.segment.frame for step in steps] == [1, 2, 3, 4]
    assert {(step.src, step.sport) for step in steps} == {(wanted.src, wanted.sport), (wanted.dst, wanted.dport)}
