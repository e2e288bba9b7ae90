"""Where data sources are: addresses as people write them, held to what may be reached."""

import re
import socket
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from datasources.errors import SourceUnavailable
from datasources.mysql import MysqlSource
from datasources.postgres import PostgresSource
from datasources.server_address import ServerAddress
from datasources.source import DataSource
from datasources.sqlite import SqliteSource
from utils.reach import AddressRefused, Reach

LONGEST_URI = 2_000
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,252}[A-Za-z0-9])?|[0-9A-Fa-f:.]{2,45}", re.ASCII)
_POSTGRES_SCHEMES = ("postgresql", "postgres", "postgresql+psycopg")
_MYSQL_SCHEMES = ("mysql", "mysql+pymysql", "mariadb", "mariadb+pymysql")
_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_SERVER_FORM = "Has to be like {}://user:password@host:{}/database, percent-encoded where needed."
_POSTGRES_FORM, _MYSQL_FORM = _SERVER_FORM.format("postgresql", 5432), _SERVER_FORM.format("mysql", 3306)
_SQLITE_FORM = "Has to be like sqlite:///machines.db, a file in the folder that the operator has for this tenant."
_HIDDEN = "Holds a control character or a mark that is not shown, percent-encoded as %00 or %0A: take it out."


@dataclass(frozen=True, slots=True)
class SourcePlaces:
    """What sources may be reached: servers by *reach*, and SQLite files in *folder*; None: no such files."""

    reach: Reach
    folder: Path | None


class AddressInvalid(ValueError):
    """It is no address of a data source; the text says what one is like, and repeats nothing of it."""


def parse_address(uri: str, places: SourcePlaces) -> tuple[str, str, DataSource]:
    """Its type, what of it people may see, and the source itself, which is not connected to yet.

    Raises:
        AddressInvalid: there can be none.
    """
    try:
        url = make_url(uri) if len(uri) <= LONGEST_URI and uri.isprintable() else None
    except (ArgumentError, ValueError):
        url = None
    if url is not None and not f"{url.username}{url.password}{url.database}".isprintable():  # they are decoded
        raise AddressInvalid(_HIDDEN)
    if url is not None and url.drivername in _POSTGRES_SCHEMES:
        address, location = _parse_server(url, places.reach, 5432, _POSTGRES_FORM)
        return "postgresql", location, PostgresSource(address, partial(_find_address, places.reach))
    if url is not None and url.drivername in _MYSQL_SCHEMES:
        address, location = _parse_server(url, places.reach, 3306, _MYSQL_FORM)
        return "mysql", location, MysqlSource(address, partial(_find_address, places.reach))
    if url is not None and url.drivername == "sqlite":
        return _parse_sqlite(url, places.folder)
    raise AddressInvalid(f"{_POSTGRES_FORM} Or: {_MYSQL_FORM} Or: {_SQLITE_FORM}")


def _parse_server(url: URL, reach: Reach, usual_port: int, form: str) -> tuple[ServerAddress, str]:
    """What leads to a database on a server, and what of it people may see."""
    host, port = url.host or "", url.port or usual_port
    if not (_HOST.fullmatch(host) and 0 < port < 65_536 and url.database and url.username and url.password):
        raise AddressInvalid(form)
    query = dict(url.query)
    sslmode = query.pop("sslmode", "prefer")
    # Others name files of the server, or another server than the one that was checked.
    if query or sslmode not in _SSL_MODES:
        raise AddressInvalid(f"Takes no parameter but sslmode: {', '.join(_SSL_MODES)}.")
    if ":" in host or host.replace(".", "").isdigit() or host.lower().removesuffix(".").endswith("localhost"):
        try:
            _find_address(reach, "127.0.0.1" if host.lower().endswith("localhost") else host, port)
        except SourceUnavailable as exc:
            raise AddressInvalid(str(exc)) from None
    shown_host = f"[{host}]" if ":" in host else host
    address = ServerAddress(host, port, url.database, url.username, str(url.password), str(sslmode))
    return address, f"{shown_host}:{port}/{url.database}"[:500]


def _find_address(reach: Reach, host: str, port: int) -> str:
    """The address that *host* leads to now; that one, and no other, may be connected to.

    Raises:
        SourceUnavailable: it leads nowhere, or where nothing may be connected to.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise SourceUnavailable("The name of its host does not lead to an address.") from None
    address = str(found[0][4][0])
    try:
        reach.check(address, port)
    except AddressRefused:
        raise SourceUnavailable(
            "Leads to an address that is not on the public internet; the operator can allow it in DATA_SOURCE_NETWORKS."
        ) from None
    return address


def _parse_sqlite(url: URL, folder: Path | None) -> tuple[str, str, DataSource]:
    name = url.database or ""
    if folder is None:
        raise AddressInvalid("SQLite files can be data sources where the operator sets DATA_SOURCE_DIR alone.")
    if url.host or url.query or not name or Path(name).is_absolute() or "\0" in name or len(name) > 255:
        raise AddressInvalid(_SQLITE_FORM)
    file = (folder / name).resolve()
    if not file.is_relative_to(folder.resolve()):  # also where a link leads out of it
        raise AddressInvalid(_SQLITE_FORM)
    return "sqlite", name, SqliteSource(file)
