"""A history in a process of its own, which is written to until it is killed or told to end: for tests of bad ends.

python -m tests.outputs.store.flooding FILE [SECONDS]
"""

from __future__ import annotations

import os
import sys
import time

from tests.outputs import values
from tests.outputs.store.histories import packets
from whyreset.outputs.store import SIZE_MIN
from whyreset.outputs.store.files import StoreError
from whyreset.outputs.store.store import Store
from whyreset.outputs.store.values import Run


def main() -> int:
    """Writes ever more; says each number when it was handed over."""
    path, seconds = sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 60.0
    begun = time.time_ns()
    try:
        store = Store(path, Run(start_ns=begun, last_ns=begun, version="test"), now_ns=0, size=SIZE_MIN)
    except StoreError as error:
        print(error)
        return 1
    end, number, longest = time.monotonic() + seconds, 0, 0.0
    while time.monotonic() < end:
        number += 1
        now_ns, time_ns = number * 1_000_000_000, begun + number * 1_000_000_000
        began = time.perf_counter()
        store.take(
            [
                values.reset(number=number, time_ns=time_ns, last_ns=time_ns, port=number % 60_000),
                packets(time_ns, [os.urandom(1000) for _ in range(60)]),
            ],
            now_ns,
        )
        notices = store.tick(now_ns, time_ns)
        longest = max(longest, time.perf_counter() - began)
        print(number, *(notice.text for notice in notices), flush=True)
        time.sleep(0.005)
    for notice in store.close("duration", number * 1_000_000_000, begun + number * 1_000_000_000):
        print("end", notice.count, notice.text, flush=True)
    print("longest", longest, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
