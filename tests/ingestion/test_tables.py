"""Files with tables as they come: each read in the sandbox, its columns typed by all of their values."""

import csv
import io
import random
import time
import zipfile
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from openpyxl.styles import numbers

from ingestion.malware import MalwareCheck
from ingestion.tables.reading import TableReader
from ingestion.tables.shapes import TableLimits
from providers.scanner.clamd import Clamd
from tests.fakes.clamd import EICAR, SIGNATURE, FakeClamd
from tests.reading import SANDBOX
from utils.errors import InfectedFile, ScannerUnavailable, TooLarge, UnreadableDocument

Tables = dict[str, tuple[dict[str, str], list[list[Any]]]]


def read_all(data: bytes, name: str = "odd file.csv", **limits: Any) -> list[tuple[Any, list[list[Any]]]]:
    """The tables of a file, each with its rows."""
    reader = TableReader(SANDBOX, MalwareCheck(), TableLimits(**limits), time.monotonic() + 60)
    return [(table, [row for batch in rows for row in batch]) for table, rows in reader.read(data, name)]


def read(data: bytes | str, name: str = "odd file.csv", **limits: Any) -> Tables:
    """The tables of a file by their names: the types of their columns, and their rows."""
    sent = data.encode() if isinstance(data, str) else data
    return {
        table.name: ({column.name: column.kind for column in table.columns}, rows)
        for table, rows in read_all(sent, name, **limits)
    }


def read_column(*values: str, header: str = "x", delimiter: str = ";") -> tuple[str, list[Any]]:
    """The type and the values of a column beside another one."""
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter).writerows([["key", header], *(["k", value] for value in values)])
    kinds, rows = read(text.getvalue())["odd_file"]
    return list(kinds.values())[1], [row[1] for row in rows]


def save(workbook: openpyxl.Workbook) -> bytes:
    stream = io.BytesIO()
    workbook.save(stream)
    return stream.getvalue()


def test_columns_of_a_text_file_are_typed_by_all_of_their_values() -> None:
    for values, kind, read_as in (
        (["1", "", "-3"], "INTEGER", [1, None, -3]),
        (["1,5", "1.234,25", "n/a"], "REAL", [1.5, 1234.25, None]),
        (["1.5", "1,234.25", "7"], "REAL", [1.5, 1234.25, 7.0]),
        (["1 234", "5 678 901"], "INTEGER", [1234, 5678901]),
        (["1.234", "5.678"], "INTEGER", [1234, 5678]),  # beside semicolons, these are thousands
        (["12,5 %", "7%"], "REAL", [12.5, 7.0]),
        (["€ 1.500,00", "€ 2,50", "-€ 3"], "REAL", [1500.0, 2.5, -3.0]),
        (["Rp 1.500.000", "Rp2.000", "(Rp 500)"], "INTEGER", [1500000, 2000, -500]),
        (["€ 5", "$ 5"], "TEXT", ["€ 5", "$ 5"]),  # different currencies are not added up
        (["007", "12"], "TEXT", ["007", "12"]),
        (["+628123456789", "0812"], "TEXT", ["+628123456789", "0812"]),
        (["1234567890123456789", "1"], "TEXT", ["1234567890123456789", "1"]),
        (["1e3", "2.5E-1"], "REAL", [1000.0, 0.25]),
        (["ya", "TIDAK", ""], "BOOLEAN", [1, 0, None]),
        (["true", "false"], "BOOLEAN", [1, 0]),
        (["31/12/2024", "01/02/2024"], "DATE", ["2024-12-31", "2024-02-01"]),
        (["12/31/2024", "01/02/2024"], "DATE", ["2024-12-31", "2024-01-02"]),
        (["01.02.2024", "1.3.2024"], "DATE", ["2024-02-01", "2024-03-01"]),
        (["2024-02-01", "2024/3/1"], "DATE", ["2024-02-01", "2024-03-01"]),
        (["3 Januari 2024", "17 Agustus 2024", "5 mei 24"], "DATE", ["2024-01-03", "2024-08-17", "2024-05-05"]),
        (["3 de enero de 2024", "Jan 5, 2024"], "DATE", ["2024-01-03", "2024-01-05"]),
        (["2024-02-01T10:30:00+07:00", "2024-02-01 23:00"], "DATETIME", ["2024-02-01 03:30:00", "2024-02-01 23:00:00"]),
        (["1/2/24 1:05 pm", "13/2/24 12:00 AM"], "DATETIME", ["2024-02-01 13:05:00", "2024-02-13 00:00:00"]),
        (["31/12/2024", "12/31/2024"], "TEXT", ["31/12/2024", "12/31/2024"]),
        (["30/02/2024"], "TEXT", ["30/02/2024"]),
        (["10.2.15", "1.2.24"], "TEXT", ["10.2.15", "1.2.24"]),
        (['=HYPERLINK("http://x";"y")', "@SUM(1)", "+cmd|' /C calc'!A0"], "TEXT", None),
        (["", "#N/A", "-"], "TEXT", [None, "#N/A", "-"]),
    ):
        found = read_column(*values)
        assert found == (kind, values if read_as is None else read_as), values
    assert read_column("1,234", "5,678", delimiter=",") == ("INTEGER", [1234, 5678])
    assert read_column("1.234", "5.678", delimiter=",") == ("REAL", [1.234, 5.678])
    assert read('a,b\n"1,234","1,5"\n"2,500","2,5"\n')["odd_file"][1] == [[1.234, 1.5], [2.5, 2.5]]  # b tells of a


