"""Runs a few lines of Python as a worker that has a keeper and no rights."""

import json
import os
import subprocess
import sys
from typing import Any

#: What these lines find: the hands, the line to the keeper, and `tell` for what they have to say. All is imported
#: before rights are given up, since the interpreter may lie where only root reads.
_BEGIN = """
import contextlib, ctypes, errno, json, os, signal, socket, struct, sys, time
from whyreset.core.taps import Listing
from whyreset.hands import HandsError
from whyreset.privileges import requests
from whyreset.privileges.grants import Grants
from whyreset.privileges.split import split
from whyreset.sources.base import SourceError
from whyreset.sources.libbpf import Library
from whyreset.sources.loading import ALL
from whyreset.sources.packet_socket import Shape, Wanted
from whyreset.sources.packets import Packets
from whyreset.sources.program import Program

def tell(**said):
    print(json.dumps(said), flush=True)

def refused(request, *descriptors):
    try:
        hands.request(request, object, descriptors)
    except (SourceError, OSError) as error:
        return str(error)
    return ""

def alive():
    return hands.look(os.getpid()) is not None

def is_open(number):
    try:
        os.fstat(number)
    except OSError:
        return False
    return True

def keeper_has(name):
    with open(f"/proc/{hands._keeper}/status") as file:
        return next(line.split()[1] for line in file if line.startswith(name + ":"))

with split(Grants(%s), user=%r) as hands:
    hands.settle()
    line = hands._line
    alive()  # the keeper has prepared everything
"""


def worker(
    lines: str, grants: str = "", user: str = "", *, before: str = "", at_keeper: int = 0, timeout: float = 60.0
) -> dict[str, Any]:
    """What these lines tell.

    Args:
        lines: Python; the names of `_BEGIN` are there.
        grants: arguments of Grants.
        user: see `rights.user`.
        before: what is run before the two part.
        at_keeper: a signal for the keeper, of which the first thing that is told gives the pid; then a line comes.
    """
    script = before + _BEGIN % (grants, user) + "".join(f"    {each}\n" for each in lines.strip("\n").split("\n"))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=environment
    ) as process:
        try:
            said = []
            if at_keeper:
                assert process.stdout
                said.append(json.loads(process.stdout.readline()))
                os.kill(said[0]["keeper"], at_keeper)
            out, err = process.communicate("\n", timeout)
        finally:
            process.kill()
    assert err == "", err
    said += [json.loads(each) for each in out.splitlines()]
    assert said, f"exit code {process.returncode}"
    return {name: value for each in said for name, value in each.items()}
