"""The days of a document: from when to when it holds, and of when it is."""

from datetime import UTC, date, datetime
from typing import Literal

from domain.models import Document, now
from utils.validity import Period, read_day, read_period, today

DATE_IN_FILE = "published"  # in a document's details
DateSource = Literal["valid_from", "file", "upload"]


def find_period(document: Document) -> Period:
    """When it holds: as its metadata says, else its front matter."""
    return read_period(document.labels or {}, document.details or {})


def find_date(document: Document) -> tuple[date, DateSource]:
    """The date of a document for readers, and its source: the first day of its validity, else the date in the file
    unless that is still to come, else the day on which this version came in, in UTC."""
    if (begins := find_period(document).valid_from) is not None:
        return begins, "valid_from"
    published = read_day((document.details or {}).get(DATE_IN_FILE))
    if published is not None and published <= today():
        return published, "file"
    came: datetime = document.version_at or document.created_at or now()
    return came.astimezone(UTC).date(), "upload"
