"""Records a real Netdata's answers, so that tests need none: `python -m benchmarks.alerts.record expressions`.

Writes tests/alerts/recorded/*; its README says what is in there.
"""

from __future__ import annotations

import html
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.alerts import beside
from benchmarks.alerts.beside import CHART, DIMENSIONS
from benchmarks.alerts.netdata import Netdata
from benchmarks.alerts.traffic import follow, steps
from tests.hosts.hosts import Host

FOLDER = Path(__file__).resolve().parents[2] / "tests/alerts/recorded"

#: What is worth knowing of the language.
EXPRESSIONS = """
1 + 2 * 3; 1 * 2 + 3; 1 - 2 - 3; 8 / 4 / 2; 2 * 3 + 4 * 5; 2 + 3 * 4 + 5; 10 - 2 * 3 - 1; 100 * 2 / 4; 100 / 2 * 4
7 - 2 + 1; ((2 + 3) * 4); 2 * (3 + 4) * 5; 1 - (2 - 3); 2 + 3 > 4; 4 < 2 + 3; 4 < 2 + 3 * 2; 5 > 3 > 1; 1 > 2 OR 3 > 2
1 > 0 AND 2 > 1 + 5; 1 AND 2 > 3 * 4; 1 < 2 AND 3 > 2 * 1; 1 OR 0 AND 0; 0 AND 0 OR 1; 1 > 2 OR 3 > 2 * 1 - 1
1 == 1 AND 2 == 2 AND 3 == 4; 1 ? 2 : 3; 1 > 0 ? 2 : 3; (1 > 0) ? 2 : 3; (1 > 0) ? 2 : 3 + 4; (0) ? 2 : 3 * 4
(0) ? 2 : (1) ? 5 : 6; (1) ? (2) : (3); 1 + 1 ? 2 : 3; 2 * (1) ? 5 : 6; - 3 + 4; -3 * -4; + 1; --3; !1 + 5; !!5
NOT 0 AND 1; !0 == 1; abs(-3); abs(-3) + 1; ABS(2 - 5) * 2; abs (-3); abs 3; 1 / 0; 0 / 0; -1 / 0; nan; inf; NaN; INF
infinity; nan == nan; inf == inf; inf == -inf; inf > 5; nan > 5; nan != 5; inf != 5; -inf; inf - inf; inf * 0; 0 * nan
!nan; !inf; $nosuch; $nosuch > 5; $nosuch == 5; $nosuch + 1; ($nosuch > 5) OR 1; (nan > 5) OR 1; 1 OR nan; 0 AND nan
nan AND 1; inf AND 1; (1 / 0) > 5; (1 / 0 > 5) OR 1; $CLEAR; $WARNING; $CRITICAL; $UNDEFINED; $UNINITIALIZED
$REMOVED; $RAISED; $this; $now > 1000; $green; $red; $x_value; ${x_value}; $x_val + 1; ${x_value; $ x_value; ${}
$update_every; $system.uptime.uptime > 10; $system.uptime > 10; $uptime > 10; 1=1; 1==1; 1 <> 2; 1 != 2; 1 <= 1; 1 >= 1
1=>1; 1 = = 1; 1 && 1; 1 || 0; 1&&1; 1||1; 1AND 1; 1AND1; 1 and 1; 1 or 0; 1 And 0; not 1; 1 ANDx 1; 1e3; 1.5; .5; 5.
1.5e2; 1e-3; 1e+2; 1,000; 0x10; 1 >.5; 1 > .5; 0.1 + 0.2 == 0.3; 1 == 1.00000001; 1 == 1.0000001; 1 == 1.000001
(1; 1); 1 +; 1 2; (); (1 > 2) ? 3; 1 ? 2; 1 ? 2 + 1 : 3; 0 ? 1 / 0 : 4; 1 ? nan : 3; 1 ? 3 : nan; nan ? 3 : 4
inf ? 3 : 4; (1 > 0) ? (nan) : (3); 1 AND(1); (1 AND(1); 1 OR-1; 0 OR-1; 1 AND!1; 1 AND -0; 1AND$x_value
1234567890123; 123456.789012345; 1/3; -1/3; 1 + + 1; 1 - - 1; 1 -1; 1-1; 2*-3; 4/-2; 1e; 1.2.3; 1 > 0 AND 0; 3 > 2 = 1
""".strip()
_EXPRESSION_RULES = """
alarm: x_value
on: system.uptime
calc: 42
every: 1s

"""
_ONE_RULE = """
alarm: {0}
on: system.uptime
{1}: {2}
every: 2s
green: 7
red: 9
"""


def record_expressions() -> None:
    """Each expression's tree and value, and the status that it gives as a warning."""
    wanted = [each.strip() for line in EXPRESSIONS.splitlines() for each in line.split(";")]
    rules = "".join(
        _ONE_RULE.format(f"{kind}{number}", kind, text)
        for number, text in enumerate(wanted)
        for kind in ("calc", "warn")
    )
    with Host("peer") as host, Netdata(host, stock=False, rules=_EXPRESSION_RULES + rules) as netdata:
        time.sleep(12)  # two evaluations at least, the slowest rule's every being 2 s
        alarms = netdata.alarms()
    answers = []
    for number, text in enumerate(wanted):
        calc, warn = alarms.get(f"calc{number}"), alarms.get(f"warn{number}")
        answers.append(
            {
                "expression": text,
                "tree": html.unescape(calc["calc_parsed"]) if calc else None,
                "value": calc["value"] if calc else None,
                "warn": warn["status"] if warn else None,
            }
        )
    lines = ",\n".join(json.dumps(answer) for answer in answers)
    (FOLDER / "expressions.json").write_text(f"[\n{lines}\n]\n")


