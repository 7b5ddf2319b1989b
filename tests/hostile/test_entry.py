"""Tokens that die, end points that flake, keys that do not fit."""

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from werkzeug import Response

from tests.hostile.conftest import World
from tests.hostile.little import Asked, Trap, as_json, problem

SECRET = "planted-client-secret-9876543210"


@pytest.fixture
def rsa_key(tmp_path: Path) -> Path:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return _written(tmp_path / "rsa.pem", key)


@pytest.fixture
def ec_key(tmp_path: Path) -> Path:
    return _written(tmp_path / "ec.pem", ec.generate_private_key(ec.SECP384R1()))


def _written(path: Path, key: Any) -> Path:
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return path


class Gatekeeper:
    """A token end point, and a server that wants its newest token."""

    def __init__(self, world: World, lives: int = 300) -> None:
        self.world, self.lives = world, lives
        self.given: list[str] = []
        self.forms: list[Asked] = []
        self.faults: list[Callable[[], Response]] = []
        world.server.trap("^/fhir/.well-known", self.discovered)
        world.server.trap("^/token", self.token)
        world.server.trap("^/fhir/", self.guard)

    def discovered(self, asked: Asked) -> Response:
        root = self.world.server.base.removesuffix("/fhir")
        return as_json({"token_endpoint": f"{root}/token", "capabilities": ["permission-v2"]})

    def token(self, asked: Asked) -> Response:
        self.forms.append(asked)
        if self.faults:
            return self.faults.pop(0)()
        self.given.append(f"planted-token-{len(self.given)}")
        return as_json({"access_token": self.given[-1], "expires_in": self.lives})

    def guard(self, asked: Asked) -> Response | None:
        if not self.given or asked.headers.get("Authorization") != f"Bearer {self.given[-1]}":
            return problem(401, "login")
        return None

    def revoke(self) -> None:
        """The newest token is no longer good."""
        self.given.append("never given")


@pytest.fixture
def by_secret(world: World, monkeypatch: pytest.MonkeyPatch) -> Gatekeeper:
    monkeypatch.setenv("CART_NRM_TEST_SECRET", SECRET)
    world.auth = {
        "kind": "client-secret", "client_id": "me", "secret_env": "CART_NRM_TEST_SECRET",
    }  # fmt: skip
    return Gatekeeper(world)


def test_a_token_that_dies_in_mid_walk_is_renewed_once(world: World, by_secret: Gatekeeper) -> None:
    """A 401 on page two: a new token, the same page again, nothing lost."""
    world.connection["parallel"] = 1
    died: list[bool] = []

    def die(asked: Asked) -> None:
        if asked.get("_offset") and not died:
            died.append(True)
            by_secret.revoke()

    world.server.traps.insert(0, Trap(re.compile("/Condition"), die, 99))
    night = world.night()
    assert (0, world.server.ids()) == (night.code, night.holds)
    assert 2 == len(by_secret.forms)


def test_a_server_that_never_accepts_us_ends_the_night(world: World, by_secret: Gatekeeper) -> None:
    """One renewal, not a hundred; exit code 12; what came is kept and the rest is due."""
    world.server.traps.pop()
    world.server.trap("/Observation", lambda asked: problem(401, "login"))
    world.connection["parallel"] = 1
    night = world.night()
    assert 12 == night.code
    assert len(by_secret.forms) <= 3
    assert ("*", "Observation") in world.due()


def test_a_refused_bearer_is_not_asked_again(world: World) -> None:
    """A static token cannot be renewed."""
    world.server.trap("/metadata", lambda asked: problem(401, "login"))
    assert (12, 1) == (world.night().code, len(world.server.log))


def test_a_token_end_point_that_flakes_is_asked_again(world: World, by_secret: Gatekeeper) -> None:
    """A bare 400 without a word, a 500, then the token."""
    by_secret.faults = [lambda: Response("", 400), lambda: problem(500)]
    assert (0, 3) == (world.night().code, len(by_secret.forms))


def test_a_client_that_is_refused_is_told_so_at_once(world: World, by_secret: Gatekeeper) -> None:
    """invalid_client will not get better by asking again; its description is not repeated."""
    refusal = {"error": "invalid_client", "error_description": "Planted-Family-Name is unknown"}
    by_secret.faults = [lambda: as_json(refusal, 401)]
    night = world.night()
    assert (12, 1, True) == (night.code, len(by_secret.forms), "invalid_client" in night.says)


def test_a_token_with_a_line_break_is_refused(world: World, by_secret: Gatekeeper) -> None:
    """It would end the header and begin another."""
    by_secret.faults = [lambda: as_json({"access_token": "a\r\nX-Evil: 1"})]
    assert 12 == world.night().code


