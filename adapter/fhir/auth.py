"""Who we are: none, bearer, basic, OAuth client secret, SMART Backend Services (RS384, ES384).

Tokens live minutes and exports take hours, so there is one owner of the token for all threads: it
renews shortly before the end, and once more when a server says 401. Token end points flake; they
are asked again. PyJWT signs the assertions; keys and secrets come from files or the environment.
"""

import base64
import json
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import quote, urlsplit

import jwt
import msgspec

from adapter.config import Settings, secret
from adapter.errors import UNREADABLE, AuthorisationError, ConfigError
from adapter.fhir.transport import Broken, Reply, Transport

_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"  # RFC 7523 §2.2
_ASSERTION_SECONDS = 240  # SMART Backend Services: no more than five minutes ahead
_TRIES = 4
_LOCAL = {"127.0.0.1", "localhost", "::1"}


class SmartConfiguration(msgspec.Struct):
    """The fields we use of .well-known/smart-configuration."""

    token_endpoint: str = ""
    token_endpoint_auth_methods_supported: list[str] = []
    scopes_supported: list[str] = []
    capabilities: list[str] = []


class Token(msgspec.Struct, frozen=True):
    """An access token, what it may do, and until when (seconds since 1970, our clock)."""

    value: str
    renew_at: float
    scope: str = ""


