"""What a browser sends as a file that is to be attached, as a document or as a recording: anything it likes."""

from typing import Any

import pytest

from clients.streamlit_chat.attachments import read_sent
from clients.streamlit_chat.speaking import read_recording
from clients.streamlit_chat.uploads import MOST_FILES, Upload, add_chosen, find_next_piece, take_piece


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ({"name": "lease.txt", "data": "TGVhc2U="}, ("lease.txt", b"Lease")),
        ({"name": "large.pdf", "data": None}, ("large.pdf", None)),
        ({"name": f"{'x' * 300}.txt", "data": ""}, (f"{'x' * 251}.txt", b"")),
        ({"name": "a.txt", "data": "no Base64"}, ("", None)),
        ({"name": "a.txt", "data": "é"}, ("", None)),
        ({"name": "a.txt", "data": 7}, ("a.txt", None)),
        ({"name": "", "data": "TGVhc2U="}, ("", None)),
        ({"name": ["a.txt"], "data": "TGVhc2U="}, ("", None)),
        ({"data": "TGVhc2U="}, ("", None)),
        ("lease.txt", ("", None)),
        (None, ("", None)),
    ],
)
def test_what_is_no_file_is_left_alone(sent: Any, read: tuple[str, bytes | None]) -> None:
    assert read_sent(sent) == read


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ("TGVhc2U=", b"Lease"),
        ("TGVhc2U", None),
        ("no Base64", None),
        ("é", None),
        ("", None),
        ("QUFB" * 2_000_000, None),
        (7, None),
        ({"data": "TGVhc2U="}, None),
        (None, None),
    ],
)
def test_what_is_no_recording_is_left_alone(sent: Any, read: bytes | None) -> None:
    assert read_recording(sent) == read


CHOSEN = {"id": "a-0", "name": "lease.txt", "size": 5}
PIECE = {"id": "a-0", "from": 0, "data": "TGVhc2U="}


@pytest.mark.parametrize(
    "chosen",
    [None, "lease.txt", [None], [{}], [{**CHOSEN, "name": ""}], [{**CHOSEN, "id": "x" * 41}], [CHOSEN["name"]]],
)
def test_what_is_no_chosen_document_is_left_alone(chosen: Any) -> None:
    uploads: list[Upload] = []
    add_chosen(uploads, "tab", chosen)
    assert uploads == []


@pytest.mark.parametrize(
    "sent", [None, PIECE["data"], {**PIECE, "id": "a-1"}, {**PIECE, "from": 1}, {"id": "a-0", "from": 0}, [PIECE]]
)
def test_a_piece_that_was_not_asked_for_is_left_alone(sent: Any) -> None:
    uploads: list[Upload] = []
    add_chosen(uploads, "tab", [CHOSEN])
    take_piece(uploads, "tab", sent)
    take_piece(uploads, "another tab", PIECE)
    assert [(each.status, bytes(each.data)) for each in uploads] == [("waiting", b"")]
    take_piece(uploads, "tab", PIECE)
    assert [(each.status, bytes(each.data)) for each in uploads] == [("sending", b"Lease")]
    assert find_next_piece(uploads, "another tab") is None


@pytest.mark.parametrize("data", [None, "", "no Base64", 7, "TGVhc2Vz"])
def test_a_document_that_the_browser_cannot_read_is_given_up(data: Any) -> None:
    uploads: list[Upload] = []
    add_chosen(uploads, "tab", [CHOSEN])
    take_piece(uploads, "tab", {**PIECE, "data": data})
    assert [each.status for each in uploads] == ["failed"]


def test_no_more_documents_are_taken_at_once_than_said() -> None:
    uploads: list[Upload] = []
    many = [{**CHOSEN, "id": f"{number}", "size": number % 2} for number in range(1_000)]
    assert len(add_chosen(uploads, "tab", many)) == 1_000 - 2 * MOST_FILES
    assert [each.status for each in uploads] == ["failed", "waiting"] * MOST_FILES
    assert add_chosen(uploads, "tab", many[:1]) == []  # it is known
