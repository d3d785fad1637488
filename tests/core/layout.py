"""The records of bpf/events.h for tests to write; test_layout holds them against what a compiler makes of it."""

import ctypes
from ctypes import c_char, c_uint8, c_uint16, c_uint32, c_uint64

SENT, RECEIVED = 1, 2
LIFE_PROCESS, LIFE_EXIT, LIFE_LISTEN, LIFE_UNLISTEN = 1, 2, 3, 4
NAME_BYTES, CGROUP_LEVELS, COMMAND_BYTES, TRIGGER_BYTES = 96, 3, 256, 128
TCP_COUNTERS, EXT_COUNTERS = 16, 48

#: enum reset_flags, by bit.
FLAGS = (
    *("HAS_SOCKET", "HAS_TRIGGER", "IN_CLOSER", "EXITING", "HAS_FILE", "RELEASED", "ORPHANED", "LINGER_ZERO"),
    *("LINGER2_NEGATIVE", "KERNEL_SOCKET", "ACTIVE_OPEN", "ACCEPT_QUEUE_FULL", "ABORT_ON_OVERFLOW", "COOKIES_RECENT"),
    *("EMBRYOS", "MEMORY_EXHAUSTED", "FIN_RECEIVED", "OOM_VICTIM", "DATA_UNACKED", "USER_TIMEOUT", "IPV6_ONLY"),
    *("RESET_RECEIVED_HERE", "KEEPALIVE"),
)
#: enum owner_via, by number.
VIA = ("NOBODY", "CONNECT", "LISTEN", "LISTENER", "FILE", "READ", "CLOSE", "ACCEPT")


def flags(*names: str) -> int:
    """The bits of flags by name."""
    return sum(1 << FLAGS.index(name) for name in names)


class ResetEvent(ctypes.Structure):
    """struct reset_event."""

    _fields_ = (
        ("time_ns", c_uint64),
        ("netns_cookie", c_uint64),
        ("flags", c_uint32),
        ("netns_inode", c_uint32),
        ("remote", c_uint8 * 16),
        ("local_port", c_uint16),
        ("remote_port", c_uint16),
        ("family", c_uint8),
        ("direction", c_uint8),
        ("reason", c_uint8),
        ("state", c_uint8),
        ("state_before", c_uint8),
        ("substate", c_uint8),
        ("owner_via", c_uint8),
        ("trigger_flags", c_uint8),
        ("trigger_options", c_uint8),
        ("trigger_ttl", c_uint8),
        ("trigger_window", c_uint16),
        ("local", c_uint8 * 16),
        ("socket_cookie", c_uint64),
        ("owner_start_ns", c_uint64),
        ("closer_start_ns", c_uint64),
        ("owner_pid", c_uint32),
        ("closer_pid", c_uint32),
        ("exit_code", c_uint32),
        ("trigger_length", c_uint32),
        ("trigger_seq", c_uint32),
        ("unread", c_uint32),
        ("opened_ns", c_uint64),
        ("bytes_in", c_uint64),
        ("bytes_out", c_uint64),
        ("trigger_ack", c_uint32),
        ("snd_nxt", c_uint32),
        ("rcv_nxt", c_uint32),
        ("idle_jiffies", c_uint32),
        ("srtt_us", c_uint32),
        ("interface", c_char * 16),
        ("pad", c_uint32),
    )


class CloseEvent(ctypes.Structure):
    """struct close_event."""

    _fields_ = (
        ("time_ns", c_uint64),
        ("netns_cookie", c_uint64),
        ("socket_cookie", c_uint64),
        ("opened_ns", c_uint64),
        ("owner_start_ns", c_uint64),
        ("bytes_in", c_uint64),
        ("bytes_out", c_uint64),
        ("owner_pid", c_uint32),
        ("flags", c_uint32),
        ("snd_nxt", c_uint32),
        ("rcv_nxt", c_uint32),
        ("srtt_us", c_uint32),
        ("idle_jiffies", c_uint32),
        ("exit_code", c_uint32),
        ("local_port", c_uint16),
        ("remote_port", c_uint16),
        ("local", c_uint8 * 16),
        ("remote", c_uint8 * 16),
        ("family", c_uint8),
        ("state_before", c_uint8),
        ("owner_via", c_uint8),
        ("pad", c_uint8 * 5),
    )


