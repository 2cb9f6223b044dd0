"""A call that is repeated in a thread while a block runs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


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
