"""References and ids as people write them, and their comparison.

A reference is an exact match only if it is the same as written, but for case and blanks around it: SANDBOX8-1 and
SANDBOX81 may be two orders. Mails, shops and people write the same number in many ways, though, and read out its end;
so one with the same letters and digits, or whose end they are, is found too, and told apart. An id may come with
spaces, without its hyphens, cut short with an ellipsis as the summaries of this server have it, or at the end of a
link: nothing is sent for it, so that it may be read kindly. Only a whole id is an exact match.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from itertools import pairwise
from typing import NamedTuple

from kustom_mcp.text import letters_and_digits

LONGEST = 255
LEAST = 4
"""Characters of an id, or of the end of a reference, by which it can be found."""

_UUID = re.compile(r"(?<![0-9a-f-])[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?![0-9a-f-])")
_START = re.compile(rf"[0-9a-f][0-9a-f-]{{{LEAST - 1},35}}")
_TOO_SHORT = re.compile(rf"[0-9a-f]{{1,{LEAST - 1}}}")
_PART = re.compile(r"(?=.*[a-f-])[0-9a-f-]{6,35}")
"""A part that stands at the end or inside of an id hardly by chance. Digits alone are rather a number of the shop."""
_BARE = re.compile(r"[0-9a-f]{9,32}")
"""An id, or the start of one, without its hyphens."""
_AROUND = " .…\t\r\n\v\f\u00a0"


class ParsedReference(NamedTuple):
    """The possible meanings of a text; an empty one is impossible."""

    name: str
    """A reference, as `folded` has it."""
    written: int
    """The `digest` of the same reference."""
    whole: str
    """A whole id."""
    starts: tuple[str, ...]
    """Beginnings of an id."""
    part: str
    """The end of an id, for where no reference and no beginning matches."""
    too_short: bool
    """Return whether it looks like the start of an id that is too short to look for."""


def folded(reference: str | None) -> str:
    """Return a reference as it is compared: letters and digits only, so that `#1563-2423` is found by 15632423."""
    return letters_and_digits((reference or "")[:LONGEST])[:LONGEST]


def written(reference: str | None) -> str:
    """Return a reference as exact matches compare it: without blanks around it, without case, composed."""
    return unicodedata.normalize("NFC", (reference or "")[:LONGEST].strip()).lower()


def digest(reference: str | None) -> int:
    """Return 48 bits that tell a reference, as `written` has it, from others of the same letters and digits."""
    text = written(reference).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(text, digest_size=6).digest())


def backwards(part: str) -> str:
    """Return the end of an id, or of a part of one, as it is compared: the last character first, twelve at most."""
    return part[:-13:-1]


def parse_reference(reference: str) -> ParsedReference:
    """Return the possible meanings of a text."""
    text = unicodedata.normalize("NFKC", reference).lower().strip(_AROUND)
    if "://" in text:
        text = re.split("[?#]", text)[0]
    whole = set(_UUID.findall(text))
    part = whole.pop() if len(whole) == 1 else text
    starts = [part] if _START.fullmatch(part) else []
    if _BARE.fullmatch(part):
        starts.append(_hyphenated(part))
    return ParsedReference(
        folded(reference),
        digest(reference),
        next((start for start in starts if _UUID.fullmatch(start)), ""),
        tuple(starts),
        part if _PART.fullmatch(part) else "",
        _TOO_SHORT.fullmatch(part) is not None,
    )


def _hyphenated(digits: str) -> str:
    """Put in the hyphens of an id."""
    groups = (digits[first:last] for first, last in pairwise((0, 8, 12, 16, 20, 32)))
    return "-".join(group for group in groups if group)
