"""Files on their way from a browser tab, which may have been closed."""

import time

import pytest

from clients.api_client import ApiAddress, ApiClient
from clients.streamlit_chat.uploads import Upload, continue_uploads


@pytest.mark.parametrize(
    ("silent_s", "is_open", "status"),
    [(30, False, "sending"), (120, False, "failed"), (120, True, "sending"), (3600, True, "failed")],
)
def test_a_file_of_another_tab_is_lost_when_that_was_closed_or_says_nothing_for_long(
    silent_s: float, is_open: bool, status: str
) -> None:
    upload = Upload("1", "theirs", "lease.txt", 9, "sending", heard_at_s=time.monotonic() - silent_s)
    with ApiClient(ApiAddress(url="http://127.0.0.1:9", key="unused")) as api:
        continue_uploads([upload], "ours", api, api, is_open=lambda tab: is_open and tab == "theirs")
    assert upload.status == status
