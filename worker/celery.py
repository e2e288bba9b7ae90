"""What `celery -A worker` finds."""

import logging
import time

from bootstrap.data_folder import use_installations_log_key
from bootstrap.sandbox import check_walls
from config import Settings, SettingsError, load_settings
from utils.logging_config import configure_logging
from utils.private_files import keep_files_private
from utils.processes import StartError, hide_from_others
from utils.sandbox.sandbox import Sandbox
from worker.tasks import make_app

_TALKATIVE = ("celery.beat", "celery.worker.strategy", "celery.app.trace")  # several lines a second
_RARELY_S = 60.0


class RareLines(logging.Filter):
    """Lets a line through if none like it came in the minute before: while Redis is away beat fails every second."""

    def __init__(self) -> None:
        super().__init__()
        self._seen_s: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether it is written."""
        now_s, key = time.monotonic(), str(record.msg)
        is_news = now_s - self._seen_s.get(key, -_RARELY_S) >= _RARELY_S
        if is_news:
            self._seen_s[key] = now_s
            record.exc_info = None  # which says no more than the line
        return is_news


def _read_settings() -> Settings:
    hide_from_others()
    keep_files_private()
    configure_logging("INFO")  # for what the settings themselves are told about
    settings = load_settings()
    configure_logging(settings.log_level)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("celery.beat").addFilter(RareLines())
    with Sandbox() as sandbox:
        check_walls(sandbox, required=settings.sandbox_required)
    use_installations_log_key(settings)
    return settings


try:
    app = make_app(_read_settings())
except (SettingsError, StartError) as error:
    logging.getLogger("worker").critical("%s", error)
    raise SystemExit(1) from None
