"""What the service writes when it is started without gunicorn: lines of JSON, one a request."""

import json
import re
import signal
import subprocess
from pathlib import Path
from uuid import uuid4

from tests.gunicorn_service import GunicornService
from tests.service import ROOT, Service


class UvicornService(GunicornService):
    """`uvicorn wsgi:application`, with uvicorn's own idea of a log."""

    def __init__(self, data_dir: Path, **variables: str) -> None:
        super().__init__(data_dir, **variables)
        where = ["--app-dir", str(ROOT), "--host", "127.0.0.1", "--port", str(self.port)]
        self._command = ["-m", "uvicorn", "wsgi:application", *where]


def test_app_py_writes_json_to_its_log(service: Service) -> None:
    this_id = uuid4().hex
    with service.client(**{"X-Request-Id": this_id}) as client:
        client.get("/v1/conversations/none")
    service.wait_for(lambda: this_id in service.logged())
    lines = [json.loads(line) for line in service.logged().splitlines()]
    assert sum(line["request_id"] == this_id for line in lines) == 1


def test_uvicorn_writes_json_and_each_request_once(tmp_path: Path) -> None:
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "rooms.md").write_text("# Rooms\n\nA room costs 850,000 rupiah.\n")
    with UvicornService(tmp_path / "data", KNOWLEDGE_DIR=str(tmp_path / "documents")) as service:
        with service.client(**{"X-Request-Id": "once"}) as client:
            client.get("/v1/conversations/none")
        service.stop(signal.SIGTERM)
    lines = service.lines()
    assert "Uvicorn running on" in str(lines)
    asked = [str(line["path"]) for line in lines if "/v1/conversations/" in str(line)]
    assert len(asked) == 1
    assert re.fullmatch("/v1/conversations/~[0-9a-f]{16}", asked[0])


def test_uvicorn_is_told_of_a_wrong_setting_in_one_line(tmp_path: Path) -> None:
    service = UvicornService(tmp_path / "data", CONVERSATION_TTL="soon")
    service.launch()
    assert service.process.wait(60) == 1
    (line,) = service.lines()
    assert "CONVERSATION_TTL" in line["message"]


def test_checking_the_configuration_with_gunicorn_leaves_nothing_behind(tmp_path: Path) -> None:
    service = GunicornService(tmp_path / "data", "--check-config")
    service.launch()
    assert service.process.wait(60) == 0
    assert not service.data_dir.exists()
    assert subprocess.run(["ps", "--ppid", str(service.process.pid)], capture_output=True).returncode == 1
