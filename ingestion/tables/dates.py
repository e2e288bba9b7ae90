"""Dates as people write them: with the year, the day or the month first, with names of months, with times."""

import re
import unicodedata
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache

_MONTHS = """
january february march april may june july august september october november december
enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre
januari februari maret april mei juni juli agustus september oktober november desember
januar februar marz april mai juni juli august september oktober november dezember
janvier fevrier mars avril mai juin juillet aout septembre octobre novembre decembre
janeiro fevereiro marco abril maio junho julho agosto setembro outubro novembro dezembro
"""


def _list_month_words() -> dict[str, int]:
    month_words: dict[str, set[int]] = {"mrt": {3}}
    for place, name in enumerate(_MONTHS.split()):
        for length in range(3, len(name) + 1):
            month_words.setdefault(name[:length], set()).add(place % 12 + 1)
    return {word: months.pop() for word, months in month_words.items() if len(months) == 1}


_MONTH_WORDS = _list_month_words()
_TIME = (
    r"(?:(?:[T ]|, ?| - )(?P<hour>\d{1,2}):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:[.,]\d{1,9})?)?"
    r"(?: ?(?P<half>[AaPp])\.?[Mm]\.?)?(?: ?(?P<zone>Z|UTC|[+-]\d\d:?\d\d))?)?"
)
_FORMS = tuple(
    re.compile(form + _TIME)
    for form in (
        r"(?P<year>\d{4})(?P<mark>[-/.])(?P<month>\d{1,2})(?P=mark)(?P<day>\d{1,2})",
        r"(?P<first>\d{1,2})(?P<mark>[-/])(?P<second_part>\d{1,2})(?P=mark)(?P<year>\d{4}|\d\d)",
        r"(?P<first>\d{1,2})\.(?P<second_part>\d{1,2})\.(?P<year>\d{4})",
        r"(?P<first>\d\d)\.(?P<second_part>\d\d)\.(?P<year>\d\d)",  # with fewer digits it may be a version
        r"(?P<day>\d{1,2})(?:\.? |[-/.])(?:de )?(?P<name>[^\W\d_]{3,12})\.?,?(?: |[-/.])(?:del? )?"
        r"(?P<year>\d{4}|\d\d)",
        r"(?P<name>[^\W\d_]{3,12})\.? (?P<day>\d{1,2})(?:st|nd|rd|th)?,? (?P<year>\d{4})",
    )
)
_LONGEST = 50
DAY_FIRST, MONTH_FIRST = "day", "month"


@dataclass(frozen=True, slots=True)
class WrittenDate:
    """A text that is a date: `moments` by what stands first in it, of which both may be possible."""

    moments: dict[str, datetime]
    has_time: bool


@lru_cache(10_000)  # most columns have few different ones
def read_date(text: str) -> WrittenDate | None:
    """The date that *text* is, None where it is none. One with a zone is brought to UTC."""
    if len(text) > _LONGEST or not any(each.isdigit() for each in text):
        return None
    date = next(filter(None, (form.fullmatch(text) for form in _FORMS)), None)
    if date is None:
        return None
    parts = date.groupdict()
    year = int(parts["year"])
    if len(parts["year"]) == 2:
        year += 2000 if year < 69 else 1900
    moments: dict[str, datetime] = {}
    for order, month, day in _list_orders(parts):
        try:
            moments[order] = _add_time(datetime(year, month, day), parts)
        except (ValueError, OverflowError):
            continue
    return WrittenDate(moments, parts["hour"] is not None) if moments else None


def _list_orders(parts: dict[str, str | None]) -> list[tuple[str, int, int]]:
    first, second, name = parts.get("first"), parts.get("second_part"), parts.get("name")
    if first and second:
        return [(DAY_FIRST, int(second), int(first)), (MONTH_FIRST, int(first), int(second))]
    month = _MONTH_WORDS.get(_make_plain(name), 0) if name else int(parts["month"] or 0)
    return [(order, month, int(parts["day"] or 0)) for order in (DAY_FIRST, MONTH_FIRST)]


def _add_time(day: datetime, parts: dict[str, str | None]) -> datetime:
    if parts["hour"] is None:
        return day
    hour, half = int(parts["hour"]), (parts["half"] or "").lower()
    if half:
        if not 1 <= hour <= 12:
            raise ValueError("There is no such hour.")
        hour = hour % 12 + (12 if half == "p" else 0)
    moment = day.replace(hour=hour, minute=int(parts["minute"] or 0), second=int(parts["second"] or 0))
    zone = parts["zone"]
    if zone and zone[0] in "+-":
        offset = timedelta(hours=int(zone[1:3]), minutes=int(zone[-2:]))
        moment = moment - offset if zone[0] == "+" else moment + offset
    return moment


def _make_plain(word: str) -> str:
    return "".join(each for each in unicodedata.normalize("NFKD", word.casefold()) if not unicodedata.combining(each))


@dataclass(slots=True)
class DateFacts:
    """What the dates of a column have in common. `orders` are those that all of them can be read by."""

    orders: set[str] = field(default_factory=lambda: {DAY_FIRST, MONTH_FIRST})
    has_time: bool = False
    is_doubtful: bool = False  # whether the order makes a difference

    def add(self, written: WrittenDate) -> bool:
        """Take one in; False where there is no order in which all are dates."""
        self.orders &= written.moments.keys()
        self.has_time |= written.has_time
        self.is_doubtful |= len(set(written.moments.values())) > 1
        return bool(self.orders)

    def choose_order(self, usual: str) -> str:
        """What stands first; *usual* where both could be."""
        return usual if usual in self.orders else next(iter(self.orders))


def write_moment(moment: datetime, *, has_time: bool) -> str:
    """A moment as SQLite compares and computes with it."""
    at = moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
    return at.isoformat(" ", "seconds") if has_time else at.date().isoformat()
