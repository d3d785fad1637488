"""Scenarios of servers with several processes, and of servers that end or turn away their clients."""

import os
import signal
import sys
from contextlib import suppress

from tests.hosts.groups import Groups, hierarchy
from tests.hosts.hosts import await_true
from tests.hosts.programs import Program
from tests.hosts.servers import haproxy, nginx, postgres, postgres_cluster, redis
from tests.meanings.scenario import Scenario, Scene, Wanted

PING = b"PING\r\n"
HANG = b"GET /hang HTTP/1.1\r\nHost: gunicorn\r\n\r\n"
APPLICATION = """\
import signal
import time

def application(environ, start):
    signal.signal(signal.SIGABRT, signal.SIG_IGN)
    while environ["PATH_INFO"] == "/hang":
        time.sleep(1)
    start("200 OK", [("Content-Length", "5")])
    return [b"hello"]
"""


def hello(scene: Scene, workers: int = 2) -> Program:
    """nginx that says hello."""
    http = f"server {{ listen {scene.port} backlog=511; location /hello {{ return 200 hello; }} }}"
    return nginx(scene.b, scene.port, http, workers=workers)


def load(scene: Scene, connections: int = 20, seconds: int = 60) -> Program:
    """wrk, which asks for /hello again and again."""
    url = f"http://{scene.address}:{scene.port}/hello"
    return Program(scene.a, "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", url)


def await_answers(scene: Scene, count: int) -> None:
    """Wait until the client's host has received so many segments more."""
    received = scene.a.counters()["InSegs"]
    await_true(lambda: scene.a.counters()["InSegs"] >= received + count, "answers", timeout=15)


def reload_under_load(scene: Scene) -> None:
    """nginx is reloaded a few times under wrk, until one of its two workers must have cut two connections at once."""
    with hello(scene) as server, load(scene) as wrk:
        cut = 0
        for number in range(40):
            if number >= 4 and cut >= 3:
                break
            await_answers(scene, 2000)
            workers, resets = set(server.children), scene.a.counters()["EstabResets"]
            server.kill(signal.SIGHUP)
            server.await_true(lambda: not workers & set(server.children), "new workers only", timeout=10)  # noqa: B023
            cut = max(cut, scene.a.counters()["EstabResets"] - resets)
        scene.mark()
        scene.pause(1.5)
        wrk.end(signal.SIGTERM)
        scene.pause(0.5)


def worker_killed(scene: Scene) -> None:
    """A worker of nginx is killed under wrk, until that has cut connections; the master starts another."""
    with hello(scene, workers=1) as server, load(scene) as wrk:
        resets = scene.a.counters()["EstabResets"]
        for _ in range(20):
            await_answers(scene, 1000)
            [worker] = server.children
            scene.mark()
            os.kill(worker, signal.SIGKILL)
            server.await_true(lambda: server.children not in ([], [worker]), "another worker")  # noqa: B023
            await_answers(scene, 1000)
            if scene.a.counters()["EstabResets"] > resets:
                break
        scene.pause(1.5)
        wrk.end(signal.SIGTERM)


def restart_under_load(scene: Scene) -> None:
    """nginx is stopped under wrk and started again after some moments."""
    with hello(scene) as first, load(scene) as wrk:
        await_answers(scene, 1000)
        refused = scene.a.counters()["AttemptFails"]
        scene.mark()
        first.end(signal.SIGTERM)
        await_true(lambda: scene.a.counters()["AttemptFails"] > refused + 50, "refused connections")
        with hello(scene):
            await_answers(scene, 1000)
            wrk.end(signal.SIGTERM)
            scene.pause(0.5)


def worker_times_out(scene: Scene) -> None:
    """gunicorn's time-out: a worker that hangs, and does not hear of it, is killed with what its client had sent."""
    command = (sys.executable, "-m", "gunicorn", "--bind", f"0.0.0.0:{scene.port}", "--timeout", "1", "app:application")
    with Program(scene.b, *command, port=scene.port, files={"app.py": APPLICATION}, brood=True) as server:
        client = scene.actor(scene.a, "client")
        server.await_true(lambda: bool(server.children), "a worker")
        [worker] = server.children
        connection = client.connect(scene.address, scene.port)
        connection.send(HANG)
        connection.await_unacknowledged()
        connection.send(HANG * 1000)  # more than it reads at once
        connection.await_state("CLOSE")
        scene.mark()
        server.await_true(lambda: server.children not in ([], [worker]), "another worker")
        scene.pause(1)


