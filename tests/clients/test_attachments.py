"""What a browser sends as a file that is to be attached, or as a recording: anything it likes."""

from typing import Any

import pytest

from clients.streamlit_chat.attachments import read_sent
from clients.streamlit_chat.speaking import read_recording


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
