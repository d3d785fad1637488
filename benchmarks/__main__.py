"""`make bench`: measures what was promised, as ratios against peers in the same run; ARGS="name ..." for some."""

from __future__ import annotations

import compileall
import datetime
import sys
from pathlib import Path

import whyreset
from benchmarks import agent, connections, evidence, latency, namespaces, packets, reader, resets, soak, startup, who
from benchmarks.alerts import beside, suite
from benchmarks.common import machine

ALL = {
    "startup": startup,
    "agent": agent,
    "resets": resets,
    "connections": connections,
    "reader": reader,
    "latency": latency,
    "packets": packets,
    "namespaces": namespaces,
    "who": who,
    "soak": soak,
    "evidence": evidence,
    "alerts": suite,
    "beside": beside,
}


def main() -> int:
    """Runs those that were named, or all."""
    chosen = sys.argv[1:] or list(ALL)
    if unknown := [name for name in chosen if name not in ALL]:
        print(f"there is no benchmark {unknown[0]}; there are {', '.join(ALL)}", file=sys.stderr)
        return 2
    # as an installed package is; some environments write no bytecode by themselves
    compileall.compile_dir(str(Path(whyreset.__file__).parent), quiet=2)
    print(f"{datetime.date.today()}, Linux {machine()}")
    for name in chosen:
        print(f"\n{name}: {(ALL[name].__doc__ or '').splitlines()[0]}")
        for line in ALL[name].measure():
            print(f"  {line}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