class Credentials:
    """Gives the Authorization header for our own server, and renews it."""

    def __init__(
        self,
        settings: Settings,
        transport: Transport,
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings, self._auth, self._transport = settings, settings.auth, transport
        self._sleep, self._clock = sleep, clock
        self._lock = threading.Lock()
        self._token: Token | None = None
        self.skew = 0.0  # the server's clock minus ours, seconds

    def header(self) -> dict[str, str]:
        """The Authorization header, renewed when it is about to end."""
        auth = self._auth
        if auth.kind == "none":
            return {}
        if auth.kind == "bearer":
            return {"Authorization": f"Bearer {_printable(self._secret())}"}
        if auth.kind == "basic":
            return {"Authorization": _basic(auth.user, self._secret())}
        return {"Authorization": f"Bearer {self._current().value}"}

    def renew(self, refused: str) -> bool:
        """After a 401: a new token, once for all threads. False when there is none to be had."""
        if self._auth.kind not in ("client-secret", "smart"):
            return False
        with self._lock:
            if self._token is not None and f"Bearer {self._token.value}" == refused:
                self._token = self._fetch()
        return True

    def granted(self) -> str:
        """The scopes the server gave us, "" when it did not say or needs none."""
        return self._current().scope if self._auth.kind in ("client-secret", "smart") else ""

    def _current(self) -> Token:
        with self._lock:
            if self._token is None or self._clock() >= self._token.renew_at:
                self._token = self._fetch()
            return self._token

    def _secret(self) -> str:
        return secret(self._auth.secret_file, self._auth.secret_env)

    # -- the token end point ---------------------------------------------------------------

    def _fetch(self) -> Token:
        discovered = SmartConfiguration() if self._auth.token_url else self._discover()
        url = self._auth.token_url or discovered.token_endpoint
        _check_token_url(url, self._settings.server)
        for attempt in range(_TRIES):
            headers, form = self._request(url, discovered)  # an assertion may be used only once
            try:
                reply = self._transport.exchange("POST", url, headers, form)
            except Broken:
                if attempt == _TRIES - 1:
                    raise
            else:
                if (token := self._read(reply, last=attempt == _TRIES - 1)) is not None:
                    return token
            self._sleep(2.0**attempt)
        raise AssertionError("unreachable")

    def _read(self, reply: Reply, last: bool) -> Token | None:
        """The token; None to ask again (some end points answer a bare 400 or 500 now and then)."""
        answer = _object(reply.body)
        value = answer.get("access_token")
        if reply.status == 200 and isinstance(value, str) and value:
            lifetime = _number(answer.get("expires_in"), 300.0)
            margin = min(60.0, 0.2 * lifetime)
            scope = answer.get("scope")
            return Token(
                _printable(value),
                self._clock() + lifetime - margin,
                scope if isinstance(scope, str) else "",
            )
        error = answer.get("error")
        if isinstance(error, str) and reply.status in (400, 401, 403):
            raise AuthorisationError(
                f"The token end point refuses us: {_word(error)}.",
                "Check auth.client-id, the registered key or secret, auth.scope, and the clock.",
            )
        if last or 200 <= reply.status < 300:
            raise AuthorisationError(
                f"The token end point answered {reply.status} without a token.",
                "Check auth.token-url and that the end point is up.",
            )
        return None

    def _request(
        self, url: str, discovered: SmartConfiguration
    ) -> tuple[dict[str, str], tuple[tuple[str, str], ...]]:
        auth = self._auth
        form = [("grant_type", "client_credentials")]
        headers = {"Accept": "application/json"}
        if scope := auth.scope or default_scope(self._settings, discovered):
            form.append(("scope", scope))
        if auth.kind == "smart":
            form += [("client_assertion_type", _ASSERTION)]
            form += [("client_assertion", self._assertion(url))]
        elif self._secret_in_body(discovered):
            form += [("client_id", auth.client_id), ("client_secret", self._secret())]
        else:
            user = quote(auth.client_id, safe="")  # RFC 6749 §2.3.1: form-encoded first
            headers["Authorization"] = _basic(user, quote(self._secret(), safe=""))
        return headers, tuple(form)

    def _secret_in_body(self, discovered: SmartConfiguration) -> bool:
        if self._auth.client_style != "auto":
            return self._auth.client_style == "body"
        methods = discovered.token_endpoint_auth_methods_supported
        return "client_secret_post" in methods and "client_secret_basic" not in methods

    def _assertion(self, url: str) -> str:
        auth = self._auth
        issued = int(self._clock() + self.skew)
        claims = {
            "iss": auth.client_id, "sub": auth.client_id, "aud": url, "jti": uuid.uuid4().hex,
            "iat": issued, "exp": issued + _ASSERTION_SECONDS,
        }  # fmt: skip
        key, key_id = _signing_key(self._settings)
        headers = {"typ": "JWT"} | ({"kid": key_id} if key_id else {})
        try:
            return jwt.encode(claims, key, algorithm=auth.algorithm, headers=headers)
        except (jwt.PyJWTError, TypeError, ValueError):
            raise ConfigError(
                f"The key file does not hold a private key for {auth.algorithm}.",
                "Check auth.key-file and auth.algorithm.",
            ) from None

    def _discover(self) -> SmartConfiguration:
        return smart_configuration(self._settings, self._transport)


def smart_configuration(settings: Settings, transport: Transport) -> SmartConfiguration:
    """.well-known/smart-configuration relative to the FHIR base, asked without credentials."""
    url = f"{settings.server.rstrip('/')}/.well-known/smart-configuration"
    reply = transport.exchange("GET", url, {"Accept": "application/json"})
    if reply.status == 200:
        try:
            found = msgspec.json.decode(reply.body, type=SmartConfiguration)
        except UNREADABLE:
            found = SmartConfiguration()
        if found.token_endpoint:
            return found
    raise AuthorisationError(
        "The server does not say where tokens are given (.well-known/smart-configuration).",
        "Set auth.token-url.",
    )


def default_scope(settings: Settings, discovered: SmartConfiguration) -> str:
    """One read scope per type, in SMART version 2 only when the server speaks no version 1."""
    speaks = discovered.capabilities
    second = "permission-v2" in speaks and "permission-v1" not in speaks
    verb = "rs" if second else "read"
    return " ".join(f"system/{kind}.{verb}" for kind in settings.connection.types)


def _signing_key(settings: Settings) -> tuple[Any, str]:
    """The private key and its id, from a PEM file, a JWK or a JWKS."""
    auth = settings.auth
    if auth.key_file is None:
        raise ConfigError("SMART needs a private key.", "Set auth.key-file.")
    text = secret(auth.key_file, "")
    if not text.lstrip().startswith("{"):
        return text, auth.key_id
    keys = _object(text.encode())
    usable = [
        key
        for key in keys.get("keys", [keys])
        if isinstance(key, dict)
        and "d" in key
        and auth.key_id in ("", key.get("kid"))
        and key.get("alg", auth.algorithm) == auth.algorithm
    ]
    if not usable:
        raise ConfigError(
            "The key file holds no private key that fits.", "Check auth.key-id and auth.algorithm."
        )
    try:
        return jwt.PyJWK(usable[0], algorithm=auth.algorithm).key, str(usable[0].get("kid", ""))
    except jwt.PyJWTError:
        raise ConfigError("The key in the key file cannot be read.") from None


def _check_token_url(url: str, server: str) -> None:
    """Secrets travel over https only, unless the FHIR server itself is on this machine."""
    with suppress(ValueError):  # what is no URL at all
        parts = urlsplit(url)
        local = parts.hostname in _LOCAL and urlsplit(server).hostname in _LOCAL
        if parts.scheme == "https" or (parts.scheme == "http" and local):
            return
    raise AuthorisationError(
        "The token end point is not an https address; no secret was sent.", "Set auth.token-url."
    )


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def _printable(token: str) -> str:
    """A line break in a token would end the header and start another."""
    if not token or any(not 33 <= ord(letter) <= 126 for letter in token):
        raise AuthorisationError("The token is empty or holds letters that no token has.")
    return token


def _object(raw: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(raw)
    except UNREADABLE:
        return {}
    return found if isinstance(found, dict) else {}


def _number(value: object, default: float) -> float:
    try:
        return max(1.0, float(value))  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return default


def _word(text: str) -> str:
    """An OAuth error code; anything else may hold more than we want to show."""
    return text if len(text) <= 40 and text.replace("_", "").isalpha() else "no reason given"