#: Look-ups whose value is worth knowing.
LOOKUPS = """
average -10s; mean -10s; min -10s; max -10s; sum -10s; incremental_sum -10s; incremental-sum -10s; median -10s
median -9s; median -2s; stddev -10s; cv -10s; rsd -10s; ses -10s; ema -10s; ewma -10s; ses -30s; des -10s; des -30s
countif -10s; trimmed-mean -10s; trimmed-mean1 -10s; trimmed-mean10 -10s; trimmed-mean25 -10s; trimmed-mean25 -7s
trimmed-median -10s; trimmed-median25 -10s; percentile -10s; percentile25 -10s; percentile50 -7s; percentile99 -10s
percentile80 -30s
""".replace("\n", ";").strip("; \n")
_OPTIONS = """
average -10s of OutRsts; average -7s of OutRsts; sum -7s at -3s of OutRsts; average -10s unaligned at -5s of OutRsts
average -1m at -10s unaligned absolute of OutRsts; average -10s unaligned; average -10s unaligned of all
average -10s unaligned of OutRsts,AttemptFails; average -10s unaligned of OutRsts|AttemptFails
average -10s unaligned of OutRsts AttemptFails; average -10s unaligned of Out*; average -10s unaligned of !OutRsts,*
average -10s unaligned percentage of OutRsts; max -10s unaligned percentage of OutRsts,AttemptFails
average -10s unaligned of nosuch; average -10s unaligned of outrsts; max -10s unaligned min2max
max -10s unaligned min2max of OutRsts,AttemptFails; min -10s unaligned of OutRsts,AttemptFails
average -10s unaligned match-ids of SynRetrans; average -10s unaligned match-names of SynRetrans
average -10s unaligned match-ids of TCPSynRetrans; average -10s unaligned null2zero of OutRsts; average -1s unaligned
average 10s unaligned of OutRsts; average -10 unaligned of OutRsts; average -0.2m unaligned of OutRsts
""".replace("\n", ";").strip("; \n")
_LOOKUP_RULE = """
alarm: lookup{0}
on: ipv4.tcphandshake
lookup: {1}
every: 1s
"""


def record_lookups() -> None:
    """Each look-up's window and value, at several moments, with the chart's history."""
    plain = [f"{each.strip()} unaligned of OutRsts" for each in LOOKUPS.split(";")]
    wanted = plain + [each.strip() for each in _OPTIONS.split(";")]
    rules = "".join(_LOOKUP_RULE.format(number, text) for number, text in enumerate(wanted))
    moments = []
    with Host("peer") as host, Netdata(host, stock=False, rules=rules) as netdata:
        for number in range(16):
            busy = (number * 7) % 5 * 11.3
            follow(host, steps((0, busy), (1.7, 0.0), (3.3, busy * 3)), 6)
            if number > 10 or number == 3:
                moments.append(netdata.alarms())
        history = netdata.history(CHART, 120, [name for _, name in DIMENSIONS])
    answers = []
    for number, text in enumerate(wanted):
        found = [alarms[f"lookup{number}"] for alarms in moments if f"lookup{number}" in alarms]
        values = [[each["last_updated"], each["db_after"], each["db_before"], each["value"]] for each in found]
        answers.append({"lookup": text, "answers": [each for each in values if each[0]]})
    lines = ",\n  ".join(json.dumps(answer) for answer in answers)
    rows = ",\n  ".join(json.dumps([second, *history[second]]) for second in history)
    text = f'{{"dimensions": {json.dumps(DIMENSIONS)},\n "rows": [\n  {rows}],\n "lookups": [\n  {lines}]}}\n'
    (FOLDER / "lookups.json").write_text(text)


def record_series() -> None:
    """What Netdata stored of each scenario of `beside`, and how its rules on resets answered."""
    for done in beside.run(beside.SCENARIOS):
        name = FOLDER / done.scenario.name.translate(str.maketrans(" +/", "-__"))
        lines = ["second," + ",".join(identifier for identifier, _ in DIMENSIONS)]
        lines += [",".join(map(str, [second, *row])) for second, row in done.rows.items()]
        name.with_suffix(".csv").write_text("\n".join(lines) + "\n")
        kept = ("when", "name", "old_status", "status", "value", "delay", "exec_run", "updated")
        changes = [{key: each[key] for key in kept} for each in done.changes if each["chart"] == CHART]
        answers = {"uptime": done.uptime, "due": done.due, "changes": changes}
        name.with_suffix(".json").write_text(json.dumps(answers, indent=1) + "\n")


RECORDINGS: dict[str, Callable[[], None]] = {
    "expressions": record_expressions,
    "lookups": record_lookups,
    "series": record_series,
}


def main() -> int:
    """The command."""
    for name in sys.argv[1:] or RECORDINGS:
        RECORDINGS[name]()
    return 0


if __name__ == "__main__":
    sys.exit(main())