def backends_ended(scene: Scene) -> None:
    """pg_terminate_backend ends backends whose clients go on asking."""
    with postgres_cluster() as cluster, postgres(scene.b, scene.port, cluster) as server:
        client = scene.actor(scene.a, "client")
        startup = b"\0\0\0\x29\0\3\0\0user\0postgres\0database\0postgres\0\0"
        startup = len(startup).to_bytes(4, "big") + startup[4:]
        connections = [client.connect(scene.address, scene.port) for _ in range(3)]
        for connection in connections:
            connection.send(startup)
            assert connection.recv()
        others = "FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        command = ("psql", "-h", scene.address, "-p", str(scene.port), "-U", "postgres", "-Atqc")
        scene.a.run(*command, f"SELECT pg_terminate_backend(pid) {others}")
        for connection in connections:
            connection.await_state("CLOSE_WAIT")
            connection.send(b"Q\0\0\0\x0dSELECT 1\0")
        scene.mark()
        scene.pause(2)  # sooner it would be the server's end that they belong to
        server.kill(signal.SIGINT)
        server.wait()


def out_of_memory(scene: Scene) -> None:
    """The OOM killer takes redis, whose group's memory is full, and its clients are refused."""
    mount = hierarchy("cgroup", "memory")
    assert mount, "this machine lacks a memory controller of control groups v1"
    with redis(scene.b, scene.port, "--enable-debug-command", "yes") as server, Groups(mount) as groups:
        groups.limit("hungry", 64 << 20)
        groups.enter(server.pid, "hungry")
        client = scene.actor(scene.a, "client")
        client.connect(scene.address, scene.port).send(b"DEBUG POPULATE 1000000 key 1000\r\n")
        server.wait()
        scene.mark()
        for _ in range(5):
            with suppress(ConnectionRefusedError):
                client.connect(scene.address, scene.port)


def turned_away(scene: Scene) -> None:
    """redis is at maxclients, and more clients come."""
    with redis(scene.b, scene.port, "--maxclients", "8") as server:
        client = scene.actor(scene.a, "client")
        admitted = [client.connect(scene.address, scene.port) for _ in range(8)]
        for connection in admitted:
            connection.send(PING)
            assert connection.recv() == b"+PONG\r\n"
        for number in range(60):
            connection = client.connect(scene.address, scene.port)
            with suppress(OSError):
                connection.await_state("CLOSE_WAIT")
                connection.send(PING)
            connection.close()
            if number == 20:
                scene.mark()
            scene.pause(0.1)
        assert server.pid


def clients_killed(scene: Scene) -> None:
    """redis ends its clients' connections by CLIENT KILL, once; they ask again."""
    with redis(scene.b, scene.port):
        client, admin = scene.actor(scene.a, "client"), scene.actor(scene.a, "admin")
        connections = [client.connect(scene.address, scene.port) for _ in range(5)]
        for connection in connections:
            connection.send(PING)
            assert connection.recv() == b"+PONG\r\n"
        asking = admin.connect(scene.address, scene.port)
        asking.send(b"CLIENT KILL TYPE normal SKIPME yes\r\n")
        assert asking.recv() == b":5\r\n"
        for connection in connections:
            connection.await_state("CLOSE_WAIT")
            connection.send(PING)
        scene.pause(1)


def busy_web_server(scene: Scene) -> None:
    """wrk asks nginx, with connections that last and with one for each request."""
    with hello(scene):
        for header in ("Connection: keep-alive", "Connection: close"):
            url = f"http://{scene.address}:{scene.port}/hello"
            scene.a.run("wrk", "-t1", "-c20", "-d2s", "-H", header, url)


def busy_database(scene: Scene) -> None:
    """pgbench -C: a connection for each transaction."""
    with postgres_cluster() as cluster, postgres(scene.b, scene.port, cluster) as server:
        words = ("-h", scene.address, "-p", str(scene.port), "-U", "postgres", "-n", "-C", "-c4", "-T4")
        scene.a.run("pgbench", *words, "-f", "/dev/stdin", "postgres", text="SELECT 1;")
        server.kill(signal.SIGINT)
        server.wait()


def linger(scene: Scene) -> None:
    """haproxy with `option nolinger`: clients get their answers, and a reset instead of an orderly end."""
    back = scene.ports[1]
    front = f"frontend front\n bind :{scene.port}\n option nolinger\n default_backend back\n"
    rules = f"{front}backend back\n server one 127.0.0.1:{back}\n"
    hello = f"server {{ listen {back}; location /hello {{ return 200 hello; }} }}"
    with nginx(scene.b, back, hello), haproxy(scene.b, scene.port, rules):
        url = f"http://{scene.address}:{scene.port}/hello"
        for number in range(60):
            scene.a.run("curl", "--silent", "--output", "/dev/null", url, check=False)
            scene.pause(0.4)
            if number == 50:
                scene.mark()


