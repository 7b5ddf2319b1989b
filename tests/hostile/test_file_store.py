"""Export files on another host: over https, from an allowed host, and never with our token."""

import datetime
import ipaddress
import json
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pytest_httpserver import HTTPServer
from werkzeug import Response

from tests.hostile.conftest import World
from tests.hostile.test_export import file_is, manifest_is


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for localhost that nobody but the test trusts."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    alternative = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(alternative), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    path.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return path


@pytest.fixture
def depot(certificate: Path) -> Iterator[HTTPServer]:
    """The file store, by https."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with HTTPServer(host="localhost", port=0, ssl_context=context) as server:
        yield server


@pytest.fixture
def bulk(world: World, depot: HTTPServer, certificate: Path) -> World:
    """Exports whose condition file lies in the depot."""
    world.connection |= {
        "mode": "bulk", "export": "system", "ca_file": certificate,
        "bulk_hosts": (f"localhost:{depot.port}",),
    }  # fmt: skip
    rows = [row for (kind, _), row in world.server.rows.items() if kind == "Condition"]
    lines = "\n".join(json.dumps(row) for row in rows)
    depot.expect_request("/Condition.ndjson").respond_with_data(lines)
    return world


def no_token_at(depot: HTTPServer) -> bool:
    """Was the depot asked, and never with credentials?"""
    heads = [request.headers for request, _ in depot.log]
    return bool(heads) and not any("Authorization" in head for head in heads)


def test_a_redirect_to_the_file_store_goes_without_the_token(
    bulk: World, depot: HTTPServer
) -> None:
    """requiresAccessToken is true for our own server; its 307 leads to the store."""
    there = {"Location": depot.url_for("/Condition.ndjson") + "?signature=planted"}
    file_is(bulk, "Condition", lambda body: Response(status=307, headers=there))
    night = bulk.night()
    assert (0, bulk.server.ids(), True) == (night.code, night.holds, no_token_at(depot))


def test_an_open_file_on_an_allowed_host_goes_without_the_token(
    bulk: World, depot: HTTPServer
) -> None:
    """requiresAccessToken false, https, and a host that we named."""

    def change(manifest: dict[str, object]) -> None:
        manifest["requiresAccessToken"] = False
        manifest["output"][1]["url"] = depot.url_for("/Condition.ndjson")  # type: ignore[index]

    manifest_is(bulk, change)
    night = bulk.night()
    assert (0, bulk.server.ids(), True) == (night.code, night.holds, no_token_at(depot))


def test_a_file_elsewhere_that_wants_our_token_does_not_get_it(
    bulk: World, depot: HTTPServer
) -> None:
    """An allowed host is allowed to give files, not to have our token."""

    def change(manifest: dict[str, object]) -> None:
        manifest["output"][1]["url"] = depot.url_for("/Condition.ndjson")  # type: ignore[index]

    manifest_is(bulk, change)
    assert (20, []) == (bulk.night().code, depot.log)


def test_a_certificate_that_nobody_trusts_is_refused(bulk: World, depot: HTTPServer) -> None:
    """Without the hospital's own authority the store is not asked; the message says what to set."""
    bulk.connection.pop("ca_file")
    there = {"Location": depot.url_for("/Condition.ndjson")}
    file_is(bulk, "Condition", lambda body: Response(status=307, headers=there))
    night = bulk.night()
    assert (20, True) == (night.code, "connection.ca-file" in night.says)
    assert [] == depot.log
