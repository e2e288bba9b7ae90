"""What `celery -A worker` finds."""

import logging

from config import Settings, SettingsError, load_settings
from utils.logging_config import configure_logging
from utils.private_files import keep_files_private
from utils.processes import StartError
from worker.tasks import make_app

_TALKATIVE = ("celery.beat", "celery.worker.strategy", "celery.app.trace")  # several lines a second


def _read_settings() -> Settings:
    keep_files_private()
    configure_logging("INFO")  # for what the settings themselves are told about
    settings = load_settings()
    configure_logging(settings.log_level)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
    return settings


try:
    app = make_app(_read_settings())
except (SettingsError, StartError) as error:
    logging.getLogger("worker").critical("%s", error)
    raise SystemExit(1) from None
