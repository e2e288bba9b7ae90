"""Where a database on a server is."""

from collections.abc import Callable
from dataclasses import dataclass, field

FindAddress = Callable[[str, int], str]
"""The address of a host and port that may be connected to.

Not the system's resolver: what it says may change between the check and the connection.
"""


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """Where a database is, and who opens it. `sslmode` is as PostgreSQL has it."""

    host: str
    port: int
    database: str
    user: str
    password: str = field(repr=False)
    sslmode: str = "prefer"