def test_the_secret_goes_into_the_header_where_it_should(
    world: World, by_secret: Gatekeeper
) -> None:
    """client_secret_basic unless the server wants it in the body."""
    world.night()
    assert by_secret.forms[0].headers["Authorization"].startswith("Basic ")
    world.auth["client_style"] = "body"
    world.night()
    assert SECRET in by_secret.forms[-1].body.decode()


def test_no_secret_goes_to_a_token_end_point_in_the_clear(
    world: World, by_secret: Gatekeeper
) -> None:
    """A discovery document that names a stranger's http address gets nothing."""
    world.auth["token_url"] = f"http://stranger.test:{world.stranger.port}/token"
    night = world.night()
    assert (12, []) == (night.code, world.stranger.log)


def test_tokens_are_renewed_before_they_end(world: World, by_secret: Gatekeeper) -> None:
    """A token of one second lives shorter than the walk; no page is ever refused."""
    by_secret.lives = 1
    refused = []
    honest = by_secret.guard

    def slow_guard(asked: Asked) -> Response | None:
        time.sleep(0.06)  # so that the walk takes longer than a token lives
        answer = honest(asked)
        refused.append(answer is not None)
        return answer

    world.server.traps[-1].answer = slow_guard
    world.connection |= {"parallel": 1, "page_size": 2}
    assert 0 == world.night().code
    assert 2 <= len(by_secret.given)
    assert not any(refused)


@pytest.mark.parametrize("algorithm", ["RS384", "ES384"])
def test_smart_signs_what_the_specification_says(
    world: World, rsa_key: Path, ec_key: Path, algorithm: str
) -> None:
    """iss and sub are the client, aud the token URL, no more than five minutes, a new jti."""
    keeper = Gatekeeper(world)
    path = rsa_key if algorithm == "RS384" else ec_key
    named = {"key_file": path, "key_id": "k1", "algorithm": algorithm}
    world.auth = {"kind": "smart", "client_id": "me", **named}
    assert 0 == world.night().code
    form = keeper.forms[0]
    assertion = form.get("client_assertion")
    public = serialization.load_pem_private_key(path.read_bytes(), None).public_key()
    root = world.server.base.removesuffix("/fhir")
    claims = jwt.decode(assertion, public, [algorithm], audience=f"{root}/token")  # type: ignore[arg-type]
    assert ("me", "me") == (claims["iss"], claims["sub"])
    assert claims["exp"] - claims["iat"] <= 300
    assert "k1" == jwt.get_unverified_header(assertion)["kid"]
    assert "system/Condition.rs" in form.get("scope")


def test_a_jwks_file_gives_the_key_that_is_named(world: World, ec_key: Path) -> None:
    """Two keys in one file; auth.key-id chooses."""
    keeper = Gatekeeper(world)
    key = serialization.load_pem_private_key(ec_key.read_bytes(), None)
    jwk = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(key))  # type: ignore[arg-type]
    other = {**jwk, "kid": "old", "alg": "ES384"}
    path = world.folder / "keys.json"
    path.write_text(json.dumps({"keys": [other, {**jwk, "kid": "new", "alg": "ES384"}]}))
    world.auth = {
        "kind": "smart", "client_id": "me", "key_file": path, "key_id": "new", "algorithm": "ES384",
    }  # fmt: skip
    assert 0 == world.night().code
    header = jwt.get_unverified_header(keeper.forms[0].get("client_assertion"))
    assert "new" == header["kid"]


def test_a_key_of_the_wrong_kind_is_a_wrong_setting(world: World, ec_key: Path) -> None:
    """An EC key cannot sign RS384: exit code 10, not a traceback."""
    Gatekeeper(world)
    world.auth = {"kind": "smart", "client_id": "me", "key_file": ec_key}
    night = world.night()
    assert (10, True) == (night.code, "RS384" in night.says)


def test_no_smart_configuration_says_what_to_set(world: World, rsa_key: Path) -> None:
    """Some servers do not advertise where tokens are given."""
    world.auth = {"kind": "smart", "client_id": "me", "key_file": rsa_key}
    night = world.night()
    assert (12, True) == (night.code, "auth.token-url" in night.says)


def test_a_missing_secret_is_a_wrong_setting(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment variable is not there."""
    monkeypatch.delenv("CART_NRM_TEST_TOKEN")
    assert 10 == world.night().code


def test_basic_credentials_are_sent(world: World) -> None:
    """User and password, once encoded."""
    world.auth = {"kind": "basic", "user": "me", "secret_env": "CART_NRM_TEST_TOKEN"}
    assert 0 == world.night().code
    sent = {asked.headers.get("Authorization", "") for asked in world.server.log}
    assert 1 == len(sent)
    assert sent.pop().startswith("Basic ")
