"""Moments as text: RFC 3339 in UTC with milliseconds and `Z`, the one form of the API."""

from datetime import UTC, datetime


def format_moment(moment: datetime) -> str:
    """*moment*, which knows its time zone, such as 2026-11-23T01:21:19.042Z."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def format_now() -> str:
    """This moment."""
    return format_moment(datetime.now(UTC))


def read_micros(moment: str | None) -> int:
    """*moment*, as `format_moment` writes it, in microseconds since 1970; None: this moment."""
    at = datetime.now(UTC) if moment is None else datetime.fromisoformat(moment)
    return round(at.timestamp() * 1_000_000)
