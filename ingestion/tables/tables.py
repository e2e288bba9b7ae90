"""A sheet as a table: its head is found, its columns are typed by all their values, its rows are converted."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice, zip_longest

from ingestion.tables.columns import ColumnFacts, Converter, choose_converter
from ingestion.tables.dates import DAY_FIRST, MONTH_FIRST
from ingestion.tables.headers import HEAD_ROWS, Head, find_head, is_empty, is_head, is_total
from ingestion.tables.names import make_names
from ingestion.tables.numbers import find_decisive_mark
from ingestion.tables.shapes import ColumnRead, RawCell, Row, Sheet, TableLimits, TableRead, Value
from utils.errors import TooLarge, UnreadableDocument

BATCH_ROWS, _WIDEST = 2_000, 2_000
_DOUBTFUL = (
    "{} may be day/month or month/day, and no value tells: read with the day first. Write dates such as 2024-12-31."
)
_UNSURE = "{} may have decimals or thousands separators, and no value tells: 1{}234 is read as {}. Write plain numbers."
_SUMS = "Rows in between sum up others, and are counted with them: remove them, and upload the file anew."
_SEVERAL = "Several tables seem to stand below each other: put each on a sheet of its own, or into a file of its own."
_MISFIT = "{} is kept as text, since a value in it is no number like the others: {}."
_CUT = "Texts longer than {:,} characters are cut."
_NAMELESS = "It has no row with names of columns; put one above its values."
_TOTAL = "Its last row sums up the others, and is left out."


@dataclass(slots=True)
class _SheetFacts:
    """What a look at all rows of a sheet has found. `last` is the place of the last row that is not empty."""

    head: Head
    facts: list[ColumnFacts] = field(default_factory=list)
    rows: int = 0
    cells: int = 0
    last: int = -1
    has_total: bool = False
    has_sums: bool = False
    has_several: bool = False
    longest: int = 0


def read_tables(
    sheets: Sequence[Sheet], name: str, limits: TableLimits
) -> Iterator[tuple[TableRead, Iterator[list[list[Value]]]]]:
    """The tables on *sheets* of a file called *name*, each with its rows in batches; empty sheets are passed over.

    Raises:
        UnreadableDocument: there is none.
        TooLarge: there are too many rows, columns or cells.
    """
    looked = [(sheet, seen) for sheet in sheets if (seen := _look(sheet, limits))]
    if not looked:
        raise UnreadableDocument("There are no rows in it below a row with the names of columns.")
    if len(looked) > limits.tables:
        raise TooLarge(f"It has more than {limits.tables} sheets: split it.")
    mark, order = _choose_usual([seen for _, seen in looked], looked[0][0].decimal)
    names = make_names((name if len(looked) == 1 else sheet.name for sheet, _ in looked), "table")
    for own_name, (sheet, seen) in zip(names, looked, strict=True):
        converters = [choose_converter(each, mark, order, limits.cell_characters) for each in seen.facts]
        places = [index for index, each in enumerate(seen.facts) if each.count or _get_name(seen.head, index)]
        table = TableRead(own_name, sheet.name, (), sheet.is_hidden, sheet.notes)
        yield (
            _describe(table, sheet, seen, converters, places, limits),
            _convert(sheet, seen, converters, places),
        )


def _look(sheet: Sheet, limits: TableLimits) -> _SheetFacts | None:
    head = find_head(list(islice(sheet.read(), HEAD_ROWS)), dict(sheet.spans))
    if head is None:
        return None
    seen = _SheetFacts(head)
    pending: list[Row] = []  # the last row that is not empty, until it is known not to be the last
    rows = enumerate(sheet.read())
    for _ in islice(rows, head.first_row):
        pass
    while batch := list(islice(rows, BATCH_ROWS)):
        if filled := [(at, row) for at, row in batch if not all(map(is_empty, row))]:
            seen.has_several = seen.has_several or _has_names_below(seen.last, filled)
            seen.last = filled[-1][0]
            pending += [row for _, row in filled]
            _take_in(seen, pending[:-1], limits)
            del pending[:-1]
    seen.has_total = seen.rows > 1 and bool(pending) and is_total(pending[0])
    if pending and not seen.has_total:
        _take_in(seen, pending, limits)
    for _ in range(len(head.names) - len(seen.facts)):
        seen.facts.append(ColumnFacts())
    if sum(bool(each.count or _get_name(head, at)) for at, each in enumerate(seen.facts)) > limits.columns:
        raise TooLarge(f"A table of it has more than {limits.columns} columns: leave some out.")
    return seen if seen.rows else None


def _has_names_below(last: int, rows: Sequence[tuple[int, Row]]) -> bool:
    """Whether names of columns stand below an empty row; *last* is the place of the row that was filled before."""
    places = [last, *(at for at, _ in rows)]
    return any(
        0 <= above < at - 1 and len(row) > 1 and is_head(row) for above, (at, row) in zip(places, rows, strict=False)
    )


def _take_in(seen: _SheetFacts, rows: Sequence[Row], limits: TableLimits) -> None:
    if not rows:
        return
    seen.rows += len(rows)
    if seen.rows > limits.rows:
        raise TooLarge(f"A table of it has more than {limits.rows:,} rows: split it, or send the sums of its rows.")
    seen.has_sums = seen.has_sums or any(map(is_total, rows))
    seen.cells += sum(map(len, rows))
    if max(map(len, rows)) > _WIDEST:
        raise TooLarge(f"A table of it has more than {limits.columns} columns: leave some out.")
    if seen.cells > limits.cells:
        raise TooLarge(f"It has more than {limits.cells:,} cells: leave columns out, or send fewer rows.")
    for index, values in enumerate(zip_longest(*rows)):
        if index >= len(seen.facts):
            seen.facts.append(ColumnFacts())
        different = {value if type(value) is str else (type(value), value): value for value in values}
        seen.facts[index].look(different.values())
        seen.longest = max(
            seen.longest, *(len(each) if isinstance(each, str) else 0 for each in (*different.values(), ""))
        )


def _choose_usual(seen: Sequence[_SheetFacts], decimal: str) -> tuple[str, str]:
    """The decimal mark and the order of dates where the values of a column leave them open."""
    columns = [each for one in seen for each in one.facts]
    numbers = [each.numbers for each in columns if each.numbers is not None and each.number_count]
    orders = {next(iter(each.dates.orders)) for each in columns if each.dates and len(each.dates.orders) == 1}
    return find_decisive_mark(numbers, decimal), MONTH_FIRST if orders == {MONTH_FIRST} else DAY_FIRST


def _describe(
    table: TableRead,
    sheet: Sheet,
    seen: _SheetFacts,
    converters: Sequence[Converter],
    places: Sequence[int],
    limits: TableLimits,
) -> TableRead:
    headers = [_get_name(seen.head, at) for at in places]
    names = _name_columns(headers, [seen.facts[at] for at in places], [converters[at] for at in places], places)
    notes = [note for note, is_so in _list_notes(seen, limits) if is_so]
    columns = []
    for at, header, name in zip(places, headers, names, strict=True):
        facts, converter = seen.facts[at], converters[at]
        unit = facts.numbers.unit if facts.numbers and converter.kind in ("INTEGER", "REAL") else ""
        about = "In percent." if unit == "%" else f"In {unit}." if unit else ""
        columns.append(ColumnRead(name, header, converter.kind, about, at in sheet.hidden_columns))
        notes += _list_doubts(sheet, seen, facts, converter, header or name)
    return replace(table, columns=tuple(columns), notes=(*table.notes, *notes)[:10])


def _list_notes(seen: _SheetFacts, limits: TableLimits) -> list[tuple[str, bool]]:
    """What is to be told of the table, and whether it is."""
    return [
        (_NAMELESS, not seen.head.names),
        (_TOTAL, seen.has_total),
        (_SUMS, seen.has_sums),
        (_SEVERAL, seen.has_several and any(each.number_count for each in seen.facts)),
        (_CUT.format(limits.cell_characters), seen.longest > limits.cell_characters),
    ]


def _list_doubts(
    sheet: Sheet, seen: _SheetFacts, facts: ColumnFacts, converter: Converter, called: str
) -> Iterator[str]:
    """What may have been misread of a column."""
    kind, dates, numbers = converter.kind, facts.dates, facts.numbers
    if kind == "TEXT" and facts.misfit:
        yield _MISFIT.format(called, facts.misfit[:60])
    if (
        kind in ("DATE", "DATETIME")
        and dates
        and dates.is_doubtful
        and len(dates.orders) > 1
        and not _is_order_clear(seen)
    ):
        yield _DOUBTFUL.format(called)
    is_clear = sheet.decimal == "," or any(each.numbers and len(each.numbers.marks) == 1 for each in seen.facts)
    if kind in ("INTEGER", "REAL") and numbers and numbers.is_doubtful and not is_clear:
        mark = next(iter(numbers.fractions))
        yield _UNSURE.format(called, mark, "1.234" if mark == converter.mark else "1234")


def _is_order_clear(seen: _SheetFacts) -> bool:
    """Whether another column of the table leaves no doubt about what stands first in dates."""
    return any(each.dates and len(each.dates.orders) == 1 for each in seen.facts if each.count)


def _name_columns(
    headers: Sequence[str], facts: Sequence[ColumnFacts], converters: Sequence[Converter], places: Sequence[int]
) -> list[str]:
    texts = []
    for header, fact, converter, place in zip(headers, facts, converters, places, strict=True):
        is_percent = converter.kind in ("INTEGER", "REAL") and fact.numbers is not None and fact.numbers.unit == "%"
        is_named = any(word in header.casefold() for word in ("%", "percent", "pct", "persen", "porcent"))
        text = header or f"column {place + 1}"
        texts.append(f"{text} percent" if is_percent and not is_named else text)
    return make_names(texts, "column")


def _get_name(head: Head, index: int) -> str:
    return head.names[index] if index < len(head.names) else ""


def _convert(
    sheet: Sheet, seen: _SheetFacts, converters: Sequence[Converter], places: Sequence[int]
) -> Iterator[list[list[Value]]]:
    end = seen.last if seen.has_total else seen.last + 1
    rows = islice(sheet.read(), seen.head.first_row, end)
    while batch := list(islice(rows, BATCH_ROWS)):
        filled = [row for row in batch if not all(map(is_empty, row))]
        if filled:
            by_column: list[tuple[RawCell, ...]] = list(zip_longest(*filled))
            nothing: tuple[RawCell, ...] = (None,) * len(filled)
            converted = [converters[at].convert(by_column[at] if at < len(by_column) else nothing) for at in places]
            yield [list(row) for row in zip(*converted, strict=True)]
