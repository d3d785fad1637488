"""A small typed binding of the system's libbpf.so.1: open an object, load it, attach its programs, reach its maps.

Nothing is pinned: programs, maps and links live as long as their descriptors, so they are gone when the process is,
however it ends.
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Callable, Mapping
from typing import Any, Self

LIBRARY = "libbpf.so.1"
_LOG_BYTES = 1 << 16
_LOG_LINES = 400


class BpfError(OSError):
    """libbpf or the kernel refused; `log` holds libbpf's last lines, the verifier's among them."""

    def __init__(self, code: int, what: str, log: str = "") -> None:
        super().__init__(code, f"{what}: {os.strerror(code)}" if code else what)
        self.log = log


class _TestRun(ctypes.Structure):
    """struct bpf_test_run_opts of bpf/bpf.h."""

    _fields_ = (
        ("sz", ctypes.c_size_t),
        ("data_in", ctypes.c_void_p),
        ("data_out", ctypes.c_void_p),
        ("data_size_in", ctypes.c_uint32),
        ("data_size_out", ctypes.c_uint32),
        ("ctx_in", ctypes.c_void_p),
        ("ctx_out", ctypes.c_void_p),
        ("ctx_size_in", ctypes.c_uint32),
        ("ctx_size_out", ctypes.c_uint32),
        ("retval", ctypes.c_uint32),
        ("repeat", ctypes.c_int),
        ("duration", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
        ("cpu", ctypes.c_uint32),
        ("batch_size", ctypes.c_uint32),
    )


class _ProgLoad(ctypes.Structure):
    """struct bpf_prog_load_opts of bpf/bpf.h, as far as it is used."""

    _fields_ = (
        ("sz", ctypes.c_size_t),
        ("attempts", ctypes.c_int),
        ("expected_attach_type", ctypes.c_int),
        ("prog_btf_fd", ctypes.c_uint32),
        ("prog_flags", ctypes.c_uint32),
        ("prog_ifindex", ctypes.c_uint32),
        ("kern_version", ctypes.c_uint32),
        ("attach_btf_id", ctypes.c_uint32),
        ("attach_prog_fd", ctypes.c_uint32),
    )


#: linux/bpf.h: numbers of the stable interface.
_PROG_TYPE_TRACING, _TRACE_FENTRY = 26, 24
#: r0 = 0; exit
_NOTHING = bytes.fromhex("b700000000000000 9500000000000000")

_PRINT = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
_vsnprintf = ctypes.CDLL(None).vsnprintf
_vsnprintf.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_void_p)
#: What libbpf said; it has one voice for the whole process.
_said: list[str] = []


def _keep(level: int, template: bytes, arguments: int) -> int:
    if level <= 1 and len(_said) < _LOG_LINES:  # warnings and information; 2 is debugging
        buffer = ctypes.create_string_buffer(_LOG_BYTES)
        _vsnprintf(buffer, _LOG_BYTES, template, arguments)
        _said.append(buffer.value.decode("utf-8", "replace"))
    return 0


#: libbpf calls it for as long as the process lives, so it belongs to no object.
_voice = _PRINT(_keep)


class Library:
    """libbpf's functions, typed.

    Raises:
        OSError: libbpf.so.1 is not installed, or is not what it should be.
    """

    def __init__(self) -> None:
        self._so = ctypes.CDLL(LIBRARY, use_errno=True)
        pointer, number, text, size = ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t
        self.set_print = self._function("libbpf_set_print", pointer, _PRINT)
        self.open_mem = self._function("bpf_object__open_mem", pointer, pointer, size, pointer)
        self.load = self._function("bpf_object__load", number, pointer)
        self.close = self._function("bpf_object__close", None, pointer)
        self.next_program = self._function("bpf_object__next_program", pointer, pointer, pointer)
        self.program_name = self._function("bpf_program__name", text, pointer)
        self.program_fd = self._function("bpf_program__fd", number, pointer)
        self.set_autoload = self._function("bpf_program__set_autoload", number, pointer, ctypes.c_bool)
        self.autoload = self._function("bpf_program__autoload", ctypes.c_bool, pointer)
        self.attach = self._function("bpf_program__attach", pointer, pointer)
        self.link_fd = self._function("bpf_link__fd", number, pointer)
        self.link_destroy = self._function("bpf_link__destroy", number, pointer)
        self.iter_create = self._function("bpf_iter_create", number, number)
        self.find_map = self._function("bpf_object__find_map_by_name", pointer, pointer, text)
        self.map_fd = self._function("bpf_map__fd", number, pointer)
        self.map_max_entries = self._function("bpf_map__max_entries", ctypes.c_uint32, pointer)
        self.map_set_max_entries = self._function("bpf_map__set_max_entries", number, pointer, ctypes.c_uint32)
        self.initial_value = self._function("bpf_map__initial_value", pointer, pointer, ctypes.POINTER(size))
        self.lookup = self._function("bpf_map_lookup_elem", number, number, pointer, pointer)
        self.lookup_batch = self._function(
            "bpf_map_lookup_batch",
            number,
            number,
            pointer,
            pointer,
            pointer,
            pointer,
            ctypes.POINTER(ctypes.c_uint32),
            pointer,
        )
        self.delete = self._function("bpf_map_delete_elem", number, number, pointer)
        self.test_run = self._function("bpf_prog_test_run_opts", number, number, ctypes.POINTER(_TestRun))
        self.prog_load = self._function(
            "bpf_prog_load", number, number, text, text, text, size, ctypes.POINTER(_ProgLoad)
        )
        self.raw_tracepoint_open = self._function("bpf_raw_tracepoint_open", number, text, number)
        self.possible_cpus = self._function("libbpf_num_possible_cpus", number)
        self.set_print(_voice)

    def _function(self, name: str, result: Any, *arguments: Any) -> Callable[..., Any]:
        try:
            function = getattr(self._so, name)
        except AttributeError as error:
            raise OSError(f"{LIBRARY} has no {name}") from error
        function.restype, function.argtypes = result, arguments
        return function  # type: ignore[no-any-return]

    def traces(self, function: int) -> bool:
        """Whether this kernel lets a program be attached to one of its functions: tried with one that does nothing.

        Args:
            function: its number in the kernel's BTF.
        """
        options = _ProgLoad(expected_attach_type=_TRACE_FENTRY, attach_btf_id=function)
        options.sz = ctypes.sizeof(_ProgLoad)
        program = self.prog_load(
            _PROG_TYPE_TRACING, b"probe", b"GPL", _NOTHING, len(_NOTHING) // 8, ctypes.byref(options)
        )
        if program < 0:
            return False
        link = self.raw_tracepoint_open(None, program)
        os.close(program)
        if link < 0:
            return False
        os.close(link)
        return True

    @staticmethod
    def take_log() -> str:
        """What libbpf has said since the last call."""
        text, _said[:] = "".join(_said), []
        return text


class Object:
    """One BPF object from its bytes. Use as a context manager, or call `close`.

    Args:
        image: the ELF file's contents.
        optional: programs marked «?» in the object that shall be loaded.
        skip: programs that shall not be loaded.
        only: the programs that shall be loaded, and no others; None for what the object says.
        sizes: other numbers of entries for maps, by name.
        constants: bytes for the start of the object's read-only data.
    Raises:
        BpfError: the object could not be opened or loaded.
    """

    def __init__(
        self,
        image: bytes,
        *,
        library: Library,
        optional: frozenset[str] = frozenset(),
        skip: frozenset[str] = frozenset(),
        only: frozenset[str] | None = None,
        sizes: Mapping[str, int] | None = None,
        constants: bytes = b"",
    ) -> None:
        self._library = library
        self._image = image
        self._links: dict[str, int] = {}
        self._handle: int | None = library.open_mem(image, len(image), None)
        if not self._handle:
            raise BpfError(ctypes.get_errno(), "cannot open the BPF object", library.take_log())
        try:
            self._programs = self._list_programs()
            for name in optional:
                library.set_autoload(self._programs[name], True)
            for name in self._programs if only is not None else ():
                library.set_autoload(self._programs[name], name in (only or ()))
            for name in skip:
                library.set_autoload(self._programs[name], False)
            for name, entries in (sizes or {}).items():
                if library.map_set_max_entries(self._map(name), entries):
                    raise BpfError(ctypes.get_errno(), f"cannot size map {name}")
            if constants:
                size = ctypes.c_size_t()
                start = library.initial_value(self._map(".rodata"), ctypes.byref(size))
                if not start or size.value < len(constants):
                    raise BpfError(0, "the object's constants have another size")
                ctypes.memmove(start, constants, len(constants))
            code = library.load(self._handle)
            if code:
                raise BpfError(-code, "the kernel refused the BPF program", library.take_log())
        except BaseException:
            self.close()
            raise

    def _list_programs(self) -> dict[str, int]:
        programs: dict[str, int] = {}
        program = self._library.next_program(self._handle, None)
        while program:
            programs[self._library.program_name(program).decode()] = program
            program = self._library.next_program(self._handle, program)
        return programs

    def _map(self, name: str) -> int:
        found: int | None = self._library.find_map(self._handle, name.encode())
        if not found:
            raise BpfError(0, f"the object has no map {name}")
        return found

    def attach(self, name: str) -> None:
        """Attaches one program; raises BpfError."""
        link = self._library.attach(self._programs[name])
        if not link:
            raise BpfError(ctypes.get_errno(), f"cannot attach {name}", self._library.take_log())
        self._links[name] = link

    def map_fd(self, name: str) -> int:
        return int(self._library.map_fd(self._map(name)))

    def map_entries(self, name: str) -> int:
        return int(self._library.map_max_entries(self._map(name)))

    def open_iterator(self, name: str) -> int:
        """A descriptor whose reading runs an attached iterator program once; `read_iterator` reads and closes it."""
        fd: int = self._library.iter_create(self._library.link_fd(self._links[name]))
        if fd < 0:
            raise BpfError(-fd, f"cannot run {name}")
        return fd

    def iterate(self, name: str) -> bytes:
        """Runs an attached iterator program once and returns what it wrote."""
        return read_iterator(self.open_iterator(name))

    def run(self, name: str, *arguments: int) -> int:
        """Runs a raw tracepoint program once with these arguments; its return value."""
        words = (ctypes.c_uint64 * len(arguments))(*arguments)
        options = _TestRun(sz=ctypes.sizeof(_TestRun), ctx_in=ctypes.addressof(words), ctx_size_in=ctypes.sizeof(words))
        code = self._library.test_run(self._library.program_fd(self._programs[name]), ctypes.byref(options))
        if code:
            raise BpfError(-code, f"cannot run {name}")
        return int(options.retval)

    def close(self) -> None:
        """Detaches and frees everything; harmless when called twice."""
        for link in self._links.values():
            self._library.link_destroy(link)
        self._links.clear()
        if self._handle:
            self._library.close(self._handle)
            self._handle = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read_iterator(fd: int) -> bytes:
    """All that an iterator writes; closes the descriptor."""
    try:
        parts = []
        while part := os.read(fd, 1 << 18):
            parts.append(part)
        return b"".join(parts)
    finally:
        os.close(fd)


def read_per_cpu(library: Library, fd: int, *, key_bytes: int, value_bytes: int) -> dict[bytes, list[bytes]]:
    """All of a per-CPU hash map: {key: [value of each possible CPU]}."""
    cpus, entries = library.possible_cpus(), 256
    step = (value_bytes + 7) // 8 * 8
    keys, values = ctypes.create_string_buffer(key_bytes * entries), ctypes.create_string_buffer(step * cpus * entries)
    position = ctypes.create_string_buffer(max(key_bytes, 4))
    out: dict[bytes, list[bytes]] = {}
    start = None
    while True:
        count = ctypes.c_uint32(entries)
        code = library.lookup_batch(fd, start, position, keys, values, ctypes.byref(count), None)
        if code and -code != errno.ENOENT:
            raise BpfError(-code, "cannot read a per-CPU map")
        all_keys, all_values = keys.raw, values.raw
        for i in range(count.value):
            row = i * step * cpus
            key = all_keys[i * key_bytes : (i + 1) * key_bytes]
            out[key] = [all_values[row + k * step : row + k * step + value_bytes] for k in range(cpus)]
        if code:  # ENOENT: that was the end
            return out
        start = position
