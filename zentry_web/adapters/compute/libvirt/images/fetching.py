"""Fetching a file by https from a host that is allowed, in pieces that can be gone on with after a break or a kill.

The address is looked up here and the connection goes to what was found: so no name can lead to a private address, not
by a redirect and not by another answer of its name server a moment later.
"""

import http.client
import ipaddress
import json
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin, urlsplit

from zentry_web.adapters.compute.base import ComputeRefused
from zentry_web.adapters.compute.images import ImageLimits
from zentry_web.adapters.compute.watch import Watch

CHUNK = 1024 * 1024
MOST_REDIRECTS = 5
REDIRECTS = (301, 302, 303, 307, 308)
_BROKEN = (OSError, http.client.HTTPException)  # worth another try


@dataclass
class _Part:
    """What is there of a file, and what tells whether the server still has the same one."""

    path: Path
    mark: str = ""  # the server's ETag or date
    total: int = 0  # 0: not told

    @property
    def notes(self) -> Path:
        return self.path.with_suffix(".notes")

    @property
    def size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def read(self) -> None:
        """Go on with what an earlier attempt left."""
        try:
            notes = json.loads(self.notes.read_text())
            self.mark, self.total = str(notes["mark"]), int(notes["total"])
        except (OSError, ValueError, KeyError, TypeError):
            self.clear()

    def write(self, mark: str, total: int) -> None:
        self.mark, self.total = mark, total
        self.notes.write_text(json.dumps({"mark": mark, "total": total}))

    def clear(self) -> None:
        """Begin anew."""
        self.path.unlink(missing_ok=True)
        self.mark, self.total = "", 0


def fetch(url: str, path: Path, limits: ImageLimits, watch: Watch) -> None:
    """Bring the file at ``url`` to ``path``. Raises ComputeRefused with the reason, Stopped (then what came is
    kept, and the next call goes on from there)."""
    part = _Part(path)
    part.read()
    ends = time.monotonic() + limits.fetch_seconds
    failures = 0
    while True:
        before = part.size
        try:
            _fetch_more(url, part, limits, watch, ends)
            return
        except ssl.SSLCertVerificationError as error:
            raise ComputeRefused(f"The server’s certificate is not good: {error.verify_message}.") from error
        except _BROKEN as error:
            failures = 0 if part.size > before else failures + 1
            if failures >= limits.tries:
                raise ComputeRefused(_words(error, part)) from error
        _rest(limits.pause_seconds, watch)


def _rest(seconds: float, watch: Watch) -> None:
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        watch.check()
        time.sleep(min(0.2, seconds))


def _words(error: Exception, part: _Part) -> str:
    if isinstance(error, TimeoutError):
        return "The server stopped sending: nothing came any more, also when asked again."
    if isinstance(error, http.client.IncompleteRead):
        return f"The server ended after {part.size} of {part.total} bytes, also when asked for the rest."
    return f"The server cannot be reached: {error}."


def _fetch_more(url: str, part: _Part, limits: ImageLimits, watch: Watch, ends: float) -> None:
    begin = part.size
    with closing(_Answer(url, begin, part.mark, limits)) as answer:
        if begin and answer.status == http.client.OK and answer.mark == part.mark:
            part.clear()  # a server that cannot go on in the middle
            begin = 0
        if part.mark and answer.mark != part.mark:
            raise ComputeRefused("The file on the server changed while it was being fetched. Start anew.")
        if begin and answer.first != begin:
            raise ComputeRefused("The server went on at another place of the file than it was asked for.")
        total = answer.total
        if part.total and total and total != part.total:
            raise ComputeRefused("The server told another length of the file than before.")
        if total > limits.most_bytes:
            raise ComputeRefused(_too_large(limits))
        part.write(answer.mark, total)
        with part.path.open("ab") as file:
            for chunk in answer.chunks():
                watch.check()
                begin += len(chunk)
                if begin > limits.most_bytes:
                    raise ComputeRefused(_too_large(limits))
                if time.monotonic() > ends:
                    raise ComputeRefused("It took too long to fetch the file.")
                file.write(chunk)
                watch.done(begin, total)
        if total and part.size != total:
            raise http.client.IncompleteRead(b"", total - part.size)


