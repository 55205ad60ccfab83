"""A server on loopback that answers like the Hugging Face Hub, GitHub's raw files and PSDI, and can fail.

Large files are redirected to another host name, as the Hub redirects to its CDN; their digest is in the
``X-Linked-Etag`` header.  JSON files count as small: they come from the Hub itself, under a Git digest.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

COMMIT = "c0ffee" + "0" * 34


@dataclass
class Fault:
    """What is done to requests of paths that contain ``where``, ``times`` times."""

    where: str
    times: float = 1
    status: int | None = None
    code: str | None = None
    cut_at: int | None = None  # bytes of the whole file


@dataclass
class Hub:
    """What the server holds, what it has been asked, and how it misbehaves.

    Attributes:
        files: content by ``<organisation>/<repository>/<path>``.
        sent: content that is sent in place of the true one.
        faults: used up in order.
        commit: what files are said to be of, in place of the commit asked for.
        asked: method, path and headers of every request.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    sent: dict[str, bytes] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    asked: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    commit: str = ""
    url: str = ""

    @property
    def cdn(self) -> str:
        return self.url.replace("127.0.0.1", "localhost")

    @property
    def environment(self) -> dict[str, str]:
        return {
            "HF_ENDPOINT": self.url,
            "GOLDILOCKS_GITHUB": f"{self.url}/raw",
            "GOLDILOCKS_PSDI": f"{self.url}/psdi",
        }

    def ranges(self) -> list[str | None]:
        """The range that each request to the CDN asked for."""
        return [headers.get("range") for _, path, headers in self.asked if path.startswith("/cdn/")]

    def fault(self, path: str) -> Fault | None:
        for fault in self.faults:
            if fault.where in path and fault.times > 0:
                fault.times -= 1
                return fault
        return None

    def add_folder(self, folder: Path) -> None:
        """Everything in a folder laid out ``<organisation>/<repository>/<path>``."""
        for path in folder.rglob("*"):
            if path.is_file():
                self.files[path.relative_to(folder).as_posix()] = path.read_bytes()


def _handler(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_arguments: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self._answer(body=False)

        def do_GET(self) -> None:
            self._answer(body=True)

        def _answer(self, *, body: bool) -> None:
            path = unquote(urlsplit(self.path).path)
            hub.asked.append((self.command, path, {k.lower(): v for k, v in self.headers.items()}))
            fault = hub.fault(path)
            if fault is not None and fault.status is not None:
                return self._send(fault.status, {"X-Error-Code": fault.code} if fault.code else {}, b"")
            cut_at = fault.cut_at if fault else None
            if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)(/revision/[^/]+)?", path):
                return self._listing(found[1])
            if found := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
                commit = found[2] if re.fullmatch("[0-9a-f]{40}", found[2]) else COMMIT
                return self._resolved(f"{found[1]}/{found[3]}", hub.commit or commit, body)
            if found := re.fullmatch(r"/cdn/(.+)", path):
                return self._content(hub.sent.get(found[1]) or hub.files[found[1]], body, cut_at)
            if found := re.fullmatch(r"/raw/([^/]+/[^/]+)/[0-9a-f]{40}/(.+)", path):
                key = f"{found[1]}/{found[2]}"
                if key in hub.files:
                    return self._content(hub.sent.get(key) or hub.files[key], body, cut_at)
            if found := re.fullmatch(r"/psdi/api/records/([^/]+)/files/([^/]+)/content", path):
                key = f"PSDI/{found[1]}/{found[2]}"
                if key in hub.files:  # as where its storage is elsewhere
                    return self._send(302, {"Location": f"{hub.cdn}/cdn/{key}"}, b"")
            return self._send(404, {"X-Error-Code": "EntryNotFound"}, b"")

        def _listing(self, repository: str) -> None:
            beginning = repository + "/"
            names = [key.removeprefix(beginning) for key in hub.files if key.startswith(beginning)]
            answer = {"id": repository, "sha": COMMIT, "siblings": [{"rfilename": name} for name in names]}
            self._send(200, {"Content-Type": "application/json"}, json.dumps(answer).encode())

        def _resolved(self, key: str, commit: str, body: bool) -> None:
            if key not in hub.files:
                return self._send(404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit}, b"")
            data = hub.files[key]
            if key.endswith(".json"):
                git = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
                return self._content(data, body, None, {"ETag": f'"{git}"', "X-Repo-Commit": commit})
            headers = {
                "Location": f"{hub.cdn}/cdn/{key}",
                "X-Linked-Etag": f'"{hashlib.sha256(data).hexdigest()}"',
                "X-Linked-Size": str(len(data)),
                "X-Repo-Commit": commit,
            }
            return self._send(302, headers, b"")

        def _content(
            self, data: bytes, body: bool, cut_at: int | None, more: dict[str, str] | None = None
        ) -> None:
            start, headers = 0, dict(more or {})
            if asked := re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", "")):
                start = int(asked[1])
                headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
            headers["Content-Length"] = str(len(data) - start)
            stop = len(data) if cut_at is None else max(start, cut_at)
            self._send(206 if asked else 200, headers, data[start:stop] if body else b"")
            self.close_connection = self.close_connection or cut_at is not None

        def _send(self, status: int, headers: dict[str, str], data: bytes) -> None:
            self.send_response(status)
            for name, value in ({"Content-Length": str(len(data))} | headers).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

    return Handler


@contextmanager
def serving() -> Iterator[Hub]:
    """The server, for the length of a block."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(hub))
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