def test_what_is_doubtful_or_left_out_is_told() -> None:
    for text, told in (
        ("a,b\nx,01/02/2024\ny,03/04/2024\n", "b may be day/month or month/day"),
        ("a,b\n" + "".join(f"x,{n}\n" for n in range(30)) + "y,unknown\n", "b is kept as text, since a value"),
        ("item,amount\nx,1\ny,2\nTotal,3\n", "last row sums up the others"),
        ("1,2\n3,4\n", "no row with names"),
        (
            "a,b\nx,1.234\ny,5.678\n",
            "b may have decimals or thousands separators, and no value tells: 1.234 is read as 1.234",
        ),
        ('a,b\nx,"1,234"\ny,"5,678"\n', "1,234 is read as 1234"),
        ("a,b\nx,1\nSubtotal,1\ny,2\nz,3\n", "Rows in between sum up others"),
        ("a,b\nx,1\ny,2\n\nitem,price\nz,3\nw,4\n", "Several tables seem to stand below each other"),
        (f"a,b\nx,{'y' * 10_001}\n", "longer than 10,000 characters"),
    ):
        [(table, rows)] = read_all(text.encode())
        assert [told in note for note in table.notes] == [True], (text[:40], table.notes)
    assert rows[0][1] == "y" * 10_000
    [(table, rows)] = read_all(b"item,amount\nx,1\ny,2\nTotal,3\n")
    assert rows == [["x", 1], ["y", 2]]


def test_names_are_safe_and_different_whatever_stands_above_the_columns() -> None:
    kinds, rows = read('\ufeffName,name,,"Line\nbreak",select,Preis (€),2024,"a""; DROP",数量\n1,2,3,4,5,6,7,8,9\n')[
        "odd_file"
    ]
    assert list(kinds) == [
        "name", "name_2", "column_3", "line_break", "select_", "preis", "c_2024", "a_drop", "数量"
    ]  # fmt: skip
    assert rows == [[1, 2, 3, 4, 5, 6, 7, 8, 9]]
    assert list(read("a,b\n1,2\n", "../Ünï côde 2024'; DROP.csv")) == ["uni_code_2024_drop"]
    assert list(read("x,y\n1,2\n", "sqlite_master.csv").items()) == [
        ("t_sqlite_master", ({"x": "INTEGER", "y": "INTEGER"}, [[1, 2]]))
    ]
    ragged, rows = read("a,b\n1,2\n3\n4,5,6\n")["odd_file"]
    assert (list(ragged), rows) == (["a", "b", "column_3"], [[1, 2, None], [3, None, None], [4, 5, 6]])


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
def test_separators_and_encodings_are_found(delimiter: str, encoding: str) -> None:
    rows = [["Ciudad", "Año", "Nota"], ["Concepción", "2024", 'dijo "sí";\nluego, no|\t'], ["A Coruña", "2023", ""]]
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator="\r\n").writerows(
        [["Ventas del año"], [], *rows] if delimiter == "," else rows
    )
    kinds, found = read(text.getvalue().encode(encoding))["odd_file"]
    assert kinds == {"ciudad": "TEXT", "ano": "INTEGER", "nota": "TEXT"}
    assert found == [["Concepción", 2024, 'dijo "sí";\nluego, no|\t'], ["A Coruña", 2023, None]]


