"""What a run looks like on the wire."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

from api.problem_schemas import Problem
from api.schemas import ChatOut, WaitingCallOut


class RunOut(BaseModel):
    """A run: `result` when it has completed, `problem` when it failed, `waiting_for` while it waits for approval."""

    id: str
    run_id: str = Field("", description="id, as it was called before.", deprecated=True)
    conversation_id: str
    bot_id: str = Field(description="The bot that is asked.")
    bot_version: int = Field(description="Which of its versions answers; 0: as the settings say.")
    model_id: str | None = Field(description="The model that answers; null: the service's own.")
    model_version: int = Field(description="In which of its versions; 0 for the service's own.")
    status: Literal["processing", "waiting", "completed", "failed", "cancelled"]
    created_at: datetime
    attempt_count: int = Field(description="How many workers have worked on it.")
    attempts: int = Field(0, description="attempt_count, as it was called before.", deprecated=True)
    waiting_for: WaitingCallOut | None = Field(None, description="The call that is to be approved or rejected.")
    result: ChatOut | None
    problem: Problem | None


class AcceptedRunOut(RunOut):
    """A run that goes on, waits, or was asked to end."""

    status_url: str
