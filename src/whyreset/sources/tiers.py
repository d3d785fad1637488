"""How much this kernel lets us see: the tiers, from all to least, and which parts of the kernel program each needs.

What a kernel has is read from its BTF and, for tracing its functions, tried; never from its version.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from whyreset.model import Missing
from whyreset.sources.base import SourceError

#: One enumerator of each enumeration whose names are needed.
ENUMS = (
    "SK_RST_REASON_NO_SOCKET",
    "SKB_DROP_REASON_NO_SOCKET",
    "BPF_FUNC_loop",
    "TCP_ESTABLISHED",
    "TCP_MIB_OUTRSTS",
    "LINUX_MIB_LISTENOVERFLOWS",
)
FUNCTIONS_TRACED = (
    "tcp_v4_send_reset",
    "tcp_v6_send_reset",
    "tcp_send_active_reset",
    "tcp_check_req",
    "inet_csk_accept",
)


#: Helpers for programs that every tier needs, and the release that brought the youngest of them.
_HELPERS = ("BPF_FUNC_loop", "BPF_FUNC_map_lookup_percpu_elem")
_HELPERS_SINCE = "5.19"


class Kernel(Struct, frozen=True, kw_only=True):
    """What the running kernel has."""

    #: Enumerations of ENUMS, each by the name that it was looked for by.
    enums: Mapping[str, Mapping[str, int]]
    #: The numbers of FUNCTIONS_TRACED in BTF.
    functions: Mapping[str, int]
    #: Whether programs may be attached to functions (fentry, fexit).
    traces_functions: bool


class Tier(Struct, frozen=True, kw_only=True):
    """One way to see resets."""

    name: str
    #: enum tier of bpf/events.h.
    number: int
    programs: tuple[str, ...]
    #: What is not seen, or less surely, in words; empty for the first.
    lost: str = ""
    #: Why there is no more than this, in words.
    why: str = ""


REASONS = Tier(name="reasons", number=0, programs=("send_reset",))
PASSIVE_REASONS = Tier(
    name="passive reasons",
    number=1,
    programs=("send_reset",),
    why="this kernel gives no reason for resets that it sends of its own accord (about 6.12 and newer do)",
    lost="certainty about them: their causes are told from the socket's state, and said to be likely",
)
FUNCTIONS = Tier(
    name="functions",
    number=2,
    programs=("answer_v4", "answer_v6", "abort"),
    why="this kernel gives no reasons for resets (about 6.10 and newer do); its functions are traced instead",
    lost="certainty about aborts: their causes are told from the socket's state, and said to be likely",
)
DROPS = Tier(
    name="drops",
    number=3,
    programs=("send_reset", "drop"),
    why="this kernel gives no reasons for resets (about 6.10 and newer do), nor lets its functions be traced",
    lost="resets from TIME-WAIT (data after close, among others), which are counted as unseen; certainty about others",
)
TIERS = (REASONS, PASSIVE_REASONS, FUNCTIONS, DROPS)

#: Programs that tell a listener's half-open requests from what meets the listener itself.
_REQUESTS = ("check_request", "checked_request")


def possible(kernel: Kernel) -> tuple[Tier, ...]:
    """The tiers that this kernel can give, the best first. Those that can be tried on it for a test come with it."""
    reasons = kernel.enums.get("SK_RST_REASON_NO_SOCKET", {})
    able = {
        REASONS.name: "SK_RST_REASON_TCP_ABORT_ON_CLOSE" in reasons,
        PASSIVE_REASONS.name: bool(reasons),
        FUNCTIONS.name: kernel.traces_functions
        and {"tcp_v4_send_reset", "tcp_send_active_reset"} <= kernel.functions.keys(),
        DROPS.name: "SKB_DROP_REASON_NO_SOCKET" in kernel.enums,
    }
    return tuple(tier for tier in TIERS if able[tier.name])


def choose(kernel: Kernel, forced: str = "") -> Tier:
    """The best tier, or the one that was asked for.

    Raises:
        SourceError: this kernel has none, or not that one.
    """
    there = possible(kernel)
    if lacking := [name for name in _HELPERS if name not in kernel.enums.get("BPF_FUNC_loop", {})]:
        what = lacking[0].replace("BPF_FUNC_", "bpf_")
        raise SourceError(f"this kernel's eBPF is too old: it has no {what} (Linux {_HELPERS_SINCE} and newer have it)")
    if not there:
        raise SourceError(
            "this kernel does not tell of resets: it gives no reasons for them (Linux 6.10 and newer do), and neither"
            " lets its functions be traced nor gives reasons for dropped segments"
        )
    if not forced:
        return there[0]
    wanted = next(tier for tier in TIERS if tier.name == forced)
    if wanted in there:
        return wanted
    if wanted.number < there[0].number:
        raise SourceError(f"this kernel does not have the tier {forced!r}; it has {there[0].name!r}")
    # a richer kernel stands in for one that has only this: its tracepoint feeds the same path
    return Tier(name=wanted.name, number=wanted.number, programs=("send_reset",), why=wanted.why, lost=wanted.lost)


def programs(kernel: Kernel, tier: Tier) -> frozenset[str]:
    """The parts of the kernel program that are loaded on this kernel for that tier."""
    wanted = set(tier.programs)
    if tier.number == FUNCTIONS.number and "abort" in wanted:
        if "tcp_v6_send_reset" not in kernel.functions:
            wanted.discard("answer_v6")
        if "tcp_check_req" in kernel.functions:
            wanted.update(_REQUESTS)
    if accepts_are_seen(kernel):
        wanted.add("accepted")
    return frozenset(wanted)


def accepts_are_seen(kernel: Kernel) -> bool:
    """Whether it is known at once which process accepts a connection."""
    helpers = kernel.enums.get("BPF_FUNC_loop", {})
    return kernel.traces_functions and "inet_csk_accept" in kernel.functions and "BPF_FUNC_get_func_ret" in helpers


def missing(tier: Tier) -> list[Missing]:
    """What is not seen, or less surely, at that tier, and why."""
    return [Missing(source="kernel", why=tier.why, lost=tier.lost)] if tier.lost else []
