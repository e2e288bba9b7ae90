"""Files on their way from a browser tab, which may have been closed."""

import json
import time
from http import HTTPStatus

import pytest

from clients.api_client import ApiAddress, ApiClient
from clients.streamlit_chat.uploads import Upload, continue_uploads
from tests.fakes.http_server import HttpServer, QuietHandler


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


def test_files_wait_for_the_service_to_take_and_to_read_them_and_ask_ever_less_often() -> None:
    asked = list[str]()
    refusals = [HTTPStatus.TOO_MANY_REQUESTS]

    class Service(QuietHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.answer(refusals.pop() if refusals else HTTPStatus.OK, {"id": "lease"})

        def do_GET(self) -> None:
            self.answer(HTTPStatus.OK, {"status": "processing"})

        def answer(self, status: HTTPStatus, body: dict[str, str]) -> None:
            asked.append(self.command)
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Retry-After", "7")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    upload = Upload("1", "ours", "lease.txt", 5, "sending", bytearray(b"lease"))
    with HttpServer(Service) as service, ApiClient(ApiAddress(url=service.url, key="unused")) as api:
        looks = list[tuple[str, int, int]]()
        for _ in range(6):
            for _ in range(2):  # the second is too early
                continue_uploads([upload], "ours", api, api)
            looks.append((upload.status, len(asked), round(upload.due_at_s - time.monotonic())))
            upload.due_at_s = 0
    assert looks[0] == ("sending", 1, 7)
    assert asked == ["POST", "POST", "GET", "GET", "GET", "GET", "GET"]
    assert [(status, wait_s) for status, _, wait_s in looks[1:]] == [("reading", 2 * 2**number) for number in range(5)]
