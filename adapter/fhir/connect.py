"""Open a server: what it offers, and the planner and searcher that fit it."""

import time
from collections.abc import Callable
from typing import NamedTuple

from adapter.config import Settings
from adapter.fhir.capabilities import Capabilities, read_capabilities
from adapter.fhir.client import Client
from adapter.fhir.plan import Planner
from adapter.fhir.search import Searcher


class Server(NamedTuple):
    """An open server."""

    client: Client
    offers: Capabilities
    planner: Planner
    searcher: Searcher


def connect(
    settings: Settings,
    *,
    sleep: Callable[[float], None] = time.sleep,
    now: Callable[[], float] = time.time,
) -> Server:
    """Open the server of the settings; close it with `server.client.close()`."""
    client = Client(settings, sleep=sleep, clock=now)
    try:
        offers = read_capabilities(client)
    except BaseException:
        client.close()
        raise
    return Server(
        client, offers, Planner(settings.connection, client.quirks, offers), Searcher(client)
    )
