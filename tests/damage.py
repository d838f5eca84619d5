"""Damage to files, from a seed: what disks, downloads, editors and other programs do to them.

from tests.damage import damaged
"""

import gzip
import json
import pickle
import random
import re

KINDS = ("cut", "flipped", "swapped", "emptied", "typed", "appended")
OTHER_VALUES = (
    b"null",
    b"NaN",
    b"-1",
    b'"text"',
    b"true",
    b"1e400",
    b"[]",
    b"{}",
    b"3.5",
    b"99999999999999999999",
)
HTML = b"<!DOCTYPE html>\n<html><head><title>404 Not Found</title></head><body>Not Found</body></html>\n"


class _Code:
    """Unpickling this ends the test run, as `except Exception` does not stop SystemExit."""

    def __reduce__(self):
        return exec, ("raise SystemExit('code in a data file was run')",)


PICKLE_WITH_CODE = pickle.dumps({"key": _Code(), "data": _Code()})


def kind_of(seed: int) -> str:
    """Return the kind of damage that a seed stands for: each kind in turn."""
    return KINDS[seed % len(KINDS)]


def _cut(content, random):
    return content[
        : random.choice((random.randrange(len(content)), max(0, len(content) - random.randint(1, 9))))
    ]


def _flipped(content, random):
    data = bytearray(content)
    for _ in range(random.choice((1, 1, 1, 8))):
        # the first bytes, where headers lie, as often as all the others
        position = random.randrange(min(len(data), random.choice((64, len(data)))))
        data[position] ^= 1 << random.randrange(8)
    return bytes(data)


def _swapped(content, random):
    size = max(1, min(len(content) // 4, random.choice((1, 4, 16, 64, 512))))
    blocks = [content[start : start + size] for start in range(0, len(content), size)]
    one, other = random.randrange(len(blocks)), random.randrange(len(blocks))
    blocks[one], blocks[other] = blocks[other], blocks[one]
    return b"".join(blocks)


def _emptied(content, random):
    start = random.randrange(len(content))
    end = min(len(content), start + random.choice((1, 16, 512)))
    zeroed = content[:start] + bytes(end - start) + content[end:]
    return random.choice((b"", bytes(len(content)), b"\n", zeroed, zeroed))


def _typed(content, random):
    """Another value in a text, or a file of another type in place of this one."""
    values = list(re.finditer(rb'"[^"\n]*"|[\w.+-]+', content)) if content.isascii() else []
    if values and random.random() < 0.7:
        value = random.choice(values)
        return content[: value.start()] + random.choice(OTHER_VALUES) + content[value.end() :]
    others = (
        HTML,
        PICKLE_WITH_CODE,
        gzip.compress(content, mtime=0),
        json.dumps([1, None]).encode(),
        b"PK\3\4",
        b"0",
    )
    return random.choice(others)


def _appended(content, random):
    return content + random.choice(
        (b"\n", b"\0", b"}", content, HTML, PICKLE_WITH_CODE, random.randbytes(40))
    )


DAMAGES = dict(zip(KINDS, (_cut, _flipped, _swapped, _emptied, _typed, _appended), strict=True))


def damaged(content: bytes, seed: int) -> bytes:
    """Return `content` with the damage of `kind_of(seed)`: other bytes for certain, the same for one seed.

    cut       its end is gone
    flipped   one bit, or eight, are inverted
    swapped   two blocks have changed places
    emptied   no bytes, or nothing but zeros, or zeros in one place
    typed     in a text one value is of another type or range; or a file of another type is there: an HTML
              page, the file gzipped, JSON, or a pickle whose code ends the test run
    appended  bytes follow its end
    """
    generator = random.Random(seed)
    for _ in range(20):
        other = DAMAGES[kind_of(seed)](content, generator) if content else HTML
        if other != content:
            return other
    return content + b"\0"
