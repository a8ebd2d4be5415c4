"""Files over HTTP: resumed where they broke off, verified, and whole or absent.

While it is fetched a file is called ``NAME.part``; ``NAME.part.json`` beside it says what the server called this very
version. A server that has another version by now, or cannot begin in the middle, sends it anew.
"""

from __future__ import annotations

import contextlib
import email.message
import errno
import http.client
import json
import re
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from impasto._version import __version__
from impasto.data.fetch.remote import Download, RemoteFile, verified
from impasto.errors import DataError, ResourceError, UsageError
from impasto.runs import write_json
from impasto.runtime import OnProgress, Progress, Stopwatch, free_disk, human_bytes

# Seconds between attempts that brought nothing; after the last the download is given up, what is there is kept.
WAITS = (1.0, 2.0, 4.0, 8.0, 16.0)
ANOTHER_FOLDER = "Name a folder on another disk in the variable IMPASTO_CACHE."
_LONGEST_WAIT = 60.0
_TIMEOUT = 60.0
_CHUNK = 2**18
_PASSING = (408, 425, 429, 500, 502, 503, 504)  # statuses that may be better later
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_PAGE = re.compile(rb"\s*(<!doctype\s+html|<html)", re.IGNORECASE)
_OPENING = 64


class _BrokenError(Exception):
    """The connection brought less than promised; another attempt may bring more."""

    def __init__(self, reason: str, wait: float = 0.0, hopeless: bool = False) -> None:
        super().__init__(reason)
        self.wait, self.hopeless = wait, hopeless


