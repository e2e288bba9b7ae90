"""What of `docs/deploying.md` is run on a machine of its own: blocks of commands, by their sections."""

import re

from tests.service import ROOT

PAGE = ROOT / "docs" / "deploying.md"
BACKUP = "Backup and restore"
SECTIONS = ("systemd", "Nginx", BACKUP)
_BLOCK = re.compile(r"^```bash\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def list_blocks(section: str) -> list[str]:
    """The commands of a section, in order."""
    return _BLOCK.findall(PAGE.read_text().split(f"\n## {section}\n")[1].split("\n## ")[0])