def test_a_workbook_is_read_as_a_reader_sees_it() -> None:
    workbook = openpyxl.Workbook()
    sheet = workbook.active
    assert sheet is not None
    sheet.title = "Sales 2024"
    sheet.append(["Sales report"])
    sheet.merge_cells("A1:F1")
    sheet.append([])
    sheet.append(["Region", "2023", None, "When", "Share", "Secret"])
    sheet.merge_cells("B3:C3")
    sheet.append([None, "Q1", "Q2", None, None, None])
    for letter in "ADEF":
        sheet.merge_cells(f"{letter}3:{letter}4")
    for at, (region, first, second) in enumerate((("North", 1, 2.5), (None, 3, 4), ("South", None, 6))):
        sheet.append([region, first, second, datetime(2024, 5, 1 + at, 9, 30), 0.125, "x"])
    sheet.merge_cells("A5:A6")
    for row in range(5, 8):
        sheet[f"E{row}"].number_format = numbers.FORMAT_PERCENTAGE_00
    sheet.append(["Total", "=SUM(B5:B7)", 12.5])
    sheet.column_dimensions["F"].hidden = True
    other = workbook.create_sheet("Stock")
    other.append(["item", "is sold", "since"])
    other.append(["bolt", True, date(2024, 1, 31)])
    other.append(["nut", False, date(2024, 2, 29)])
    secret = workbook.create_sheet("Salaries")
    secret.append(["who", "pay"])
    secret.append(["Ana", 5])
    secret.sheet_state = "hidden"
    workbook.create_sheet("Empty")
    (sales, rows), (stock, stocked), (hidden, _) = read_all(save(workbook), "report.xlsx")
    assert {column.name: column.kind for column in sales.columns} == {
        "region": "TEXT", "c_2023_q1": "INTEGER", "c_2023_q2": "REAL", "when_": "DATETIME", "share_percent": "REAL",
        "secret": "TEXT",
    }  # fmt: skip
    assert rows == [
        ["North", 1, 2.5, "2024-05-01 09:30:00", 12.5, "x"],
        ["North", 3, 4.0, "2024-05-02 09:30:00", 12.5, "x"],
        ["South", None, 6.0, "2024-05-03 09:30:00", 12.5, "x"],
    ]
    assert [column.is_hidden for column in sales.columns] == [False] * 5 + [True]
    assert "formulas without results" in sales.notes[0]
    assert (sales.name, sales.sheet, hidden.is_hidden, stock.is_hidden) == ("sales_2024", "Sales 2024", True, False)
    assert stocked == [["bolt", 1, "2024-01-31"], ["nut", 0, "2024-02-29"]]
    assert [column.kind for column in stock.columns] == ["TEXT", "BOOLEAN", "DATE"]


def test_parquet_says_its_types_itself() -> None:
    zone = datetime(2024, 5, 1, 10, tzinfo=UTC)
    table = pa.table(
        {
            "Name": ["007", None],
            "amount": pa.array([Decimal("1.50"), None], pa.decimal128(9, 2)),
            "at": pa.array([zone, zone + timedelta(hours=1)], pa.timestamp("ns", "Asia/Jakarta")),
            "day": [date(2024, 1, 2), None],
            "ok": [True, False],
            "ratio": [float("nan"), 0.5],
            "list": [[1, 2], None],
            "raw": [b"\x00\x01", None],
        }
    )
    stream = io.BytesIO()
    pq.write_table(table, stream)
    kinds, rows = read(stream.getvalue(), "facts.parquet")["facts"]
    assert list(kinds.values()) == ["TEXT", "REAL", "DATETIME", "DATE", "BOOLEAN", "REAL", "TEXT", "TEXT"]
    assert rows == [
        ["007", 1.5, "2024-05-01 10:00:00", "2024-01-02", 1, None, "[1, 2]", "(2 bytes)"],
        [None, None, "2024-05-01 11:00:00", None, 0, 0.5, None, None],
    ]


def test_times_that_nobody_can_write_are_empty_and_the_others_stay() -> None:
    numbers = [0, 2**62, None, -(2**62)]
    far = {"us": pa.array(numbers, pa.timestamp("us")), "day": pa.array([0, 2**31 - 1, None, 1], pa.date32())}
    last = 253_402_300_799  # the last second of the year 9999
    far["s"] = pa.array([last, last + 1, -62_135_596_800, 2 * last], pa.timestamp("s"))
    far["zone"] = pa.array([0, last, last + 1, -62_135_596_801], pa.timestamp("s", "Asia/Jakarta"))
    stream = io.BytesIO()
    pq.write_table(pa.table(far), stream)
    [(table, rows)] = read_all(stream.getvalue(), "far.parquet")
    epoch = "1970-01-01 00:00:00"
    assert rows[0] == [epoch, "1970-01-01", "9999-12-31 23:59:59", epoch]
    assert [row[0] for row in rows[1:]] == [None] * 3
    assert [row[1] for row in rows[1:]] == [None, None, "1970-01-02"]
    assert [row[2] for row in rows[1:]] == [None, "0001-01-01 00:00:00", None]
    assert [row[3] for row in rows[2:]] == [None, None]
    assert table.notes == ("Times outside of the years 1 to 9999 are left empty.",)


