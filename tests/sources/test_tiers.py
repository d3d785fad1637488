"""Which parts of the kernel program a kernel can run, by what its BTF shows."""

import pytest

from whyreset.sources import tiers
from whyreset.sources.base import SourceError
from whyreset.sources.tiers import Kernel

ACTIVE = {"SK_RST_REASON_NO_SOCKET": {"SK_RST_REASON_NO_SOCKET": 1, "SK_RST_REASON_TCP_ABORT_ON_CLOSE": 11}}
PASSIVE = {"SK_RST_REASON_NO_SOCKET": {"SK_RST_REASON_NO_SOCKET": 1}}
DROP = {"SKB_DROP_REASON_NO_SOCKET": {"SKB_DROP_REASON_NO_SOCKET": 2}}
LOOP = {"BPF_FUNC_loop": 181, "BPF_FUNC_get_func_ret": 184, "BPF_FUNC_map_lookup_percpu_elem": 195}
HELPERS = {"BPF_FUNC_loop": LOOP}
FUNCTIONS = dict.fromkeys(tiers.FUNCTIONS_TRACED, 1)

#: kernels like those of the releases that their names tell
KERNELS: dict[str, Kernel] = {
    "6.18 without ftrace": Kernel(enums=ACTIVE | DROP | HELPERS, functions=FUNCTIONS, traces_functions=False),
    "6.12": Kernel(enums=ACTIVE | DROP | HELPERS, functions=FUNCTIONS, traces_functions=True),
    "6.10": Kernel(enums=PASSIVE | DROP | HELPERS, functions=FUNCTIONS, traces_functions=True),
    "6.1": Kernel(enums=DROP | HELPERS, functions=FUNCTIONS, traces_functions=True),
    "6.1 without ftrace": Kernel(enums=DROP | HELPERS, functions=FUNCTIONS, traces_functions=False),
    "6.1 without ftrace or reasons": Kernel(enums=HELPERS, functions=FUNCTIONS, traces_functions=False),
    "5.10": Kernel(enums={}, functions=FUNCTIONS, traces_functions=True),
}
BEST = {
    "6.18 without ftrace": ("reasons", {"send_reset"}),
    "6.12": ("reasons", {"send_reset", "accepted"}),
    "6.10": ("passive reasons", {"send_reset", "accepted"}),
    "6.1": ("functions", {"answer_v4", "answer_v6", "abort", "check_request", "checked_request", "accepted"}),
    "6.1 without ftrace": ("drops", {"send_reset", "drop"}),
}


@pytest.mark.parametrize("name", BEST)
def test_a_kernel_gets_the_best_tier_that_it_has(name: str) -> None:
    """And of the program the parts that it needs, no others."""
    kernel = KERNELS[name]
    tier = tiers.choose(kernel)
    assert (tier.name, set(tiers.programs(kernel, tier))) == BEST[name]


def test_a_kernel_that_has_none_is_told_in_a_sentence() -> None:
    """It is not said that nothing happens there."""
    with pytest.raises(SourceError, match="does not tell of resets"):
        tiers.choose(KERNELS["6.1 without ftrace or reasons"])


def test_a_kernel_whose_ebpf_is_too_old_is_told_in_a_sentence() -> None:
    """It names what is missing, and since when there is that."""
    with pytest.raises(SourceError, match=r"no bpf_loop \(Linux 5.19"):
        tiers.choose(KERNELS["5.10"])


@pytest.mark.parametrize("wanted", [tier.name for tier in tiers.TIERS])
def test_a_lesser_tier_can_be_asked_for(wanted: str) -> None:
    """Really where the kernel has it, else with its tracepoint in place of what it lacks."""
    for name in ("6.12", "6.18 without ftrace"):
        tier = tiers.choose(KERNELS[name], wanted)
        assert tier.name == wanted
        chosen = tiers.programs(KERNELS[name], tier)
        assert ("abort" in chosen) == (wanted == "functions" and name == "6.12")
        assert ("send_reset" in chosen) != ("abort" in chosen)


def test_a_better_tier_than_the_kernel_has_cannot_be_asked_for() -> None:
    """It says what the kernel has."""
    with pytest.raises(SourceError, match="it has 'functions'"):
        tiers.choose(KERNELS["6.1"], "reasons")


def test_functions_that_are_not_there_are_not_traced() -> None:
    """A kernel without IPv6, and one whose compiler put a function into its callers."""
    kernel = KERNELS["6.1"]
    few = {name: 1 for name in FUNCTIONS if name not in ("tcp_v6_send_reset", "tcp_check_req", "inet_csk_accept")}
    lean = Kernel(enums=kernel.enums, functions=few, traces_functions=True)
    assert tiers.programs(lean, tiers.choose(lean)) == {"answer_v4", "abort"}
    without = {name: 1 for name in FUNCTIONS if name != "tcp_v4_send_reset"}
    assert tiers.choose(Kernel(enums=kernel.enums, functions=without, traces_functions=True)).name == "drops"


def test_what_is_lost_is_said() -> None:
    """Nothing on a kernel that tells all; else what and why."""
    assert tiers.missing(tiers.REASONS) == []
    for tier in tiers.TIERS[1:]:
        [lost] = tiers.missing(tier)
        assert lost.source == "kernel"
        assert lost.why
        assert lost.lost
