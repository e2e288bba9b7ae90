"""The service by the name that the maintenance guide has: `uvicorn fastapi_microservice:app`, in this folder.

Settings and data are those of the folder above.
"""

import os
import sys
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent
os.chdir(_ROOT)
sys.path.insert(0, str(_ROOT))

from wsgi import application as app  # noqa: E402 # found by the path above

__all__ = ["app"]
