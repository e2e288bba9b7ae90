"""Redis servers of our own: the real program on free ports, single, with TLS, as a cluster, under a Sentinel."""

import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import redis
import trustme
from redis.backoff import NoBackoff
from redis.crc import key_slot
from redis.retry import Retry

from tests.programs import installed
from tests.service import free_port

PASSWORD = "p@ss/w%rd:of?redis+1"  # everything in it has to be written differently in a URL
START_LIMIT_S = 20.0
FAILOVER_AFTER_MS = 500
_SLOTS = 16384
SERVICE = "conversations"  # the master's name at the Sentinel


class RedisServer:
    """`redis-server` on a port of 127.0.0.1 with an append-only file in *folder*; what it logs is there, too.

    Args:
        password: of the default user; none is asked for if it is empty.
        authority: who signs its certificate; it speaks TLS alone then.
        users: lines of an ACL, such as `app on >secret ~* +@all`.
        options: further lines of its configuration.
        binary: another program than Debian's, such as the embedded Valkey.
    """

    def __init__(
        self,
        folder: Path,
        *,
        password: str = "",
        authority: trustme.CA | None = None,
        users: tuple[str, ...] = (),
        options: Mapping[str, str] | None = None,
        binary: Path | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self._folder, self._password, self._is_tls = folder, password, authority is not None
        self._knows_clients = (options or {}).get("tls-auth-clients") == "yes"
        self._binary = str(binary or installed("redis-server"))
        self._process: subprocess.Popen[bytes] | None = None
        lines = [
            f"dir {folder}",
            "bind 127.0.0.1",
            *self._transport(authority),
            *([] if authority is None or self._knows_clients else ["tls-auth-clients no"]),
            *(f"{name} {value}" for name, value in _defaults(password, options or {}).items()),
            *(f"user {line}" for line in users),
        ]
        (folder / "redis.conf").write_text("\n".join(lines) + "\n")
        # A server that was killed, or becomes another's master, closes its connections.
        self.client: redis.Redis = redis.Redis.from_url(self.url, socket_timeout=5, retry=Retry(NoBackoff(), 2))

    @property
    def url(self) -> str:
        """Its address, with everything that is needed to use it."""
        return self.url_of(password=self._password)

    @property
    def address(self) -> str:
        """Its address as a message may show it."""
        return f"127.0.0.1:{self.port}"

    def url_of(self, *, user: str = "", password: str = "", db: str = "0") -> str:
        """Its address with other credentials."""
        login = f"{quote(user, safe='')}:{quote(password, safe='')}@" if user or password else ""
        trust = f"?ssl_ca_certs={self._folder / 'ca.pem'}" if self._is_tls else ""
        if self._knows_clients:
            trust += f"&ssl_certfile={self._folder / 'server.pem'}&ssl_keyfile={self._folder / 'server.pem'}"
        return f"{'rediss' if self._is_tls else 'redis'}://{login}127.0.0.1:{self.port}/{db}{trust}"

    def run(self, *command: str | int | bytes) -> Any:
        """The reply to a command of the administrator's."""
        return self.client.execute_command(*command)  # type: ignore[no-untyped-call]  # redis-py leaves it untyped

    def start(self) -> Self:
        """Start it if it does not run, with the data it had, and wait until it answers."""
        if self._process is not None and self._process.poll() is None:
            return self
        with (self._folder / "redis.log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._binary, str(self._folder / "redis.conf"), *self._switches()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C in the tests is not for it
            )
        self.wait_for(self._answers)
        return self

    def stop(self) -> None:
        """End it in order."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it like a power cut."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Keep every connection, new and old, and answer none, like a host that hangs."""
        self._running().send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Go on after `pause`."""
        self._running().send_signal(signal.SIGCONT)

    def lose_data(self) -> None:
        """Remove what a server that is not running has on disk."""
        assert self._process is None, "it is running"
        shutil.rmtree(self._folder / "appendonlydir", ignore_errors=True)
        (self._folder / "dump.rdb").unlink(missing_ok=True)

    def logged(self) -> str:
        """What it wrote to its log, over all its lives."""
        return (self._folder / "redis.log").read_text(errors="replace")

    def wait_for(self, condition: Callable[[], object]) -> None:
        """Wait until *condition* is true, as long as the server lives."""
        deadline = time.monotonic() + START_LIMIT_S
        while not condition():
            assert self._running().poll() is None, f"Redis ended:\n{self.logged()[-2000:]}"
            assert time.monotonic() < deadline, f"Redis does not get so far:\n{self.logged()[-2000:]}"
            time.sleep(0.01)  # between two looks

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *failure: object) -> None:
        self.kill()
        self.client.close()

    def _transport(self, authority: trustme.CA | None) -> list[str]:
        if authority is None:
            return [f"port {self.port}"]
        authority.cert_pem.write_to_path(self._folder / "ca.pem")
        issued = authority.issue_cert("127.0.0.1", "localhost")
        issued.private_key_and_cert_chain_pem.write_to_path(self._folder / "server.pem")
        return [
            "port 0",
            f"tls-port {self.port}",
            f"tls-cert-file {self._folder / 'server.pem'}",
            f"tls-key-file {self._folder / 'server.pem'}",
            f"tls-ca-cert-file {self._folder / 'ca.pem'}",
            "tls-replication yes",
            "tls-cluster yes",
        ]

    def _switches(self) -> list[str]:
        return []

    def _answers(self) -> bool:
        try:
            # A client that waits and tries again would only be slower than this loop.
            with redis.Redis.from_url(self.url, retry=None, socket_timeout=1) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    def _running(self) -> "subprocess.Popen[bytes]":
        assert self._process is not None, "it is not running"
        return self._process

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(10)
            self._process = None


class _SentinelServer(RedisServer):
    """The same program in its other role; it rewrites its own configuration."""

    def _switches(self) -> list[str]:
        return ["--sentinel"]


class RedisCluster:
    """Three masters that share the slots; a context manager. `url` names two of them."""

    def __init__(self, folder: Path, *, password: str = "", authority: trustme.CA | None = None) -> None:
        self._password, self._authority, self._folder = password, authority, folder
        self._bus = [free_port() for _ in range(3)]
        self.nodes = [
            RedisServer(folder / str(number), password=password, authority=authority, options=_member(port, password))
            for number, port in enumerate(self._bus)
        ]

    @property
    def url(self) -> str:
        """Its address, with everything that is needed to use it."""
        login = f":{quote(self._password, safe='')}@" if self._password else ""
        trust = f"?ssl=true&ssl_ca_certs={self._folder / '0' / 'ca.pem'}" if self._authority else ""
        return f"redis+cluster://{login}{self.nodes[0].address},{self.nodes[1].address}{trust}"

    def scan(self, pattern: str = "*") -> list[bytes]:
        """The keys on all nodes."""
        return [key for node in self.nodes for key in node.client.scan_iter(pattern)]

    def node_of(self, key: str) -> RedisServer:
        """The node that has *key*, unless its slot was moved."""
        return self.nodes[self._index_of(key)]

    def move_slot(self, key: str) -> None:
        """Give the slot of *key*, and what is in it, to another node, as an operator does who adds one."""
        slot, at = key_slot(key.encode()), self._index_of(key)
        ids = [node.run("CLUSTER", "MYID").decode() for node in self.nodes]
        source, target = self.nodes[at], self.nodes[(at + 1) % 3]
        target.run("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[at])
        source.run("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[(at + 1) % 3])
        login = ("AUTH", self._password) if self._password else ()
        for found in source.run("CLUSTER", "GETKEYSINSLOT", slot, 1000):
            source.run("MIGRATE", "127.0.0.1", target.port, "", 0, 2000, *login, "KEYS", found)
        for node in (target, source, self.nodes[(at + 2) % 3]):
            node.run("CLUSTER", "SETSLOT", slot, "NODE", ids[(at + 1) % 3])

    def await_whole(self) -> None:
        """Wait until all of them say that the cluster is in order."""
        for node in self.nodes:
            node.wait_for(partial(_is_whole, node))

    def __enter__(self) -> Self:
        try:
            for node in self.nodes:
                node.start()
            self._join()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *failure: object) -> None:
        for node in self.nodes:
            node.__exit__()

    def _index_of(self, key: str) -> int:
        return key_slot(key.encode()) * 3 // _SLOTS

    def _join(self) -> None:
        for number, node in enumerate(self.nodes):
            first, last = -(-_SLOTS * number // 3), -(-_SLOTS * (number + 1) // 3) - 1
            node.run("CLUSTER", "ADDSLOTSRANGE", first, last)
            # Epochs that differ spare the nodes a vote on who is right.
            node.run("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for other, bus in zip(self.nodes[1:], self._bus[1:], strict=True):
            self.nodes[0].run("CLUSTER", "MEET", "127.0.0.1", other.port, bus)
        self.await_whole()


class RedisSentinel:
    """A master, a replica, and a Sentinel that makes it the master when the other is gone; a context manager."""

    def __init__(self, folder: Path, *, password: str = "", sentinel_password: str = "") -> None:
        self._password, self._sentinel_password = password, sentinel_password
        login = {"masterauth": _quoted(password)} if password else {}
        prompt = {"repl-diskless-sync-delay": "0", **login}
        self.master = RedisServer(folder / "master", password=password, options=prompt)
        follows = {"replicaof": f"127.0.0.1 {self.master.port}", **prompt}
        self.replica = RedisServer(folder / "replica", password=password, options=follows)
        # An ordinary mapping keeps the order: a master must be named before what is said of it.
        watched = {
            "sentinel monitor": f"{SERVICE} 127.0.0.1 {self.master.port} 1",
            "sentinel down-after-milliseconds": f"{SERVICE} {FAILOVER_AFTER_MS}",
            "sentinel failover-timeout": f"{SERVICE} 3000",
        }
        if password:
            watched["sentinel auth-pass"] = f"{SERVICE} {_quoted(password)}"
        self.sentinel = _SentinelServer(folder / "sentinel", password=sentinel_password, options=watched)

    @property
    def url(self) -> str:
        """Its address, with everything that is needed to use it."""
        login = f":{quote(self._password, safe='')}@" if self._password else ""
        asks = f"?sentinel_password={quote(self._sentinel_password, safe='')}" if self._sentinel_password else ""
        return f"redis+sentinel://{login}{self.sentinel.address}/{SERVICE}/0{asks}"

    def await_failover(self) -> None:
        """Wait until the replica is the master and the Sentinel sends clients there."""
        self.replica.wait_for(lambda: self.replica.client.info("replication")["role"] == "master")
        self.sentinel.wait_for(self._sends_to_replica)

    def __enter__(self) -> Self:
        try:
            self.master.start()
            self.replica.start()
            self.replica.wait_for(lambda: self.replica.client.info("replication").get("master_link_status") == "up")
            self.sentinel.start()
            self.sentinel.wait_for(self._is_watching)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *failure: object) -> None:
        for server in (self.sentinel, self.replica, self.master):
            server.__exit__()

    def _sends_to_replica(self) -> bool:
        masters: Any = self.sentinel.client.sentinel_masters()
        return (masters[SERVICE]["port"], masters[SERVICE]["flags"]) == (self.replica.port, "master")

    def _is_watching(self) -> bool:
        # Only a replica that the Sentinel has itself seen in good order may become the master.
        seen = self.sentinel.client.sentinel_slaves(SERVICE)
        return [(replica["flags"], replica["master-link-status"]) for replica in seen] == [("slave", "ok")]


def _defaults(password: str, options: Mapping[str, str]) -> dict[str, str]:
    usual = {"appendonly": "yes", "appendfsync": "always", "save": '""', "shutdown-timeout": "0"}
    login = {"requirepass": _quoted(password)} if password else {}
    return {**usual, **login, **options}


def _member(bus_port: int, password: str) -> dict[str, str]:
    login = {"masterauth": _quoted(password)} if password else {}
    return {"cluster-enabled": "yes", "cluster-port": str(bus_port), "cluster-node-timeout": "1000", **login}


def _is_whole(node: RedisServer) -> bool:
    state = node.run("CLUSTER", "INFO")
    return b"cluster_state:ok" in state and b"cluster_known_nodes:3" in state


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
