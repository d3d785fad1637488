"""The binding of libbpf: what it loads, what it says when it cannot, and that nothing of it stays."""

import ctypes
import gc
import importlib.resources
import os
import socket
from collections.abc import Iterator

import pytest

from tests import needs
from tests.core.layout import HeldSocket
from tests.hosts.hosts import await_true
from tests.kernel_objects import held, left
from whyreset.sources import libbpf
from whyreset.sources.libbpf import BpfError, Library, Object, read_per_cpu

IMAGE = importlib.resources.files("whyreset.sources").joinpath("whyreset.bpf.o").read_bytes()


@pytest.fixture
def library() -> Library:
    """The system's libbpf."""
    try:
        return Library()
    except OSError as error:
        pytest.skip(str(error))


@pytest.fixture
def loaded(library: Library) -> Iterator[Object]:
    """The kernel program, loaded and not attached."""
    needs.program()
    with Object(IMAGE, library=library, optional=frozenset({"walk_namespaces"})) as program:
        yield program


def nothing_held() -> bool:
    """This process holds no program, map or link."""
    return not any(held(os.getpid()).values())


@pytest.mark.parametrize("image", [b"", b"\0", b"\x7fELF", b"no object at all" * 100, IMAGE[:1000]])
def test_what_is_no_object_is_refused(library: Library, image: bytes) -> None:
    """Bytes that are no BPF object give an error, not a crash."""
    with pytest.raises(BpfError, match="BPF object"):
        Object(image, library=library)


def test_an_object_with_every_byte_in_reach_damaged_is_refused_or_loaded(library: Library) -> None:
    """Damage in the object's headers never crashes the process that opens it."""
    for offset in range(64):
        damaged = bytearray(IMAGE)
        damaged[offset] ^= 0xFF
        try:
            with Object(bytes(damaged), library=library, skip=frozenset(PROGRAMS)):
                pass
        except (BpfError, KeyError):
            continue


PROGRAMS = ("set_state", "process_exit", "receive_reset", "send_reset", "held_sockets")


def test_what_the_library_says_comes_with_the_error_and_not_on_the_terminal(
    library: Library, capfd: pytest.CaptureFixture[str]
) -> None:
    """The library's own words are kept for whoever asks; the next error does not repeat them."""
    with pytest.raises(BpfError) as error:
        Object(b"no object at all" * 100, library=library)
    assert "libbpf" in error.value.log
    assert library.take_log() == ""
    assert capfd.readouterr() == ("", "")


def test_the_library_talks_only_so_much(library: Library) -> None:
    """A verifier's log may be endless; what is kept of it is not."""
    for _ in range(libbpf._LOG_LINES + 10):
        library.open_mem(b"no object at all", 16, None)
    assert 0 < len(library.take_log().splitlines()) <= libbpf._LOG_LINES


def test_the_librarys_voice_outlives_who_asked_for_it(library: Library) -> None:
    """It speaks to one function of the process; loading it a second time, and letting go of that, changes nothing."""
    Library()
    gc.collect()
    assert not library.open_mem(b"no object at all", 16, None)
    assert "libbpf" in library.take_log()


def test_a_library_that_is_not_there_is_an_os_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its absence is said like any other missing file's."""
    monkeypatch.setattr(libbpf, "LIBRARY", "libbpf-that-is-not.so.1")
    with pytest.raises(OSError, match="libbpf-that-is-not"):
        Library()


