"""What a master notes of a reload, and what it does where that is not possible."""

from pathlib import Path

import pytest

from config import load_settings
from server.reloading import NOTE, Reloading, ask_for_reload
from utils.processes import StartError


def test_a_note_that_cannot_be_written_ends_no_service(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    settings = load_settings(data_dir=tmp_path / "data", redis_url=None, _env_file=None)
    master = Reloading()
    master.begin(settings)
    (settings.data_dir / NOTE).unlink()
    (settings.data_dir / NOTE).mkdir()
    master.finish(settings)
    master.refuse("CONVERSATION_TTL: Has to be a whole number.")
    assert (master.note.reloads, master.note.refused) == (2, "CONVERSATION_TTL: Has to be a whole number.")
    assert caplog.text.count(f"What came of the reload cannot be noted in {settings.data_dir}") == 2


def test_nothing_is_asked_to_reload_where_nothing_runs(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=f"No service under gunicorn runs on {tmp_path}"):
        ask_for_reload(tmp_path, 1)
