"""Entry for ASGI servers: `uvicorn wsgi:application`, `gunicorn -k uvicorn_worker.UvicornWorker wsgi:application`."""

from app import asgi_application
from config import load_settings
from utils.logging_config import configure_logging

_settings = load_settings()
configure_logging(_settings.log_level)
application = asgi_application(_settings)