def proxied(scene: Scene) -> None:
    """Clients of nginx, which is a proxy here, are killed in the midst of their downloads."""
    back = scene.ports[1]
    servers = f"""
      server {{ listen {back}; }}
      server {{ listen {scene.port}; location / {{ proxy_pass http://127.0.0.1:{back}; proxy_buffering off; }} }}"""
    with nginx(scene.b, scene.port, servers, large_bytes=1 << 30):
        url = f"http://{scene.address}:{scene.port}/large"
        for number in range(5):
            words = ("--silent", "--output", "/dev/null", "--limit-rate", "1M")
            with Program(scene.a, "curl", *words, url) as curl:
                scene.b.await_states(scene.port, "ESTABLISHED")
                curl.kill(signal.SIGSTOP)
                await_true(lambda: scene.a.unread() > 0, "unread data")
                curl.kill(signal.SIGKILL)
                curl.kill(signal.SIGCONT)
                curl.wait()
            scene.b.await_states(back, "ESTABLISHED", 0)
            if number == 2:
                scene.mark()
            scene.pause(0.3)


def hasty(scene: Scene) -> None:
    """A server that answers, and closes, before it has read what is sent to it."""
    server, client = scene.actor(scene.b, "hasty"), scene.actor(scene.a, "client")
    listener = server.listen(scene.port)
    for number in range(50):
        connection = client.connect(scene.address, scene.port)
        accepted = listener.accept()
        connection.send(b"a request that nobody reads")
        accepted.await_unread(27)
        accepted.close()
        connection.close()
        scene.pause(0.5)
        if number == 42:
            scene.mark()


SCENARIOS = (
    Scenario(
        "nginx is reloaded under load",
        reload_under_load,
        wanted=(Wanted("deploy", within=5.0, says=("Reload of nginx", ":{port}")),),
        needs=("nginx", "wrk"),
    ),
    Scenario(
        "a worker of nginx is killed under load",
        worker_killed,
        wanted=(Wanted("worker-crash", within=10.0, says=("SIGKILL", ":{port}")),),
        needs=("nginx", "wrk"),
    ),
    Scenario(
        "nginx is restarted under load",
        restart_under_load,
        wanted=(Wanted("service-down", within=1.5, says=("nginx", ":{port}", "exited normally"), closes=True),),
        needs=("nginx", "wrk"),
    ),
    Scenario(
        "a worker of gunicorn times out",
        worker_times_out,
        wanted=(Wanted("worker-crash", says=("gunicorn", "SIGKILL", ":{port}")),),
    ),
    Scenario(
        "PostgreSQL's backends are terminated",
        backends_ended,
        wanted=(Wanted("worker-crash", says=("status 1", ":{port}")),),
        needs=("psql",),
    ),
    Scenario(
        "the OOM killer takes redis",
        out_of_memory,
        wanted=(Wanted("service-down", within=1.0, says=("OOM killer", "redis-server")),),
        needs=("redis-server",),
    ),
    Scenario("nginx serves under load", busy_web_server, needs=("nginx", "wrk")),
    Scenario("PostgreSQL serves under load", busy_database, needs=("pgbench",)),
    Scenario(
        "redis is at maxclients",
        turned_away,
        wanted=(Wanted("limit-reached", within=5.0, says=("redis-server", "8 connections", ":{port}")),),
        needs=("redis-server",),
    ),
    Scenario(
        "haproxy does not linger",
        linger,
        wanted=(Wanted("abort-habit", within=8.0, says=("haproxy", "on purpose", ":{port}")),),
        allowed=frozenset({"health-check"}),  # which haproxy makes here, too
        alone=True,  # what is a habit depends on all connections of a host
        needs=("haproxy", "nginx", "curl"),
    ),
    Scenario(
        "a proxy's clients leave",
        proxied,
        wanted=(Wanted("relayed-abort", says=("nginx", ":{port}", "the cause is the clients")),),
        needs=("nginx", "curl"),
    ),
    Scenario(
        "a server closes before it has read",
        hasty,
        wanted=(Wanted("abort-habit", within=8.0, says=("with data unread", ":{port}")),),
        alone=True,
    ),
    Scenario("redis kills its clients once", clients_killed, needs=("redis-server",)),
)
