"""A small OpenID Connect provider: discovery, a page on which one chooses who one is, tokens and their keys.

Source: https://openid.net/specs/openid-connect-core-1_0.html, with PKCE of RFC 7636.
"""

import base64
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT_ID, CLIENT_SECRET = "chat-page", "secret-of-the-chat-page"
USERS = {"ada": "Ada *Lovelace*", "grace": "Grace Hopper"}


@dataclass
class OidcProvider:
    """A running provider; *redirect_uri* is the only one it sends people to. `codes` wait to be turned into tokens."""

    issuer: str
    redirect_uri: str = ""
    is_away: bool = False  # as a proxy says it
    claims: dict[str, Any] = field(default_factory=dict)  # in the place of the true ones
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    ended: list[str] = field(default_factory=list)  # where to people went who signed out
    key: RSAKey = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "k1"}), repr=False)


@contextmanager
def serve_provider() -> Iterator[OidcProvider]:
    """A provider until the block is left."""

    class Handler(_Handler):
        provider: OidcProvider

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        Handler.provider = OidcProvider(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield Handler.provider
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    provider: OidcProvider

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        if self.provider.is_away:
            self.send_error(503)
            return
        parts = urlsplit(self.path)
        asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
        match parts.path:
            case "/.well-known/openid-configuration":
                self._json(self._discovery())
            case "/authorize":
                self._authorize(asked)
            case "/jwks":
                self._json({"keys": [self.provider.key.as_dict(private=False)]})
            case "/end":
                self.provider.ended.append(asked["post_logout_redirect_uri"])
                self._redirect(asked["post_logout_redirect_uri"])
            case _:
                self.send_error(404)

    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        asked = {name: values[0] for name, values in form.items()}
        known = self.provider.codes.pop(asked.get("code", ""), None)
        basic = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
        verified = base64.urlsafe_b64encode(hashlib.sha256(asked.get("code_verifier", "").encode()).digest()).decode()
        is_right = (
            known is not None
            and self.headers.get("Authorization") == f"Basic {basic}"
            and asked.get("redirect_uri") == self.provider.redirect_uri
            and verified.rstrip("=") == known["code_challenge"]
        )
        if known is None or not is_right:
            self._json({"error": "invalid_grant"}, 400)
            return
        token = {"access_token": "x", "token_type": "Bearer", "expires_in": 60, "id_token": self._id_token(known)}
        self._json(token)

    def _discovery(self) -> dict[str, Any]:
        issuer = self.provider.issuer
        return {
            "issuer": issuer,
            "authorization_endpoint": f"{issuer}/authorize",
            "token_endpoint": f"{issuer}/token",
            "jwks_uri": f"{issuer}/jwks",
            "end_session_endpoint": f"{issuer}/end",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic"],
        }

    def _authorize(self, asked: dict[str, str]) -> None:
        """A page with a link for each user, and one for who thinks better of it."""
        if asked.get("redirect_uri") != self.provider.redirect_uri or asked.get("client_id") != CLIENT_ID:
            self.send_error(400)
            return
        links = []
        for user in USERS:
            code = secrets.token_urlsafe()
            self.provider.codes[code] = {**asked, "sub": user}
            links.append((user, {"code": code, "state": asked["state"]}))
        links.append(("no", {"error": "access_denied", "error_description": "x", "state": asked["state"]}))
        page = "".join(f'<p><a href="{asked["redirect_uri"]}?{urlencode(back)}">{name}</a></p>' for name, back in links)
        self._send(200, page.encode(), "text/html")

    def _id_token(self, asked: dict[str, str]) -> str:
        now = int(time.time())
        claims = {
            "iss": self.provider.issuer,
            "sub": asked["sub"],
            "aud": CLIENT_ID,
            "iat": now,
            "exp": now + 600,
            "nonce": asked["nonce"],
            "name": USERS[asked["sub"]],
        }
        return jwt.encode({"alg": "RS256", "kid": "k1"}, {**claims, **self.provider.claims}, self.provider.key)

    def _redirect(self, to: str) -> None:
        self.send_response(302)
        self.send_header("Location", to)
        self.end_headers()

    def _json(self, body: object, status: int = 200) -> None:
        self._send(status, json.dumps(body).encode(), "application/json")

    def _send(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
