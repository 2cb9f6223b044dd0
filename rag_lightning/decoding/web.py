"""JSON over HTTP from a server that may be slow, overloaded, gone, or no such server: bounded in time and in size."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from io import BufferedReader, RawIOBase
from socket import socket
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPHandler, HTTPRedirectHandler, HTTPSHandler, Request, build_opener

from rag_lightning.core.compression import LONGEST
from rag_lightning.core.errors import ConfigError, ServerError
from rag_lightning.core.files import UNREADABLE
from rag_lightning.core.plain import clean, shorten
from rag_lightning.core.redact import HIDDEN, redact

KEY = "OPENAI_API_KEY"
"""Environment variable with the server's key; it is in no configuration, message or record."""
WAITS = (0.2, 0.4, 0.8, 1.6)
"""Seconds before each new attempt at a server that cannot be reached or is overloaded: four, three seconds in all."""
AGAIN = {408, 429, 500, 502, 503, 504}
"""HTTP status codes of a server that may answer later."""
ENOUGH = 1 << 20
"""Bytes of an error that are read."""
NOT_ONE = "is it the URL of an OpenAI-compatible server?"


def check_url(url: str) -> None:
    """Raise ConfigError for an address of another kind than http://HOST:PORT/v1, or one with a password."""
    if "@" in url:
        raise ConfigError(f"decoding.server: holds a user or password; put a key into {KEY}")
    try:
        parts = urlsplit(url)
        plain = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and url.isascii()
        (parts.hostname or "").encode("idna")  # as a socket does
    except ValueError:  # a port, IPv6 address or name that is none
        plain = False
    if not plain or re.search(r"[^!-~]|[?#]", url):
        shown = re.sub(r"[?#].*", "…", clean(url))  # a query may hold a key
        raise ConfigError(f"decoding.server={shorten(shown, 200)}: must be http://HOST:PORT/v1")


def quoted(text: object, longest: int = 200) -> str:
    """What a server says, as a message shows it: cut, and without the key, which it may repeat."""
    said, key = redact(clean(str(text))), os.environ.get(KEY, "")
    return shorten(said.replace(key, HIDDEN) if key else said, longest)


def ask(url: str, what: str, body: Mapping[str, Any] | None, timeout: float) -> dict[str, Any]:
    """The JSON object that a server answers; one that cannot be reached is tried again for some seconds.

    Args:
        url: Its address.
        what: Path under the address.
        body: The object to post; None to get.
        timeout: Seconds to wait for the whole answer.

    Raises:
        ConfigError: the key in the environment is none.
        ServerError: it does not answer, refuses, or answers something else.
    """
    request = Request(f"{url.rstrip('/')}/{what}", None if body is None else json.dumps(body).encode(), _headers())
    shown = redact(f"server {url}")
    for wait in (*WAITS, None):
        try:
            return _once(request, shown, timeout)
        except _Unreached as error:
            if wait is None:
                tried = f"{len(WAITS) + 1} times tried"
                raise ServerError(f"{shown}: {error}, {tried}; start it and run again") from error
            time.sleep(wait)
    raise AssertionError


def _headers() -> dict[str, str]:
    headers, key = {"Content-Type": "application/json"}, os.environ.get(KEY, "")
    if re.search(r"[^!-~]", key):
        raise ConfigError(f"{KEY}: holds a space, a line end or another sign that no key has; set it again")
    return headers | ({"Authorization": f"Bearer {key}"} if key else {})


def _once(request: Request, shown: str, timeout: float) -> dict[str, Any]:
    """One attempt; raises _Unreached if another one may succeed."""
    try:
        with _OPENER.open(request, timeout=timeout) as answer:
            text = answer.read(LONGEST + 1)
        if len(text) > LONGEST:
            raise ServerError(f"{shown}: answers more than {LONGEST >> 20} MiB")
        found = json.loads(text)
    except TimeoutError as error:
        remedy = "raise decoding.server_timeout, or look at the server"
        raise ServerError(f"{shown}: gives no answer within {timeout:g} s; {remedy}") from error
    except HTTPError as error:
        problem = f"{error.code} {quoted(error.reason, 80)}{_reason(error)}"
        if error.code in AGAIN:
            raise _Unreached(problem) from error
        raise ServerError(f"{shown}: {problem}") from error
    except (URLError, HTTPException, OSError) as error:
        reason = getattr(error, "reason", error)
        raise _Unreached(f"does not answer ({quoted(reason)})") from error
    except UNREADABLE as error:
        raise ServerError(f"{shown}: does not answer JSON ({clean(str(error))}); {NOT_ONE}") from error
    if not isinstance(found, dict):
        raise ServerError(f"{shown}: does not answer a JSON object; {NOT_ONE}")
    return found


def _reason(error: HTTPError) -> str:
    """What the server says about an error, as the end of a message."""
    try:
        with error:
            said = json.loads(error.read(ENOUGH))
        said = said.get("error", said)
        text = said.get("message", "") if isinstance(said, Mapping) else said
    except (AttributeError, OSError, HTTPException, *UNREADABLE):
        return ""
    return f": {quoted(text)}" if text else ""


class _Unreached(Exception):
    """A server that may answer later."""


class _Stay(HTTPRedirectHandler):
    """Follows no redirection: the key would go with it, to whatever host it names."""

    def redirect_request(self, *given: Any) -> None:
        """Leave the redirection as the error that it is."""


class _Until(RawIOBase):
    """What a socket sends until its timeout is over, which otherwise each byte of a slow server begins anew."""

    def __init__(self, sent: RawIOBase, connection: socket) -> None:
        self._sent, self._socket = sent, connection
        self._ends = time.monotonic() + (connection.gettimeout() or 0)

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, room: Any) -> int | None:
        """As that of the socket; raises TimeoutError."""
        if (left := self._ends - time.monotonic()) <= 0:
            raise TimeoutError
        self._socket.settimeout(left)
        return self._sent.readinto(room)

    def close(self) -> None:
        """Close the socket's file, too."""
        self._sent.close()
        super().close()


class _Answer(HTTPResponse):
    """An answer whose status, headers and body arrive within one timeout."""

    def __init__(self, sock: socket, *given: Any, **named: Any) -> None:
        super().__init__(sock, *given, **named)
        self.fp = BufferedReader(_Until(self.fp.detach(), sock))


class _Plain(HTTPHandler):
    class Connection(HTTPConnection):
        """One whose answers are bounded in time."""

        response_class = _Answer

    def http_open(self, req: Request) -> Any:
        """As that of HTTPHandler."""
        return self.do_open(self.Connection, req)


class _Secure(HTTPSHandler):
    class Connection(HTTPSConnection):
        """One whose answers are bounded in time."""

        response_class = _Answer

    def https_open(self, req: Request) -> Any:
        """As that of HTTPSHandler."""
        return self.do_open(self.Connection, req)


_OPENER = build_opener(_Stay, _Plain, _Secure)