class ProcessEvent(ctypes.Structure):
    """struct process_event."""

    _fields_ = (
        ("time_ns", c_uint64),
        ("start_ns", c_uint64),
        ("cgroup_id", c_uint64),
        ("parent_start_ns", c_uint64),
        ("kind", c_uint32),
        ("pid", c_uint32),
        ("parent_pid", c_uint32),
        ("uid", c_uint32),
        ("netns_inode", c_uint32),
        ("command_bytes", c_uint32),
        ("comm", c_char * 16),
        ("exe", c_char * 64),
        ("cgroup", c_char * NAME_BYTES * CGROUP_LEVELS),
        ("command", c_uint8 * COMMAND_BYTES),
    )


class ExitEvent(ctypes.Structure):
    """struct exit_event."""

    _fields_ = (
        ("time_ns", c_uint64),
        ("start_ns", c_uint64),
        ("kind", c_uint32),
        ("pid", c_uint32),
        ("exit_code", c_uint32),
        ("flags", c_uint32),
    )


class ListenEvent(ctypes.Structure):
    """struct listen_event."""

    _fields_ = (
        ("time_ns", c_uint64),
        ("netns_cookie", c_uint64),
        ("socket_cookie", c_uint64),
        ("start_ns", c_uint64),
        ("kind", c_uint32),
        ("pid", c_uint32),
        ("uid", c_uint32),
        ("netns_inode", c_uint32),
        ("flags", c_uint32),
        ("exit_code", c_uint32),
        ("backlog", c_uint32),
        ("port", c_uint16),
        ("family", c_uint8),
        ("pad", c_uint8),
        ("address", c_uint8 * 16),
    )


class HeldSocket(ctypes.Structure):
    """struct held_socket."""

    _fields_ = (
        ("socket_cookie", c_uint64),
        ("netns_cookie", c_uint64),
        ("start_ns", c_uint64),
        ("pid", c_uint32),
        ("uid", c_uint32),
        ("netns_inode", c_uint32),
        ("backlog", c_uint32),
        ("local_port", c_uint16),
        ("remote_port", c_uint16),
        ("family", c_uint8),
        ("state", c_uint8),
        ("flags", c_uint8),
        ("pad", c_uint8),
        ("local", c_uint8 * 16),
        ("remote", c_uint8 * 16),
        ("comm", c_char * 16),
    )


class TriggerEvent(ctypes.Structure):
    """struct trigger_event."""

    _fields_ = (
        ("time_ns", c_uint64),
        ("netns_inode", c_uint32),
        ("ifindex", c_uint32),
        ("length", c_uint32),
        ("captured", c_uint32),
        ("interface", c_char * 16),
        ("data", c_uint8 * TRIGGER_BYTES),
    )


class NetnsCounters(ctypes.Structure):
    """struct netns_counters."""

    _fields_ = (
        ("cookie", c_uint64),
        ("inode", c_uint32),
        ("complete", c_uint32),
        ("tcp", c_uint64 * TCP_COUNTERS),
        ("ext", c_uint64 * EXT_COUNTERS),
    )


class Walk(ctypes.Structure):
    """struct walk."""

    _fields_ = (
        ("jiffies", c_uint64),
        ("monotonic_ns", c_uint64),
        ("namespaces", c_uint32),
        ("written", c_uint32),
    )


#: Each mirror by the name of the struct that it stands for.
STRUCTS: dict[str, type[ctypes.Structure]] = {
    "reset_event": ResetEvent,
    "close_event": CloseEvent,
    "process_event": ProcessEvent,
    "exit_event": ExitEvent,
    "listen_event": ListenEvent,
    "held_socket": HeldSocket,
    "trigger_event": TriggerEvent,
    "netns_counters": NetnsCounters,
    "walk": Walk,
}
