"""Progress bars with rate and ETA: for work that reports (done, total), and for work that takes things one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")


@contextmanager
def progress(what: str, unit: str) -> Iterator[Callable[[int, int], None]]:
    """Yield a function to call with (done, total)."""
    bar = tqdm(desc=what, unit=f" {unit}", mininterval=1.0, dynamic_ncols=True)

    def update(done: int, total: int) -> None:
        bar.total = total
        bar.update(done - bar.n)

    try:
        yield update
    finally:
        bar.close()


def counted(items: Iterable[T], what: str, unit: str, total: int | None = None) -> Iterator[T]:
    """The items; no ETA where their number is not known."""
    yield from tqdm(items, desc=what, unit=f" {unit}", total=total, mininterval=1.0, dynamic_ncols=True)
