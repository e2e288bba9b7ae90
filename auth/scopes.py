"""What a principal may do. Clients of the API see these names."""

from enum import StrEnum


class Scope(StrEnum):
    """What a principal may do. Every route needs one, which its `@requires` names."""

    CHAT_WRITE = "chat:write"  # ask; follow and cancel the runs of one's own questions
    CONVERSATIONS_READ = "conversations:read"
    CONVERSATIONS_WRITE = "conversations:write"  # delete
    CONVERSATIONS_ALL = "conversations:all"  # share conversations with the other keys of the tenant that have it
    RATINGS_READ = "ratings:read"
    RATINGS_WRITE = "ratings:write"
    SEARCH = "search"
    DOCUMENTS_READ = "documents:read"
    DOCUMENTS_WRITE = "documents:write"
    DATASETS_READ = "datasets:read"
    DATASETS_WRITE = "datasets:write"
    WEB_SOURCES_READ = "web-sources:read"
    WEB_SOURCES_WRITE = "web-sources:write"
    # Of work in the background that the key asked for, or may read the subject of; scopes to begin some hold it.
    TASKS_READ = "tasks:read"
    BOTS_READ = "bots:read"
    BOTS_WRITE = "bots:write"
    MODELS_READ = "models:read"
    MODELS_WRITE = "models:write"  # also ask one of them whether it answers
    DATA_SOURCES_READ = "data-sources:read"  # also samples of what is in them
    DATA_SOURCES_WRITE = "data-sources:write"  # also try to connect, and read a schema
    WEBHOOKS_READ = "webhooks:read"
    WEBHOOKS_WRITE = "webhooks:write"  # also have what anybody asked or rated sent to a server
    HEALTH_READ = "health:read"  # how the service is, in full


# Whoever may begin work in the background may follow it.
_BEGIN_WORK = frozenset({Scope.DOCUMENTS_WRITE, Scope.WEB_SOURCES_WRITE})
ALL_SCOPES = frozenset(Scope)
VISITOR_SCOPES = frozenset({Scope.CHAT_WRITE, Scope.CONVERSATIONS_READ, Scope.CONVERSATIONS_WRITE, Scope.RATINGS_WRITE})
# Of a key that is for one bot: others reach the whole tenant, its other bots and documents too.
BOT_KEY_SCOPES = VISITOR_SCOPES | {Scope.RATINGS_READ}


def add_implied(scopes: frozenset[Scope]) -> frozenset[Scope]:
    """*scopes* with those that they hold."""
    return scopes | {Scope.TASKS_READ} if scopes & _BEGIN_WORK else scopes