def test_a_file_that_cannot_be_read_says_what_to_do() -> None:
    workbook = openpyxl.Workbook()
    assert workbook.active is not None
    workbook.active.append(["a", "b"])
    whole = save(workbook)
    stream = io.BytesIO()
    pq.write_table(pa.table({"a": list(range(1000))}), stream)
    parquet = stream.getvalue()
    noise = random.Random(7).randbytes(50_000)
    locked = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(100) + "EncryptedPackage".encode("utf-16-le")
    for data, told in (
        (b"", "empty"),
        (b"x", "no rows"),
        (b"a,b\n", "no rows"),
        (b"\n\n ,\n", "no rows"),
        (noise, "looks like"),
        (b"PAR1" + noise, "Parquet"),
        (parquet[:-100], "Parquet"),
        (parquet.replace(parquet[10:60], noise[:50]), ""),
        (whole, "no rows"),
        (whole[: len(whole) // 2], ""),
        (b"PK\x03\x04" + noise, ""),
        (locked, "password"),
        (b"%PDF-1.7 " + noise, "PDF"),
        (b'a,b\n"' + b"x\n" * 60_000, "quotation mark"),
    ):
        with pytest.raises(UnreadableDocument) as refused:
            read(data, "given.file")
        assert told in refused.value.detail, refused.value.detail
        assert refused.value.detail.startswith("given.file: ")
    with pytest.raises(UnreadableDocument, match="looks like text: save it as CSV"):
        read(b'{"a": 1,\n "b": 2}\n', "rows.json")
    for text, limits, told in (
        ("a,b\n" + "1,2\n" * 20, {"rows": 19}, "more than 19 rows: split it"),
        (",".join(f"c{n}" for n in range(21)) + "\n" + "1," * 20 + "1\n", {"columns": 20}, "more than 20 columns"),
        ("a,b\n" + "1,2\n" * 20, {"cells": 30}, "more than 30 cells"),
        ("a,b\n" + "1,2\n" * 20, {"size_bytes": 30}, "larger than"),
        ("a,b\n" + f"{'x' * 90_000},1\n" * 400, {"memory_bytes": 60_000_000}, "of memory"),
        (f"a,b\n1,2\n{'x' * 100_001},3\n", {}, "more than 100,000 characters: shorten it"),
    ):
        with pytest.raises(TooLarge, match=told):
            read(text, **limits)
    with pytest.raises(TooLarge, match="columns"):
        read("a" + "," * 3_000 + "\n" + "1" + "," * 3_000 + "\n")
    with pytest.raises(UnreadableDocument, match="Unpacked it is larger"):
        read(make_bomb(), "bomb.xlsx", unpacked_bytes=20_000_000)


def make_bomb() -> bytes:
    """A small workbook with a sheet that is 21 MB when it is unpacked."""
    workbook = openpyxl.Workbook()
    assert workbook.active is not None
    workbook.active.append(["a", "b"])
    old, new = io.BytesIO(save(workbook)), io.BytesIO()
    with zipfile.ZipFile(old) as source, zipfile.ZipFile(new, "w", zipfile.ZIP_DEFLATED) as target:
        for part in source.infolist():
            with target.open(part.filename, "w", force_zip64=True) as written:
                written.write(source.read(part))
                if "sheet1" in part.filename:
                    for _ in range(21):
                        written.write(b" " * 1_000_000)
    return new.getvalue()


def test_no_file_is_read_before_it_was_scanned() -> None:
    with FakeClamd() as clamd:
        reader = TableReader(SANDBOX, MalwareCheck(Clamd(clamd.address)), TableLimits(), time.monotonic() + 60)
        with pytest.raises(InfectedFile, match=SIGNATURE):
            list(reader.read(b"a,b\n1," + EICAR, "x.csv"))
        assert [list(rows) for _, rows in reader.read(b"a,b\n1,2\n", "x.csv")] == [[[[1, 2]]]]
    with pytest.raises(ScannerUnavailable):
        list(reader.read(b"a,b\n1,2\n", "x.csv"))


def test_no_file_of_noise_breaks_the_reader() -> None:
    random_ = random.Random(11)
    for _ in range(30):
        size = random_.choice((2, 10, 100, 5_000))
        data = random_.choice((b"", b"PK\x03\x04", b"PAR1", b"\xff\xfe", b"a;b\n")) + random_.randbytes(size)
        with suppress(UnreadableDocument):  # and nothing else
            read(data)


def test_no_control_characters_of_a_file_reach_names_or_cells() -> None:
    odd = "a\x1b[31m\u202eb"
    workbook = openpyxl.Workbook()
    workbook.active.append(["x", "y"])
    workbook.active.append(["a_x001B_b_x0000_", 1])
    parquet = io.BytesIO()
    pq.write_table(pa.table({f"x{odd}": [odd], "y": [1]}), parquet)
    for data, read_as in (
        (f"x{odd},y\n{odd},1\n".encode(), "a[31mb"),
        (save(workbook), "ab"),
        (parquet.getvalue(), "a[31mb"),
    ):
        [(table, [[text, _]])] = read_all(data)
        assert text == read_as
        assert table.columns[0].header in ("x", "xa[31mb")
