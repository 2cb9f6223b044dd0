"""Passwords of URLs never reach a file or a message: texts and plain values pass `redact` before they are written."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

HIDDEN = "***"
"""What stands in the place of a password."""
_IN_FRONT = re.compile(r"(?P<head>[a-zA-Z][\w+.-]*://[^\s:/?#@\"<>]*:)[^\s\"<>]*(?P<tail>@)")
_AS_OPTION = re.compile(
    r"(?P<head>[?&][\w-]*(?:password|passwd|token|secret)=)(?:[^\s&#\"'<>]|'(?=[^\s,;:)\]}]))+(?P<tail>)", re.IGNORECASE
)
"""A ' is a sign of a password, except at the end of an option, where it ends a quoted text."""


def redact(text: str) -> str:
    """The text with the password of each URL replaced by ***.

    >>> redact("postgresql://ann:pa/ss@db:5432/x?sslmode=require&password=q cannot be reached")
    'postgresql://ann:***@db:5432/x?sslmode=require&password=*** cannot be reached'
    >>> redact("http://127.0.0.1:5000, mail a@b.c")
    'http://127.0.0.1:5000, mail a@b.c'
    >>> redact("'http://it's:it's@host/?token=it's' fails")
    "'http://it's:***@host/?token=***' fails"
    """
    if "://" not in text:
        return text
    for pattern in (_IN_FRONT, _AS_OPTION):
        text = pattern.sub(rf"\g<head>{HIDDEN}\g<tail>", text)
    return text


def has_bare_at(url: str) -> bool:
    """Whether the user's part of a server's URL holds an @: readers then take a part of the password for the host.

    >>> has_bare_at("postgresql://ann:p@ss@db/x"), has_bare_at("postgresql://ann:p%40ss@db/x"), has_bare_at("a@b@c.db")
    (True, False, False)
    """
    scheme, _, rest = url.partition("://")
    return scheme != "sqlite" and rest.partition("?")[0].count("@") > 1


def redacted(value: Any) -> Any:
    """A plain value with `redact` applied to each text in it."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, Mapping):
        return {name: redacted(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(redacted(one) for one in value)
    return value
