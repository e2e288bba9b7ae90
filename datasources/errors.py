"""Why a question to a database has no answer. The texts are for the asker: no password, no address of a login."""


class QueryRefused(Exception):
    """The query is not allowed; the text says what in it is not."""


class QueryFailed(Exception):
    """The database refused the query, or did not finish it in time; the text is what it said of it."""


class SourceUnavailable(Exception):
    """The database cannot be reached or opened; the text says what to do."""
