"""What operators call a process, and how they say that it ended."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whyreset.model import Process
from whyreset.words import NAME_MAX, amount, describe_exit, name, program, service

PYTHON, NODE, JAVA, SH = "/usr/bin/python3.11", "/usr/bin/node", "/usr/lib/jvm/17/bin/java", "/usr/bin/dash"


@pytest.mark.parametrize(
    ("comm", "exe", "command", "called"),
    [
        # no interpreters: the kernel's name, completed where it was cut
        ("nginx", "/usr/sbin/nginx", "nginx: worker process", "nginx"),
        ("systemd-resolve", "/usr/lib/systemd/systemd-resolved", "/lib/systemd/systemd-resolved", "systemd-resolved"),
        ("very-long-name-", "/usr/bin/another", "x", "very-long-name-"),
        ("php-fpm8.2", "/usr/sbin/php-fpm8.2", "php-fpm: pool www", "php-fpm8.2"),
        ("kworker/0:1", "", "", "kworker/0:1"),
        ("", "curl", "", "curl"),
        ("", "", "", "?"),
        # Python
        ("gunicorn", PYTHON, "/usr/bin/python3 /usr/bin/gunicorn app:app", "gunicorn"),
        ("python3", PYTHON, "python3 -m http.server 8000", "http.server"),
        ("python3", PYTHON, "python3 -Im http.server", "http.server"),
        ("python3", PYTHON, "python3 -mhttp.server", "http.server"),
        ("python3", PYTHON, "python3 -u -W ignore -Xdev -X utf8 ./app.py -m x", "app.py"),
        ("python3", PYTHON, "python3 -bb --check-hash-based-pycs always srv.py", "srv.py"),
        ("python3", PYTHON, "python3 -c import_x", "python3"),
        ("python3", PYTHON, "python3 -", "python3"),
        ("python3", PYTHON, "python3", "python3"),
        ("gunicorn", PYTHON, "gunicorn: master [app]", "gunicorn"),
        ("python3", "", "python3 /srv/api.py", "api.py"),
        # Node
        ("MainThread", NODE, "node -r dotenv/config --inspect=0 --max-old-space-size=4096 /srv/server.js", "server.js"),
        ("node", NODE, "node -e 1", "node"),
        ("next-server (v1", NODE, "next-server (v14.1)", "next-server"),
        # Java
        ("java", JAVA, "java -Xmx1g -cp a.jar:b.jar -Dx=y org.apache.catalina.startup.Bootstrap start",
         "org.apache.catalina.startup.Bootstrap"),
        ("java", JAVA, "java -XX:+UseG1GC -jar /opt/app/app.jar --port 80", "app.jar"),
        ("java", JAVA, "java @/etc/args --add-opens java.base/java.lang=ALL-UNNAMED -m mod/com.x.Main", "com.x.Main"),
        # others
        ("ruby", "/usr/bin/ruby3.1", "ruby -I lib -rbundler/setup /usr/bin/puma -p 80", "puma"),
        ("ruby", "/usr/bin/ruby3.1", "puma 6.4.2 (tcp://0.0.0.0:3000) [app]", "puma"),
        ("perl", "/usr/bin/perl", "perl -w -I/lib -Mstrict /srv/daemon.pl", "daemon.pl"),
        ("php", "/usr/bin/php8.2", "php -d memory_limit=1G artisan queue:work", "artisan"),
        ("php", "/usr/bin/php8.2", "php -S 0.0.0.0:80 -t public", "php"),
        ("bash", "/usr/bin/bash", "bash -euo pipefail +x /srv/run.sh -c", "run.sh"),
        ("sh", SH, "sh -c exec_it /srv/run.sh", "sh"),
        ("bash", "/usr/bin/bash", "-bash", "bash"),
        ("sh", "/bin/busybox", "sh /srv/run.sh", "run.sh"),
        ("httpd", "/bin/busybox", "httpd -f", "httpd"),
        ("dotnet", "/usr/bin/dotnet", "dotnet exec /app/Api.dll", "Api.dll"),
        ("deno", "/usr/bin/deno", "deno run --allow-net main.ts", "main.ts"),
        ("bash", "/usr/bin/bash", "bash -- -odd", "-odd"),
        # a script's name that says nothing
        ("python3", PYTHON, "python3 ..", "python3"),
    ],
)  # fmt: skip
def test_a_process_is_called_by_what_it_runs(comm: str, exe: str, command: str, called: str) -> None:
    """Interpreters are called by their script, module or class, everything else by its own name."""
    process = Process(pid=911, comm=comm, exe=exe, command=tuple(command.split()) if command else ())
    assert name(process) == f"{called}[911]"


def test_a_title_with_spaces_is_one_word_of_the_command_line() -> None:
    """A program that writes a title over its command line is called by the title's first word."""
    process = Process(pid=7, comm="gunicorn", exe=PYTHON, command=("gunicorn: worker [app]",))
    assert name(process) == "gunicorn[7]"


