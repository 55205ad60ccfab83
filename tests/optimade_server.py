"""A real OPTIMADE server on loopback, and a proxy before it that does what networks and servers do wrong.

The server is that of optimade-python-tools with its in-memory database, in a process of its own.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

__all__ = ["Answer", "Proxy", "entry", "proxied", "serving"]

#: Entries of a page where nothing else is asked for, and at most.
PAGE = 20


def entry(name: str, pair: tuple[str, str] = ("Cs", "Cl"), edge: float = 4.12, **more: Any) -> dict[str, Any]:
    """A cubic crystal of two atoms as an entry of a database."""
    symbols = sorted(set(pair))
    return {
        "id": name,
        "type": "structures",
        "attributes": {
            "last_modified": "2026-01-02T03:04:05Z",
            "elements": symbols,
            "nelements": len(symbols),
            "elements_ratios": [1 / len(symbols)] * len(symbols),
            "chemical_formula_descriptive": "".join(pair),
            "chemical_formula_reduced": "".join(symbols),
            "chemical_formula_anonymous": "AB" if len(symbols) == 2 else "A",
            "dimension_types": [1, 1, 1],
            "nperiodic_dimensions": 3,
            "lattice_vectors": [[edge, 0.0, 0.0], [0.0, edge, 0.0], [0.0, 0.0, edge]],
            "cartesian_site_positions": [[0.0, 0.0, 0.0], [edge / 2] * 3],
            "nsites": 2,
            "species_at_sites": list(pair),
            "species": [{"name": s, "chemical_symbols": [s], "concentration": [1.0]} for s in symbols],
            "structure_features": [],
            **more,
        },
    }


@contextlib.contextmanager
def serving(entries: list[dict[str, Any]], folder: Path) -> Iterator[str]:
    """Serve entries; gives the base URL."""
    lines = [{"x-optimade": {"meta": {"api_version": "1.1.0"}}}, *entries]
    data = folder / "entries.jsonl"
    data.write_text("\n".join(map(json.dumps, lines)) + "\n", encoding="utf-8")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = {
        "insert_from_jsonl": str(data),
        "insert_test_data": False,
        "database_backend": "mongomock",
        "page_limit": PAGE,
        "page_limit_max": PAGE,
    }
    (folder / "server.json").write_text(json.dumps(settings), encoding="utf-8")
    environment = os.environ | {
        "OPTIMADE_CONFIG_FILE": str(folder / "server.json"),
        "OPTIMADE_LOG_LEVEL": "error",
        "PYTHONWARNINGS": "ignore",
    }
    command = [sys.executable, "-m", "uvicorn", "optimade.server.main:app", "--port", str(port)]
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--log-level", "error"], env=environment, stdout=log, stderr=log
        )
    try:
        _wait_for(port, server, folder / "server.log")
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(20)


def _wait_for(port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and server.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.1)
    raise RuntimeError(f"the server did not start: {log.read_text(errors='replace')[-2000:]}")


class Answer:
    """What the proxy gives in place of the server's answer.

    Attributes:
        status: of HTTP.
        body: bytes.
        headers: of the answer.
        cut: bytes of the body after which the connection is broken off.
        drip: s between two bytes of the body.
        change: changes the server's own answer, as JSON.
    """

    def __init__(
        self,
        status: int = 200,
        body: bytes | str = b"",
        headers: dict[str, str] | None = None,
        *,
        cut: int | None = None,
        drip: float = 0.0,
        change: Callable[[dict[str, Any]], None] | None = None,
    ) -> None:
        self.status, self.headers, self.cut, self.drip, self.change = status, headers or {}, cut, drip, change
        self.body = body.encode() if isinstance(body, str) else body


class Proxy:
    """What was asked through a proxy, and what it does wrong.

    Attributes:
        url: of the proxy.
        asked: paths with queries, in order.
        fault: given the number of the question for structures, from 0, and its path; None to pass it on.
        info: changes what the server says of itself.
        delay: s before each answer.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.asked: list[str] = []
        self.fault: Callable[[int, str], Answer | None] = lambda _number, _path: None
        self.info: Callable[[dict[str, Any]], None] = lambda _content: None
        self.delay = 0.0

    @property
    def pages(self) -> list[str]:
        """Questions for structures."""
        return [path for path in self.asked if "/structures" in path]


@contextlib.contextmanager
def proxied(server_url: str) -> Iterator[Proxy]:
    """A proxy before a server."""
    host, port = server_url.removeprefix("http://").split(":")
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Say nothing."""

        def do_GET(self) -> None:
            with lock:
                number = len(proxy.pages)
                proxy.asked.append(self.path)
            about = Answer(change=proxy.info)  # licences are said here: the server looks theirs up
            fault = proxy.fault(number, self.path) if "/structures" in self.path else about
            time.sleep(proxy.delay)
            if fault is None or fault.change is not None:
                answer = self._passed_on()
                if fault is not None and fault.change is not None:
                    content = json.loads(answer.body)
                    fault.change(content)
                    answer.body = json.dumps(content).encode()
            else:
                answer = fault
            with contextlib.suppress(OSError):
                self._give(answer)

        def _passed_on(self) -> Answer:
            connection = http.client.HTTPConnection(host, int(port), timeout=60)
            connection.request("GET", self.path, headers={"Host": self.headers["Host"]})
            response = connection.getresponse()
            body = response.read()
            connection.close()
            return Answer(response.status, body, {"Content-Type": "application/json"})

        def _give(self, answer: Answer) -> None:
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            if answer.drip:
                for byte in answer.body:
                    self.wfile.write(bytes([byte]))
                    self.wfile.flush()
                    time.sleep(answer.drip)
                return
            self.wfile.write(answer.body if answer.cut is None else answer.body[: answer.cut])
            if answer.cut is not None:
                self.close_connection = True

    front = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    front.daemon_threads = True
    proxy = Proxy(f"http://127.0.0.1:{front.server_address[1]}")
    thread = threading.Thread(target=front.serve_forever, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        front.shutdown()
        front.server_close()
        thread.join(10)
