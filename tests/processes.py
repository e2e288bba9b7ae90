"""What the system tells of a process."""

import os
from pathlib import Path


def resident_bytes(process_id: int) -> int:
    """The memory that it has now."""
    pages = int(Path(f"/proc/{process_id}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