@pytest.mark.parametrize("hostile", ["\x1b[31mred", "a\nb", "a\u202eb", "a\udcff"])
def test_what_is_not_printable_is_shown_as_escapes(hostile: str) -> None:
    """A process cannot colour, break or turn an operator's line by the name that it gives itself."""
    for process in (Process(pid=7, comm=hostile), Process(pid=7, exe=PYTHON, command=("python3", f"/srv/{hostile}"))):
        assert name(process).isprintable()
        assert "\\" in name(process)


@settings(deadline=None)
@given(
    comm=st.text(max_size=15),
    exe=st.text() | st.sampled_from([PYTHON, NODE, JAVA, SH, "/usr/bin/perl"]),
    command=st.lists(st.text() | st.sampled_from(["-", "--", "-m", "-c", "-jar", "-Im", "+x", "@x", "run", "/"])),
)
def test_any_process_has_a_short_printable_name(comm: str, exe: str, command: list[str]) -> None:
    """Whatever a process says of itself, its name is one short line."""
    called = name(Process(pid=7, comm=comm, exe=exe, command=tuple(command)))
    assert called.isprintable()
    assert 4 <= len(called) <= 10 * NAME_MAX + len("[7]")


@pytest.mark.parametrize(
    ("code", "out_of_memory", "words"),
    [
        (None, False, ""),
        (0, False, "exited normally"),
        (3 << 8, False, "exited with status 3"),
        (255 << 8, False, "exited with status 255"),
        (9, False, "killed by SIGKILL"),
        (9, True, "killed by SIGKILL (out of memory)"),
        (11, False, "killed by SIGSEGV"),
        (11 | 0x80, False, "killed by SIGSEGV"),
        (50, False, "killed by signal 50"),
        (3 << 8, True, "exited with status 3"),
    ],
)
def test_an_end_is_told_in_words(code: int | None, out_of_memory: bool, words: str) -> None:
    """Status, signal and the OOM killer are told apart; that a core was dumped is no other signal."""
    assert describe_exit(Process(pid=7, exit_code=code, out_of_memory=out_of_memory)) == words


@settings(deadline=None)
@given(st.integers())
def test_any_code_has_words(code: int) -> None:
    """No exit code raises."""
    assert describe_exit(Process(pid=7, exit_code=code))


def test_processes_of_one_program_are_called_alike() -> None:
    """By the name without the pid."""
    assert program(Process(pid=7, comm="nginx")) == program(Process(pid=8, comm="nginx")) == "nginx"


@pytest.mark.parametrize(
    ("fields", "part"),
    [
        ({}, ""),
        ({"unit": "api.service", "container": "0123456789abcdef"}, "api.service"),
        ({"container": "0123456789abcdef", "container_name": "web", "pod": "p"}, "web"),
        ({"container": "0123456789abcdef", "pod": "p"}, "0123456789ab"),
        ({"pod": "p"}, "p"),
        ({"unit": "a\x1b.service"}, "a\\x1b.service"),
    ],
)
def test_a_process_is_part_of_what_an_operator_would_look_up(fields: dict[str, str], part: str) -> None:
    """Its unit, its container's name or the beginning of its id, its pod; escaped."""
    assert service(Process(pid=7, **fields)) == part  # type: ignore[arg-type]


@pytest.mark.parametrize(("number", "told"), [(0, "0 bytes"), (1, "1 byte"), (1500, "1500 bytes")])
def test_amounts_agree_with_their_number(number: int, told: str) -> None:
    """One is not many."""
    assert amount(number, "byte") == told
