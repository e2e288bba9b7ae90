"""What is not in the documents: estimated once for an installation, kept in SQL for all of its processes."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import partial

from auth.principal import Principal
from domain import calibrations
from domain.calibrations import MeasuredBy
from domain.db import Database
from domain.in_thread import read, write
from domain.models import CalibrationRow
from retrieval.answerability import Calibration
from retrieval.calibration import Estimate


@dataclass(frozen=True, slots=True)
class SharedEstimates:
    """`retrieval.calibration.Estimates` in *database*."""

    database: Database
    by: MeasuredBy

    async def list_made_since(self, moment: datetime | None) -> Mapping[str, Estimate]:
        """See `Estimates`."""
        rows = await read(self.database, partial(calibrations.list_made_since, by=self.by, since=moment))
        return {row.tenant_id: _estimate(row) for row in rows}

    async def claim(self, ctx: Principal, last: Estimate | None, *, hold_s: float) -> bool:
        """See `Estimates`."""
        made_at = last.made_at if last else None
        taking = partial(calibrations.claim, ctx=ctx, by=self.by, after=made_at, hold_s=hold_s)
        return await write(self.database, taking)

    async def keep(self, ctx: Principal, calibration: Calibration | None, passages: int) -> Estimate:
        """See `Estimates`."""
        stored = asdict(calibration) if calibration else None
        keeping = partial(calibrations.keep, ctx=ctx, by=self.by, calibration=stored, passages=passages)
        return Estimate(calibration, passages, await write(self.database, keeping))


def _estimate(row: CalibrationRow) -> Estimate:
    assert row.estimated_at is not None  # noqa: S101 - only those are asked for
    result = Calibration(**row.calibration) if row.calibration else None
    return Estimate(result, row.passages, row.estimated_at)
