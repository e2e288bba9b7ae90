"""Entry for ASGI servers: `gunicorn` (by `gunicorn.conf.py`), or `uvicorn wsgi:application`."""

import logging

from app import asgi_application
from config import Settings, SettingsError
from server.reloading import reloading
from utils.logging_config import configure_logging, log_prints
from utils.processes import hide_from_others


def _read_settings() -> Settings:
    hide_from_others()
    configure_logging("INFO")  # for what the settings themselves are told about
    log_prints()
    try:
        settings = reloading.load_current()
    except SettingsError as exc:
        logging.getLogger("wsgi").critical("%s", exc)
        raise SystemExit(1) from None
    configure_logging(settings.log_level)
    return settings


application = asgi_application(_read_settings())
