"""What becomes of sentences that are not supported."""

from typing import Literal

Policy = Literal["mark", "drop", "refuse"]
"""`mark` says so of each; `drop` leaves them out, before anybody sees them; `refuse` gives no answer that has one."""
