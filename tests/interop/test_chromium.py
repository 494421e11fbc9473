"""Two peer connections in Chromium that may only use relays talk through the server.

The server has no configuration file: its peer policy is `public`, which refuses every address of
this machine, so the call gets through because the relayed address of a live allocation is a good
peer. Each side's only candidate is its relayed address (RFC 8445 §5.1.1).
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import http.server
import os
import random
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.sync_api import Page, sync_playwright

from tests.certificates import Pair, make_pair
from tests.interop.nss import home_that_trusts
from tests.servers import (
    free_port,
    greeting_of,
    program,
    start_server,
    start_with_embedded_defaults,
)

pytestmark = pytest.mark.interop

STARTS_WITHIN: Final = 90.0
PAGE: Final = Path(__file__).with_name("page")
CONTENT: Final = random.Random(8656).randbytes(1024 * 1024)

CHROMIUM_FLAGS: Final = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # Where loopback is the only network, Chromium would find none.
    "--allow-loopback-in-peer-connection",
]

Greeting = dict[str, list[dict[str, Any]]]


class Pages(http.server.SimpleHTTPRequestHandler):
    """The folder `page`, and CONTENT at /content."""

    def do_GET(self) -> None:
        if self.path != "/content":
            super().do_GET()
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Keeps the test's output clean."""


@contextlib.contextmanager
def web_server() -> Iterator[str]:
    serve = functools.partial(Pages, directory=PAGE)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), serve) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            # `localhost` is a secure context, which crypto.subtle asks for.
            yield f"http://localhost:{server.server_port}/"
        finally:
            server.shutdown()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """Whom the browser trusts to sign certificates."""
    return make_pair(tmp_path_factory.mktemp("authority"), name="authority.test", authority=True)


@pytest.fixture(scope="module")
def page(authority: Pair, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    home = home_that_trusts(authority.certificate, tmp_path_factory.mktemp("home"))
    with web_server() as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program("chromium"),
            headless=True,
            args=CHROMIUM_FLAGS,
            timeout=1_000 * STARTS_WITHIN,
            env={**os.environ, "HOME": str(home)},
        )
        with contextlib.closing(browser):
            page = browser.new_page()
            page.goto(url)
            yield page


@pytest.fixture(scope="module")
def greeting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Greeting]:
    """What the server prints for a web page when it starts."""
    server, document = start_with_embedded_defaults(tmp_path_factory.mktemp("defaults"))
    with server:
        yield document


@pytest.fixture(scope="module")
def tls_greeting(authority: Pair, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Greeting]:
    """The same of a server whose certificate the browser's authority has signed."""
    folder = tmp_path_factory.mktemp("tls")
    issuer = (authority.private, authority.issued)
    pair = make_pair(folder, name="localhost", issuer=issuer)
    lines = ["peer-policy=public", "static-auth-secret=north", f"tls-listening-port={free_port()}"]
    command = [str(Path(sys.executable).with_name("ferryman")), "serve", "--greeting"]
    with start_server([*lines, *pair.lines], folder, command=command) as server:
        yield greeting_of(server)


def over(transport: str, greeting: Greeting) -> Greeting:
    """The same greeting, with no other URLs than those of TURN over this transport."""
    return {
        "iceServers": [
            server | {"urls": [url for url in server["urls"] if _is_turn_over(transport, url)]}
            for server in greeting["iceServers"]
            if "credential" in server
        ]
    }


def _is_turn_over(transport: str, url: str) -> bool:
    if transport == "tls":
        return url.startswith("turns:")
    return url.startswith("turn:") and url.endswith(f"?transport={transport}")


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_mebibyte_arrives_whole_on_both_sides(
    transport: str, page: Page, greeting: Greeting
) -> None:
    check_call(page, over(transport, greeting), transport)


def test_a_mebibyte_arrives_whole_on_both_sides_over_tls(
    page: Page, tls_greeting: Greeting
) -> None:
    check_call(page, over("tls", tls_greeting), "tls")


def check_call(page: Page, servers: Greeting, protocol: str) -> None:
    sides = page.evaluate("servers => call(servers)", servers)
    expected = {
        "local": "relay",
        "remote": "relay",
        "relayProtocol": protocol,
        "sha256": hashlib.sha256(CONTENT).hexdigest(),
    }
    assert sides == [expected, expected]
