"""Calls in a thread of their own: one that is repeated while a block runs, and one that may never end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")


@contextmanager
def repeated(
    call: Callable[[], object], seconds: float, name: str, before: Callable[[], object] = lambda: None
) -> Iterator[None]:
    """Call a function every few seconds, in a thread of its own, until the block ends; it must not raise.

    Args:
        call: Function to call; the last call ends before the block does.
        seconds: Time before the first call and between two calls.
        name: Name of the thread.
        before: Called in the thread at its start.
    """
    ended = threading.Event()

    def work() -> None:
        before()
        while not ended.wait(seconds):
            call()

    thread = threading.Thread(target=work, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def within(seconds: float, call: Callable[[], T]) -> T:
    """What a call returns that may never end, nor be interrupted.

    Raises:
        RuntimeError: the call raised it.
        TimeoutError: the call has not ended; it is left to itself, and does not keep the process.
    """
    found: Future[T] = Future()

    def work() -> None:
        try:
            found.set_result(call())
        except RuntimeError as error:
            found.set_exception(error)

    threading.Thread(target=work, name="within", daemon=True).start()
    return found.result(seconds)
