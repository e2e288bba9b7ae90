"""What conversations look like on the wire: in a list, and what may be changed of one."""

from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field, StringConstraints

from agents.transcripts import ListedConversation
from api.dataset_schemas import Strict
from api.paging import PageOut, PageQuery
from api.schemas import NON_BLANK, BotQuery, ConversationId
from utils.validation import check_text

LONGEST_QUERY = 200

Title = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=200),
    AfterValidator(check_text),
    NON_BLANK,
]


class ConversationPath(BaseModel):
    """Which conversation."""

    conversation_id: ConversationId = Field(description="As it was named when it began.")


class DeletionQuery(BotQuery):
    """How it is deleted."""

    permanent: bool = Field(False, description="Erase its texts at once: then it cannot be restored.")


class ConversationsQuery(PageQuery, BotQuery):
    """Which of them, a part at a time."""

    q: Annotated[str, AfterValidator(lambda text: text and check_text(text))] = Field(
        "",
        max_length=LONGEST_QUERY,
        description="Words that all have to stand in its title, questions or answers; the newest 500 are searched.",
    )


class ConversationPatch(Strict):
    """What to change; null: it is called by its first question again."""

    title: Title | None = None


class ListedConversationOut(BaseModel):
    """A conversation without its messages."""

    id: str
    bot_id: str = Field(description="The bot that it is with.")
    title: str = Field(description="Made of its first question, unless one was given.")
    channel: str = Field(description="Where it is held: web_chat, or api.")
    language: str = Field(description="Of its first question.")
    message_count: int
    created_at: datetime
    updated_at: datetime = Field(description="When its last turn ended.")
    expires_in_s: int | None = Field(description="Seconds until it is removed, unless it is used again.")


class ConversationsOut(PageOut):
    """A part of the conversations, the last used first."""

    total: int = Field(description="How many there are in all parts; 10,000 where there are more.")
    conversations: list[ListedConversationOut]


class ClearingIn(Strict):
    """How conversations are deleted."""

    permanent: bool = Field(False, description="Erase their texts at once: then they cannot be restored.")


class ClearedOut(BaseModel):
    """What became of the conversations."""

    deleted_count: int
    busy_count: int = Field(description="Of those that stay, because they are being answered.")
    remaining_count: int = Field(description="How many there are still, those that are busy among them: ask again.")


def describe_listed(conversation: ListedConversation) -> ListedConversationOut:
    """It as it is given out."""
    row = conversation.row
    return ListedConversationOut(
        id=row.conversation_id,
        bot_id=row.bot_id,
        title=conversation.title,
        channel=row.channel,
        language=row.language,
        message_count=row.message_count,
        created_at=row.created_at,
        updated_at=row.updated_at,
        expires_in_s=conversation.left_s,
    )
