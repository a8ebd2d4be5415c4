"""A server of files on this machine that can do what servers do: ranges, broken connections, pages, other versions."""

from __future__ import annotations

import contextlib
import hashlib
import io
import re
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
from PIL import Image


def picture(seed: int, size: tuple[int, int] = (32, 24), kind: str = "JPEG") -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, kind)
    return data.getvalue()


def zip_bytes(files: dict[str, bytes]) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return data.getvalue()


def tar_bytes(files: dict[str, bytes], mode: str = "w:gz") -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode=mode) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return data.getvalue()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@dataclass
class Served:
    """A file: its bytes, and how it is served. ``breaks`` and ``statuses`` are used up, one a request."""

    data: bytes
    kind: str = "application/octet-stream"
    etag: str = '"one"'
    ranges: bool = True
    length: bool = True
    breaks: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Server:
    """Files by path, and the requests that came: method, path, range."""

    url: str
    files: dict[str, Served]
    requests: list[tuple[str, str, str]]

    def asked(self, path: str, method: str = "GET") -> list[str]:
        """The ranges asked for in each request of a path."""
        return [each[2] for each in self.requests if each[:2] == (method, path)]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    files: dict[str, Served]
    requests: list[tuple[str, str, str]]

    def do_GET(self) -> None:
        self.answer(body=True)

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.answer(body=True)

    def answer(self, body: bool) -> None:
        path = self.path.split("?")[0]
        asked = self.headers.get("Range", "")
        self.requests.append((self.command, path, asked))
        file = self.files.get(path)
        if file is None:
            return self.give(404, b"no such file", {}, body)
        if file.statuses and (status := file.statuses.pop(0)) != 200:
            return self.give(status, b"later" if status >= 400 else b"", file.headers, body)
        start = int(found[1]) if (found := re.fullmatch(r"bytes=(\d+)-", asked)) and file.ranges else 0
        if start and self.headers.get("If-Range", file.etag) != file.etag:
            start = 0
        if start >= max(1, len(file.data)):
            return self.give(416, b"", {"Content-Range": f"bytes */{len(file.data)}"}, body)
        headers = {"Content-Type": file.kind, "ETag": file.etag}
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(file.data) - 1}/{len(file.data)}"
        headers |= file.headers
        stop = file.breaks.pop(0) if file.breaks and body else None
        return self.give(206 if start else 200, file.data[start:], headers, body, stop, file.length)

    def give(
        self,
        status: int,
        data: bytes,
        headers: dict[str, str],
        body: bool,
        stop: int | None = None,
        length: bool = True,
    ) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if length:
            self.send_header("Content-Length", str(len(data)))
        else:
            self.close_connection = True
        self.end_headers()
        if body:
            self.wfile.write(data[:stop])
        if stop is not None:
            self.wfile.flush()
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextlib.contextmanager
def serving() -> Iterator[Server]:
    """Serve on a free port of this machine."""
    files: dict[str, Served] = {}
    requests: list[tuple[str, str, str]] = []
    handler = type("Handler", (_Handler,), {"files": files, "requests": requests})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield Server(f"http://127.0.0.1:{server.server_port}", files, requests)
        server.shutdown()
        thread.join()


def tree(folder: Path) -> dict[str, bytes]:
    """All files below a folder by their path."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