def _too_large(limits: ImageLimits) -> str:
    return f"The file is larger than {limits.most_bytes // 1024**3} GiB, the most that is allowed."


class _Answer:
    """The answer to a request for a file from byte ``begin`` on, after whatever redirects."""

    def __init__(self, url: str, begin: int, mark: str, limits: ImageLimits) -> None:
        headers = {"User-Agent": "Zentry", "Accept-Encoding": "identity"}
        if begin and mark:
            headers |= {"Range": f"bytes={begin}-", "If-Range": mark}
        for _hop in range(MOST_REDIRECTS + 1):
            self._connection = _connect(url, limits)
            parts = urlsplit(url)
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            try:
                self._connection.request("GET", target, headers=headers)
                self._response = self._connection.getresponse()
            except BaseException:
                self._connection.close()
                raise
            self.status = self._response.status
            location = self._response.headers.get("Location")
            if self.status not in REDIRECTS or not location:
                break
            self._connection.close()
            url = urljoin(url, location)
        else:
            raise ComputeRefused("The server leads from one address to the next without end.")
        if self.status not in (http.client.OK, http.client.PARTIAL_CONTENT):
            self._connection.close()
            if self.status >= http.client.INTERNAL_SERVER_ERROR:
                raise http.client.HTTPException(f"it answers {self.status}")
            raise ComputeRefused(f"The server answers {self.status} {self._response.reason}.".replace(" .", "."))
        self.mark = self._response.headers.get("ETag") or self._response.headers.get("Last-Modified") or ""
        if self.mark.startswith("W/"):  # a weak one does not tell bytes apart
            self.mark = self._response.headers.get("Last-Modified") or ""
        self.first, self.total = self._range()

    def _range(self) -> tuple[int, int]:
        """Which byte comes first, and how long the whole file is (0: not told)."""
        length = self._response.headers.get("Content-Length", "")
        told = int(length) if length.isascii() and length.isdigit() else 0
        if self.status == http.client.OK:
            return 0, told
        unit, _, rest = self._response.headers.get("Content-Range", "").partition(" ")
        span, _, whole = rest.partition("/")
        first = span.partition("-")[0]
        if unit != "bytes" or not first.isdigit():
            raise ComputeRefused("The server does not say which part of the file it sends.")
        return int(first), int(whole) if whole.isdigit() else int(first) + told

    def chunks(self) -> Iterator[bytes]:
        while chunk := self._response.read(CHUNK):
            yield chunk

    def close(self) -> None:
        self._connection.close()


def _connect(url: str, limits: ImageLimits) -> http.client.HTTPSConnection:
    """A connection to the host of ``url``, at an address that is allowed. Raises ComputeRefused."""
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").lower(), parts.port or 443
    except ValueError:
        raise ComputeRefused("That is no address that a file can be fetched from.") from None
    if parts.scheme != "https" or not host or parts.username is not None:
        raise ComputeRefused(f"The server leads to {parts.scheme or 'no'}://{host}, and only https is followed.")
    if not limits.allows(host):
        raise ComputeRefused(f"{host} is not among the hosts that images may come from.")
    address = _resolve(host, port, limits)
    context = ssl.create_default_context(cafile=str(limits.ca_file) if limits.ca_file else None)
    connection = http.client.HTTPSConnection(host, port, timeout=limits.stall_seconds, context=context)
    plain = socket.create_connection((address, port), timeout=limits.stall_seconds)
    try:
        connection.sock = context.wrap_socket(plain, server_hostname=host)
    except BaseException:
        plain.close()
        raise
    return connection


def _resolve(host: str, port: int, limits: ImageLimits) -> str:
    networks = [ipaddress.ip_network(network) for network in limits.networks]
    for *_rest, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        found = ipaddress.ip_address(str(address[0]).partition("%")[0])
        mapped = getattr(found, "ipv4_mapped", None) or found
        if (mapped.is_global and not mapped.is_multicast) or any(mapped in network for network in networks):
            return str(found)
    raise ComputeRefused(f"{host} is at a private address, and Zentry fetches nothing from there.")
