"""The lines a process logs: each is one JSON object, whatever is logged and however it goes wrong."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
FIRST = "from utils.logging_config import configure_logging, log_prints, request_id\nconfigure_logging('INFO')\n"


def logged_by(code: str, *, exit_code: int = 0) -> list[dict[str, Any]]:
    """Every line that a process running *code* writes, parsed."""
    done = subprocess.run(
        [sys.executable, "-c", FIRST + code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == exit_code, done.stderr
    return [json.loads(line) for line in (done.stdout + done.stderr).splitlines()]


def test_a_line_has_its_time_level_logger_message_and_request() -> None:
    code = (
        "import logging\nrequest_id.set('r-1')\nlogging.getLogger('x').warning('é\\n%d', 1, extra={'duration_ms': 2})"
    )
    (line,) = logged_by(code)
    assert {name: line[name] for name in ("level", "logger", "message", "request_id", "duration_ms")} == {
        "level": "WARNING",
        "logger": "x",
        "message": "é\n1",
        "request_id": "r-1",
        "duration_ms": 2,
    }
    # ISO 8601, to the millisecond, with the zone's offset
    date, clock = line["timestamp"].split("T")
    assert len(date) == 10
    assert len(clock) == len("12:34:56.789+00:00")


def test_what_nobody_caught_is_a_line_with_its_traceback() -> None:
    (line,) = logged_by("raise ValueError('redis://u:hush-hush@h')", exit_code=1)
    assert line["level"] == "CRITICAL"
    assert "Traceback" in line["exc_info"]
    assert "hush-hush" not in str(line)


def test_what_nobody_caught_in_a_thread_or_a_task_or_a_finalizer_is_a_line() -> None:
    lines = logged_by(
        "import asyncio, threading\n"
        "thread = threading.Thread(target=lambda: 1 / 0, name='worker-7')\n"
        "thread.start(); thread.join()\n"
        "class Bad:\n"
        "    def __del__(self): raise KeyError('finalizer')\n"
        "Bad()\n"
        "async def main():\n"
        "    asyncio.get_running_loop().call_soon(lambda: [].pop())\n"
        "    await asyncio.sleep(0)\n"
        "asyncio.run(main())\n"
    )
    assert [line["logger"] for line in lines] == ["uncaught", "uncaught", "asyncio"]
    assert all("Traceback" in line["exc_info"] for line in lines)
    assert "worker-7" in lines[0]["message"]


def test_warnings_are_lines() -> None:
    (line,) = logged_by("import warnings\nwarnings.warn('two\\nlines')")
    assert line["logger"] == "py.warnings"
    assert "two\nlines" in line["message"]


def test_a_wrong_call_of_the_logger_costs_neither_the_line_nor_the_service() -> None:
    first, second = logged_by("import logging\nlogging.error('%d ak_live_abc', 'x')\nlogging.error('next')")
    assert "'x'" in first["message"]
    assert "ak_live_abc" not in str(first)
    assert "TypeError" in first["logging_error"]
    assert second["message"] == "next"


def test_secrets_in_extras_and_arguments_are_hidden() -> None:
    code = (
        "import logging\n"
        "extra = {'headers': {'X-API-Key': 'hush-hush'}, 'url': 'redis://:hush-hush@h', 'odd': object()}\n"
        "logging.error('Authorization: Bearer %s', 'hush-hush', extra=extra)"
    )
    (line,) = logged_by(code)
    assert "hush-hush" not in str(line)
    assert line["url"] == "redis://:***@h"


def test_prints_become_lines_once_a_server_says_so() -> None:
    lines = logged_by(
        "import sys\nlog_prints()\nprint('to people')\nprint('half', end='')\nprint(' whole', file=sys.stderr)\n"
        "print()\nconfigure_logging('INFO')\nprint('again')\n"
    )
    assert [(line["logger"], line["message"]) for line in lines] == [
        ("stdout", "to people"),
        ("stderr", " whole"),
        ("stdout", "half"),
        ("stdout", "again"),
    ]


def test_a_servers_own_handlers_are_replaced() -> None:
    (line,) = logged_by(
        "import logging, logging.config\nfrom uvicorn.config import LOGGING_CONFIG\n"
        "logging.config.dictConfig(LOGGING_CONFIG)\nconfigure_logging('INFO')\n"
        "logging.getLogger('uvicorn.error').info('up', extra={'color_message': '\\x1b[1m'})\n"
        "logging.getLogger('uvicorn.access').info('GET / 200')\n"
    )
    assert line["logger"] == "uvicorn.error"
    assert "color_message" not in line


def test_long_lines_of_several_processes_do_not_mix() -> None:
    lines = logged_by(
        "import logging, multiprocessing\n"
        "def talk():\n"
        "    for number in range(300): logging.error('x' * 9000)\n"
        "talkers = [multiprocessing.get_context('fork').Process(target=talk) for _ in range(3)]\n"
        "for talker in talkers: talker.start()\n"
        "for talker in talkers: talker.join()\n"
    )
    assert len(lines) == 3 * 300
