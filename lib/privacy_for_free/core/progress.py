"""Progress of long work on standard error: a bar, or plain lines where tqdm is not installed."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager


def bar(
    items: Iterable, total: int, shown: bool, label: str, first: int | None = None, unit: str = "step"
) -> Iterator:
    """Yield the items; after each of them, `total` in all, the bar is one further.

    first   how many were done before these; None for the beginning of a range, 0 for anything else
    unit    what one item is called

    Without tqdm there is a line for every hundredth part, with the time that is left.
    """
    first = getattr(items, "start", 0) if first is None else first
    if not shown or first >= total:
        yield from items
        return
    try:
        from tqdm import tqdm
    except ImportError:
        yield from _lines(items, total, label, first, unit)
    else:
        yield from tqdm(items, desc=label, initial=first, total=total, unit=unit, leave=unit == "task")


def _lines(items: Iterable, total: int, label: str, first: int, unit: str) -> Iterator:
    began, part = time.monotonic(), max(1, total // 100)
    _line(f"{label}: {first} of {total} {unit}s done")
    for number, item in enumerate(items, first + 1):
        yield item
        if number % part == 0 or number == total:
            left = (total - number) * (time.monotonic() - began) / (number - first)
            _line(f"{label}: {number} of {total} {unit}s done, about {duration(left)} left")


@contextmanager
def counter(done: int, total: int, shown: bool, label: str) -> Iterator[Callable[[], object]]:
    """Yield what to call when one more of `total` things is done: it moves a bar, or prints a line."""
    if not shown or not total:
        yield lambda: None
        return
    try:
        from tqdm import tqdm
    except ImportError:
        steps = iter(_lines(range(done, total), total, label, done, label.rstrip("s")))
        next(steps, None)
        yield lambda: next(steps, None)
    else:
        with tqdm(desc=label, initial=done, total=total, unit=label.rstrip("s"), leave=False) as shown_bar:
            yield shown_bar.update


def _line(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201


def duration(seconds: float) -> str:
    """Return a time in words, to two units at most.

    >>> duration(8), duration(90), duration(7260), duration(200_000)
    ('8 s', '2 min', '2 h 1 min', '2 d 7 h')
    """
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 24 else f"{hours // 24} d {hours % 24} h"
