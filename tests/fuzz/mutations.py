"""What can happen to the bytes of a file: seeded, so that a mutant can be made again from its number."""

from __future__ import annotations

import random

BLOCK, CARD = 2880, 80
_NUMBERS = (
    b"0",
    b"-1",
    b"1",
    b"2",
    b"65536",
    b"2147483647",
    b"2147483648",
    b"-32",
    b"1E400",
    b"NaN",
    b"T",
    b"'x'",
    b"",
)
_KEYWORDS = (b"XTENSION", b"BITPIX", b"NAXIS1", b"NAXIS4", b"EXTNAME", b"BZERO", b"BSCALE", b"BLANK", b"PCOUNT", b"END")


def mutate(content: bytes, number: int) -> bytes:
    """Return the mutant of that number: one to three things have happened to it."""
    chance = random.Random(number)  # noqa: S311  (chance, not secrecy)
    changed = bytearray(content)
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        chance.choice(_DAMAGES)(changed, chance)
        if not changed:
            break
    return bytes(changed)


def _place(content: bytearray, chance: random.Random) -> int:
    """Return a place in a header more often than chance has it: there is where the sense of the data stands."""
    headers = [start for start in range(0, len(content), BLOCK) if _is_header(content[start : start + CARD])]
    if headers and chance.random() < 0.7:
        return min(chance.choice(headers) + chance.randrange(BLOCK), len(content) - 1)
    return chance.randrange(len(content))


def _is_header(card: bytearray) -> bool:
    return card[8:10] == b"= " or card.startswith((b"XTENSION", b"#ASDF", b"END", b"COMMENT", b"HISTORY"))


def _card(content: bytearray, chance: random.Random) -> int:
    return _place(content, chance) // CARD * CARD


def _flip(content: bytearray, chance: random.Random) -> None:
    content[_place(content, chance)] ^= 1 << chance.randrange(8)


def _overwrite(content: bytearray, chance: random.Random) -> None:
    content[_place(content, chance)] = chance.randrange(256)


def _erase(content: bytearray, chance: random.Random) -> None:
    start = _place(content, chance)
    stop = min(len(content), start + chance.choice((1, 8, CARD, 512, BLOCK)))
    content[start:stop] = chance.choice((b"\0", b" ", b"\xff")) * (stop - start)


def _truncate(content: bytearray, chance: random.Random) -> None:
    place = _place(content, chance)
    del content[chance.choice((place, place // BLOCK * BLOCK)) :]


def _insert(content: bytearray, chance: random.Random) -> None:
    place = chance.choice((_place(content, chance), _place(content, chance) // BLOCK * BLOCK))
    content[place:place] = chance.choice((b"\0", b" ", b"x", b"END".ljust(CARD))) * chance.choice((1, 36, BLOCK))


def _remove(content: bytearray, chance: random.Random) -> None:
    place, size = _place(content, chance), chance.choice((1, CARD, BLOCK))
    start = place // size * size
    del content[start : start + size]


def _repeat(content: bytearray, chance: random.Random) -> None:
    size = chance.choice((CARD, BLOCK))
    start = _place(content, chance) // size * size
    content[start:start] = content[start : start + size]


def _swap(content: bytearray, chance: random.Random) -> None:
    size = chance.choice((CARD, BLOCK))
    one, other = (_place(content, chance) // size * size for _ in range(2))
    piece = content[one : one + size]
    content[one : one + size] = content[other : other + size]
    content[other : other + len(piece)] = piece


def _change_value(content: bytearray, chance: random.Random) -> None:
    start = _card(content, chance)
    content[start + 10 : start + 30] = chance.choice(_NUMBERS).rjust(20)


def _change_keyword(content: bytearray, chance: random.Random) -> None:
    start = _card(content, chance)
    content[start : start + 8] = chance.choice(_KEYWORDS).ljust(8)


_DAMAGES = (
    _flip,
    _flip,
    _overwrite,
    _erase,
    _truncate,
    _insert,
    _remove,
    _repeat,
    _swap,
    _change_value,
    _change_value,
    _change_keyword,
)
