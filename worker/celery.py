"""What `celery -A worker` finds."""

import logging

from bootstrap.data_folder import use_installations_log_key
from bootstrap.sandbox import check_walls
from config import Settings, SettingsError, load_settings
from utils.logging_config import configure_logging
from utils.private_files import keep_files_private
from utils.processes import StartError, hide_from_others
from utils.sandbox.sandbox import Sandbox
from worker.tasks import make_app

_TALKATIVE = ("celery.beat", "celery.worker.strategy", "celery.app.trace")  # several lines a second


def _read_settings() -> Settings:
    hide_from_others()
    keep_files_private()
    configure_logging("INFO")  # for what the settings themselves are told about
    settings = load_settings()
    configure_logging(settings.log_level)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
    with Sandbox() as sandbox:
        check_walls(sandbox, required=settings.sandbox_required)
    use_installations_log_key(settings)
    return settings


try:
    app = make_app(_read_settings())
except (SettingsError, StartError) as error:
    logging.getLogger("worker").critical("%s", error)
    raise SystemExit(1) from None
