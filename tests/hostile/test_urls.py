"""URLs a server hands us: the token goes to our own service and nowhere else."""

import pytest
from werkzeug import Response

from tests.hostile.conftest import World
from tests.hostile.little import Answer, Asked, as_json


def next_is(world: World, url: str) -> Answer:
    """The first page of conditions says that the next one lies there."""

    def answer(asked: Asked) -> Response | None:
        if asked.counting or asked.get("_offset"):
            return None
        bundle = world.server.bundle("Condition", asked)
        offset = "_offset=5&_count=5&_sort=_lastUpdated"
        host, path = world.server.base[7:].split("/", 1)
        there = url.format(host=host, path=path, query=offset, evil=evil(world))
        bundle["link"] = [{"relation": "next", "url": there}]
        return as_json(bundle)

    return answer


def evil(world: World) -> str:
    """The stranger's host and port, by its other name."""
    return f"localhost:{world.stranger.port}"


@pytest.mark.parametrize(
    "url",
    [
        "http://{evil}/other/Condition?{query}",
        "http://{host}.evil.test/other?{query}",
        "http://{host}@{evil}/fhir/Condition?{query}",
        "http://{evil}\\@{host}/fhir/Condition?{query}",
        "ftp://{host}/fhir/Condition?{query}",
        "file:///etc/passwd",
        "http://{host}/fhir/../admin?{query}",
        "http://{host}/fhir/%2e%2e/admin?{query}",
        "http://{host}/fhirevil/Condition?{query}",
        "//{evil}/other/Condition?{query}",
        "http://[::1/Condition",
        "javascript:alert(1)",
    ],
)
def test_a_next_link_that_leaves_the_service_stops_the_slice(world: World, url: str) -> None:
    """Foreign hosts, look-alike names, user parts, dot segments, other schemes: not followed."""
    world.server.trap("/Condition", next_is(world, url))
    night = world.night()
    assert 20 == night.code
    assert {("*", "Condition")} == world.due()
    assert "Nothing was sent there" in night.says or "not followed" in night.says
    assert [] == world.stranger.log
    world.complete()


@pytest.mark.parametrize(
    "url",
    [
        "http://internal-host:8080/{path}/Condition?{query}",
        "https://{host}/{path}/Condition?{query}",
        "http://{host}/{path}/{path}/Condition?{query}",
        "Condition?{query}",
        "/{path}/Condition?{query}",
        "?{query}",
        "http://{evil}/{path}/Condition?{query}",
    ],
)
def test_a_next_link_that_means_us_is_rewritten(world: World, url: str) -> None:
    """Internal names, wrong schemes, doubled paths, relative links: asked of our own server."""
    world.server.trap("/Condition", next_is(world, url), times=1)
    night = world.night()
    assert (0, world.server.ids()) == (night.code, night.holds)
    assert [] == world.stranger.log


def test_a_port_written_twice_is_read_once(world: World) -> None:
    """`:443:443` stands behind two proxies that both add the port."""
    port = world.server.base.split(":")[2].split("/")[0]
    url = f"http://127.0.0.1:{port}:{port}/fhir/Condition?{{query}}"
    world.server.trap("/Condition", next_is(world, url), times=1)
    assert 0 == world.night().code


def test_a_redirect_to_another_host_is_not_followed(world: World) -> None:
    """The bearer would travel with it."""
    there = {"Location": f"http://{evil(world)}/fhir/Condition"}
    world.server.trap("/Condition", lambda asked: Response(status=307, headers=there))
    night = world.night()
    assert (20, {("*", "Condition")}) == (night.code, world.due())
    assert [] == world.stranger.log
    world.complete()


def test_a_redirect_from_https_to_http_is_not_followed(world: World) -> None:
    """Only the scheme differs, and yet that is another service (here: the other way round)."""
    there = {"Location": world.server.base.replace("http:", "https:") + "/Condition"}
    world.server.trap("/Condition", lambda asked: Response(status=302, headers=there))
    assert 20 == world.night().code
    world.complete()


def test_a_redirect_within_the_service_is_followed(world: World) -> None:
    """A load balancer may move us to another path of the same service."""

    def moved(asked: Asked) -> Response:
        query = asked.url.partition("?")[2]
        there = f"{world.server.base}/Condition/?{query}".replace("/?", "?moved=1&")
        return Response(status=307, headers={"Location": there})

    world.server.trap(
        "/Condition", lambda asked: None if asked.get("moved") else moved(asked), times=10**6
    )
    world.connection["parallel"] = 1
    night = world.night()
    assert (0, world.server.ids()) == (night.code, night.holds)


def test_redirects_in_circles_end(world: World) -> None:
    """Each redirect leads to itself."""
    there = {"Location": world.server.base + "/Condition"}
    world.server.trap("/Condition", lambda asked: Response(status=307, headers=there))
    night = world.night()
    assert (20, True) == (night.code, "circles" in night.says)
    world.complete()


def test_a_redirect_without_a_place_fails_the_slice(world: World) -> None:
    """302 without Location."""
    world.server.trap("/Condition", lambda asked: Response(status=302))
    night = world.night()
    assert (20, True) == (night.code, "redirects to nowhere" in night.says)
    world.complete()


def test_netrc_does_not_replace_our_token(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """requests would send the password of ~/.netrc instead of the bearer."""
    (world.folder / ".netrc").write_text("default login someone password netrc-password\n")
    monkeypatch.setenv("HOME", str(world.folder))
    monkeypatch.setenv("NETRC", str(world.folder / ".netrc"))
    world.night()
    sent = {asked.headers.get("Authorization") for asked in world.server.log}
    assert {"Bearer planted-bearer-token-0123456789"} == sent


def test_proxies_of_the_environment_are_not_used(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy is set in study.toml or not at all."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://{evil(world)}")
    assert (0, []) == (world.night().code, world.stranger.log)
