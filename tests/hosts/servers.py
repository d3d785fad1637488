"""Debian's servers, each started by hand with a small configuration of its own (see Program)."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.hosts.hosts import Host
from tests.hosts.programs import Program, as_user

POSTGRES_USER = "postgres"
_POSTGRES = Path("/usr/lib/postgresql")

_NGINX = """\
daemon off;
user root;
pid {folder}/pid;
error_log stderr;
worker_processes %d;
events { worker_connections 1024; }
http {
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  root {folder};
  %s
}
"""
_HAPROXY = """\
defaults
  mode http
  timeout connect 2s
  timeout client 10s
  timeout server 10s
"""


def nginx(host: Host, port: int, http: str, *, workers: int = 1, large_bytes: int = 0) -> Program:
    """Debian's nginx: a master and its workers.

    Args:
        http: what stands in its http block (`server { listen 8080; }`).
        large_bytes: size of the file `/large`.
    """
    server = Program(
        host,
        *("nginx", "-p", "{folder}", "-c", "{folder}/nginx.conf"),
        port=port,
        files={"nginx.conf": _NGINX % (workers, http)},
        brood=True,  # workers do not notice that their master was killed
    )
    with (server.folder / "large").open("wb") as large:
        large.truncate(large_bytes)
    return server


def haproxy(host: Host, port: int, rules: str) -> Program:
    """Debian's haproxy in one process; `rules` follow its defaults (frontends, backends)."""
    return Program(
        host, *("haproxy", "-db", "-f", "{folder}/haproxy.cfg"), port=port, files={"haproxy.cfg": _HAPROXY + rules}
    )


def redis(host: Host, port: int, *options: str) -> Program:
    """Debian's redis, which keeps nothing; `options` are more of its settings (`--maxclients 4`)."""
    plain = ("--port", str(port), "--save", "", "--dir", "{folder}", "--protected-mode", "no")
    return Program(host, "redis-server", *plain, *options, port=port)


def http_server(host: Host, port: int, files: Mapping[str, str] | None = None) -> Program:
    """Python's http.server: it serves its folder, and answers what it cannot do before it has read it."""
    return Program(host, sys.executable, "-u", "-m", "http.server", str(port), port=port, files=files)


def postgres_command(name: str) -> str:
    """The path of one of the newest PostgreSQL's programs; FileNotFoundError where there is none."""
    found = sorted(_POSTGRES.glob(f"*/bin/{name}"), key=lambda path: float(path.parts[4]))
    if not found:
        raise FileNotFoundError(f"{_POSTGRES}/*/bin/{name}")
    return str(found[-1])


@contextmanager
def postgres_cluster() -> Iterator[Path]:
    """An empty database cluster; it costs seconds to make, and may serve one server after another."""
    with tempfile.TemporaryDirectory(prefix="whyreset-") as folder:
        Path(folder).chmod(0o777)
        data = Path(folder, "data")
        initdb = [postgres_command("initdb"), "-D", str(data), "-N", "-A", "trust", "-E", "UTF8", "--locale=C"]
        subprocess.run([*as_user(POSTGRES_USER), *initdb], check=True, stdout=subprocess.DEVNULL, cwd=folder)
        with (data / "pg_hba.conf").open("a") as access:
            access.write("host all all 192.0.2.0/24 trust\n")
        yield data


def postgres(host: Host, port: int, cluster: Path, *settings: str) -> Program:
    """Debian's PostgreSQL on a cluster; `settings` are like `max_connections=5`."""
    plain = ("listen_addresses=*", "unix_socket_directories={folder}", "fsync=off")
    options = [word for setting in (*plain, *settings) for word in ("-c", setting)]
    command = (postgres_command("postgres"), "-D", str(cluster), "-p", str(port), *options)
    server = Program(host, *command, port=port, user=POSTGRES_USER)
    try:
        server.await_true(lambda: "ready to accept connections" in server.said(), "a database that is ready")
    except BaseException:
        server.close()
        raise
    return server