class Transfer:
    """One file on its way into ``part``."""

    def __init__(self, file: RemoteFile, part: Path, hint: str, on_progress: OnProgress) -> None:
        self.file, self.part, self.hint, self.on_progress = file, part, hint, on_progress
        self._state = part.with_name(f"{part.name}.json")
        self._watch, self._told, self._received = Stopwatch(), 0.0, 0

    def run(self, path: Path) -> Download:
        """Fetch the file, verify it, and give it its name."""
        resumed = self._have() > 0
        self._fetch()
        try:
            found = verified(self.file, self.part, self.hint)
        except DataError:
            self._forget()
            if not resumed:
                raise
            return self.run(path)  # what lay there from before was of another version
        self.part.replace(path)
        self._state.unlink(missing_ok=True)
        return Download(path, found.url, found.size, found.sha256, found.checksum)

    def _fetch(self) -> None:
        failures = 0
        while True:
            before = self._have()
            try:
                return self._attempt()
            except _BrokenError as error:
                failures = 0 if self._have() > before else failures + 1
                if failures > len(WAITS) - 1 or (error.hopeless and not self._received):
                    raise DataError(
                        f"{self.file.name} could not be fetched from {self.file.url}: {error}.", self.hint
                    ) from error
                time.sleep(max(error.wait, WAITS[failures]))

    def _attempt(self) -> None:
        """Ask once for what is missing, and append what comes."""
        start, (validator, promised) = self._have(), self._former()
        if start and start == (self.file.size or promised):
            return
        if start and not validator and not (self.file.md5 or self.file.sha256):
            self._forget()  # nobody could tell whether the two halves belong together
            start = 0
        with self._opened(start, validator) as response:
            if response.status != 206:
                start = 0
            total = self._total(response, start)
            if start == 0:
                self._forget()
            write_json(self._state, {"url": self.file.url, "validator": _validator(response.headers), "total": total})
            self._require_room(total - start)
            self._append(response, start, total)

    @contextlib.contextmanager
    def _opened(self, start: int, validator: str) -> Iterator[http.client.HTTPResponse]:
        # Compressed on the way, byte numbers would count something else.
        headers = {"User-Agent": f"impasto/{__version__}", "Accept-Encoding": "identity"}
        if start:
            headers |= {"Range": f"bytes={start}-"} | ({"If-Range": validator} if validator else {})
        request = urllib.request.Request(self.file.url, headers=headers)
        with self._network():
            response = _OPENER.open(request, timeout=_TIMEOUT)
        with response:
            yield response

    @contextlib.contextmanager
    def _network(self) -> Iterator[None]:
        """Sort what goes wrong into what may pass and what will not."""
        try:
            yield
        except urllib.error.HTTPError as error:
            self._judge_status(error)
        except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
            reason = error.reason if isinstance(error, urllib.error.URLError) else error
            raise _BrokenError(str(reason) or type(reason).__name__, hopeless=_is_offline(reason)) from error

    def _judge_status(self, error: urllib.error.HTTPError) -> None:
        with error:
            reason = f"the server answers {error.code} {error.reason}"
            if error.code == 416:  # it has no such bytes: the part is of another version
                self._forget()
                raise _BrokenError(reason) from error
            if error.code in _PASSING:
                raise _BrokenError(reason, _seconds(error.headers.get("Retry-After", ""))) from error
        raise DataError(f"{self.file.name} could not be fetched from {self.file.url}: {reason}.", self.hint) from error

    def _total(self, response: http.client.HTTPResponse, start: int) -> int:
        """Return how many bytes the whole file has, 0 where the server does not say."""
        content = response.headers.get_content_type()
        if content in ("text/html", "application/xhtml+xml"):
            self._refuse_page()
        promised = response.headers.get("Content-Length", "")
        total = start + int(promised) if promised.isdigit() else 0
        if start:
            found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
            if not found or int(found[1]) != start:
                self._forget()
                raise _BrokenError("the server sent another part than the one that was asked for")
            total = int(found[2]) if found[2] != "*" else total
        if total and self.file.size and total != self.file.size:
            raise DataError(
                f"{self.file.url} offers {total:,} bytes, the published file has {self.file.size:,}.", self.hint
            )
        return total or self.file.size

    def _append(self, response: http.client.HTTPResponse, start: int, total: int) -> None:
        with self._room(), self.part.open("ab" if start else "wb") as target:
            done, opening = start, b""
            while data := self._read(response):
                if start == 0 and len(opening) < _OPENING:
                    opening += data[:_OPENING]
                    if _PAGE.match(opening):
                        self._forget()
                        self._refuse_page()
                target.write(data)
                done += len(data)
                self._received += len(data)
                self._tell(done, total)
        if total and done < total:
            raise _BrokenError(f"it ended after {human_bytes(done)} of {human_bytes(total)}")
        self._tell(done, total, last=True)

    def _read(self, response: http.client.HTTPResponse) -> bytes:
        with self._network():
            return response.read1(_CHUNK)

    def _refuse_page(self) -> None:
        raise DataError(f"{self.file.url} sent a web page in place of {self.file.name}.", self.hint)

    def _have(self) -> int:
        return self.part.stat().st_size if self.part.is_file() else 0

    def _forget(self) -> None:
        self.part.unlink(missing_ok=True)
        self._state.unlink(missing_ok=True)

    def _former(self) -> tuple[str, int]:
        """Return what the server called the version that the part is of, and its bytes; ("", 0) if that is unknown."""
        try:
            state = json.loads(self._state.read_text(encoding="utf-8"))
            return (str(state["validator"]), int(state["total"])) if state["url"] == self.file.url else ("", 0)
        except (OSError, ValueError, KeyError, TypeError):
            return "", 0

    def _require_room(self, needed: int) -> None:
        room = free_disk(self.part.parent)
        if needed > room:
            raise ResourceError(
                f"{self.file.name} needs {human_bytes(needed)} more, {self.part.parent} has {human_bytes(room)} free.",
                ANOTHER_FOLDER,
            )

    @contextlib.contextmanager
    def _room(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno in _NO_ROOM:
                raise ResourceError(f"the disk is full: {self.part}.", "Free some space and run it again.") from error
            raise UsageError(f"{self.part} could not be written: {error.strerror}.", ANOTHER_FOLDER) from error

    def _tell(self, done: int, total: int, *, last: bool = False) -> None:
        now = self._watch.seconds
        if not last and now - self._told < 0.2:
            return
        self._told, speed = now, self._received / max(now, 1e-9) / 2**20
        whole = max(done, total) >> 20
        self.on_progress(Progress(self.file.name, whole if last else done >> 20, whole, {"MB/s": speed}, "MB"))


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follow redirects, but not from an encrypted connection to an open one."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        if req.full_url.startswith("https:") and not newurl.startswith("https:"):
            raise DataError(f"{req.full_url} leads to {newurl}, which is not encrypted.")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


_OPENER = urllib.request.build_opener(_Redirects)


def _validator(headers: email.message.Message) -> str:
    """Return what names this version of a file in ``If-Range``; a weak tag may not."""
    tag = headers.get("ETag", "")
    return tag if tag.startswith('"') else headers.get("Last-Modified", "")


def _seconds(text: str) -> float:
    return min(float(text), _LONGEST_WAIT) if text.isdigit() else 0.0


def _is_offline(reason: object) -> bool:
    """Whether there is no way to the server at all, so that waiting some seconds is no use."""
    unreachable = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ECONNREFUSED)
    return isinstance(reason, socket.gaierror) or (isinstance(reason, OSError) and reason.errno in unreachable)
