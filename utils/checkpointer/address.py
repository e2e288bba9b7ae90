"""A Redis URL taken apart: one server, a cluster, or a master that Sentinels know."""

from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from redis.connection import parse_url

Kind = Literal["server", "cluster", "sentinel"]
Host = tuple[str, int]  # of a unix socket its path and 0
_DEFAULT_PORTS = {"redis+cluster": 6379, "redis+sentinel": 26379}
_YES = ("true", "1", "yes")


@dataclass(frozen=True, slots=True)
class Address:
    """Where a Redis is and how to log in there. Its `str` and `repr` say where alone, and may be logged.

    Of several hosts, `options` are redis-py's for a connection to a server, `sentinel_options` those for one to a
    Sentinel; of one, everything is in `url`.
    """

    kind: Kind
    hosts: tuple[Host, ...]
    tls: bool
    url: str = field(repr=False)
    service: str = ""
    options: dict[str, Any] = field(default_factory=dict, repr=False)
    sentinel_options: dict[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def parse(cls, url: str) -> "Address":
        """The address in *url*.

        - `redis://`, `rediss://` (TLS) and `unix://` as redis-py reads them, `?ssl_ca_certs=FILE` for a private CA
        - `redis+cluster://[user:password@]host:port,host:port`
        - `redis+sentinel://[user:password@]host:port,host:port/service[/db]`, the login being the servers', and
          `?sentinel_username=…&sentinel_password=…` that of the Sentinels
        - the latter two speak TLS with `?ssl=true`, and take redis-py's further options

        Raises:
            ValueError: it is none of these; the message repeats nothing of it.
        """
        try:
            return _parse_several(url) if urlsplit(url).scheme in _DEFAULT_PORTS else _parse_single(url)
        except ValueError as exc:
            raise ValueError(exc.args[0] if isinstance(exc, _AddressError) else "it cannot be read") from None

    def __str__(self) -> str:
        return ",".join(_format_host(*host) for host in self.hosts)


class _AddressError(ValueError):
    """With a message of ours."""


def _parse_single(url: str) -> Address:
    options = parse_url(url)  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
    host = options.get("host", "localhost"), options.get("port", 6379)
    return Address("server", ((options["path"], 0) if "path" in options else host,), url.startswith("rediss:"), url)


def _parse_several(url: str) -> Address:
    parts = urlsplit(url)
    login, _, places = parts.netloc.rpartition("@")
    hosts = tuple(_parse_host(place.strip(), _DEFAULT_PORTS[parts.scheme]) for place in places.split(","))
    query = dict(parse_qsl(parts.query))
    tls = query.pop("ssl", "").lower() in _YES
    logins = {name: query.pop(f"sentinel_{name}", None) for name in ("username", "password")}
    service, _, db = parts.path.strip("/").partition("/")
    # redis-py reads login and query as it does for one server; TLS does not come from its scheme here.
    like_one = f"redis://{login}@host/{db}?{urlencode(query)}"
    options = parse_url(like_one)  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
    del options["host"]
    if parts.scheme == "redis+cluster":
        if service.strip("0"):
            raise _AddressError("a cluster has no numbered databases, so nothing may follow its nodes but options")
        return Address("cluster", hosts, tls, url, options=options)
    if not service:
        raise _AddressError("the name of the master is missing: redis+sentinel://host:port/NAME")
    of_sentinels = {name: value for name, value in options.items() if name.startswith("ssl_")} | logins
    return Address("sentinel", hosts, tls, url, unquote(service), options, of_sentinels)


def _parse_host(place: str, default_port: int) -> Host:
    parts = urlsplit(f"redis://{place}")
    if not parts.hostname:
        raise _AddressError("a host is missing: host:port,host:port")
    return parts.hostname, parts.port or default_port


def _format_host(host: str, port: int) -> str:
    if port == 0:
        return host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