def test_a_library_without_the_functions_is_an_os_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another library under its name is told by what it lacks."""
    monkeypatch.setattr(libbpf, "LIBRARY", "libc.so.6")
    with pytest.raises(OSError, match="has no libbpf_set_print"):
        Library()


def test_the_options_of_a_test_run_are_laid_out_as_in_the_header() -> None:
    """struct bpf_test_run_opts: offsets on 64-bit machines, as bpf.h has them."""
    offsets = {name: getattr(libbpf._TestRun, name).offset for name, *_ in libbpf._TestRun._fields_}
    assert offsets == {
        "sz": 0,
        "data_in": 8,
        "data_out": 16,
        "data_size_in": 24,
        "data_size_out": 28,
        "ctx_in": 32,
        "ctx_out": 40,
        "ctx_size_in": 48,
        "ctx_size_out": 52,
        "retval": 56,
        "repeat": 60,
        "duration": 64,
        "flags": 68,
        "cpu": 72,
        "batch_size": 76,
    }
    assert ctypes.sizeof(libbpf._TestRun) == 80


# ---- with a kernel ----


def test_a_loaded_object_has_maps_and_programs(loaded: Object) -> None:
    """Descriptors of its maps are open, and sizes are what was asked for."""
    assert os.path.exists(f"/proc/self/fd/{loaded.map_fd('resets')}")
    assert loaded.map_entries("resets") == 1 << 21


def test_a_map_may_have_another_size(library: Library) -> None:
    """Sizes are set before the kernel makes the map."""
    needs.program()
    with Object(IMAGE, library=library, sizes={"resets": 4096}) as program:
        assert program.map_entries("resets") == 4096


@pytest.mark.parametrize("sizes", [{"no such map": 1}, {"sockets": 0}])
def test_a_size_that_cannot_be_is_refused_and_leaves_nothing(library: Library, sizes: dict[str, int]) -> None:
    """An object that fails half way is closed."""
    needs.program()
    with pytest.raises(BpfError):
        Object(IMAGE, library=library, sizes=sizes)
    assert nothing_held()


def test_constants_that_are_too_long_are_refused(library: Library) -> None:
    """Nothing is written beyond the object's own data."""
    needs.program()
    with pytest.raises(BpfError, match="constants"):
        Object(IMAGE, library=library, constants=b"\0" * 100_000)


def test_a_map_that_is_not_there_is_named(loaded: Object) -> None:
    """The error names what was asked for."""
    with pytest.raises(BpfError, match="nonsense"):
        loaded.map_fd("nonsense")


def test_a_program_runs_with_arguments(loaded: Object) -> None:
    """The walk over namespaces returns 0."""
    assert loaded.run("walk_namespaces", 2, 0) == 0


def test_an_iterator_gives_all_it_writes(loaded: Object) -> None:
    """The walk over open files gives whole records; it must be attached first."""
    with pytest.raises(KeyError):
        loaded.iterate("held_sockets")
    loaded.attach("held_sockets")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        found = loaded.iterate("held_sockets")
    assert len(found) > 0
    assert len(found) % ctypes.sizeof(HeldSocket) == 0


def test_per_cpu_maps_are_read_whole(loaded: Object, library: Library) -> None:
    """Every key comes with one value for each possible CPU, over several batches."""
    fd = loaded.map_fd("tallies")
    cpus = library.possible_cpus()
    update = ctypes.CDLL(libbpf.LIBRARY, use_errno=True).bpf_map_update_elem
    update.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint64)
    assert read_per_cpu(library, fd, key_bytes=16, value_bytes=16) == {}
    expected = {}
    for number in range(1, 701):
        key = number.to_bytes(16, "little")
        values = [bytes([cpu + 1]) * 8 + number.to_bytes(8, "little") for cpu in range(cpus)]
        assert update(fd, key, b"".join(values), 0) == 0
        expected[key] = values
    assert read_per_cpu(library, fd, key_bytes=16, value_bytes=16) == expected


def test_closing_takes_everything_away(library: Library) -> None:
    """Programs, maps and links live as long as the object, and not longer; closing twice is harmless."""
    needs.program()
    program = Object(IMAGE, library=library)
    program.attach("set_state")
    ours = held(os.getpid())
    assert all(ours.values())
    program.close()
    program.close()
    assert nothing_held()
    await_true(lambda: not left(ours), "the kernel to free them")


def test_an_error_inside_the_block_takes_everything_away_too(library: Library) -> None:
    """However the block is left."""
    needs.program()
    program = Object(IMAGE, library=library)
    with pytest.raises(ZeroDivisionError):
        fail_inside(program)
    assert nothing_held()


def fail_inside(program: Object) -> None:
    """Something goes wrong while the program is loaded."""
    with program:
        assert not nothing_held()
        raise ZeroDivisionError
