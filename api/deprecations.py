"""Old names that stay for one version: answers that hold some say so, and until when.

Sources: https://www.rfc-editor.org/rfc/rfc9745 (Deprecation), https://www.rfc-editor.org/rfc/rfc8594 (Sunset)
"""

from flask import Flask, Response, request

# Since 23 November 2026; which names, the description of the API says.
DEPRECATED = {
    "Deprecation": "@1795392000",
    "Sunset": "Tue, 01 Jun 2027 00:00:00 GMT",
    "Link": '</docs>; rel="deprecation"; type="text/html"',
}


def register_deprecations(app: Flask, endpoints: frozenset[tuple[str, str]]) -> None:
    """Let the successes of *endpoints*, each with its method, say that they hold deprecated names."""

    def add_headers(response: Response) -> Response:
        if (request.endpoint, request.method.lower()) in endpoints and response.status_code < 300:
            response.headers.update(DEPRECATED)
        return response

    app.after_request(add_headers)
