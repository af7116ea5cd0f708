"""The judgement whether texts of an error answer are plain words, whatever our credentials are.

`redaction` finds the credentials in the encodings that it knows. The list of encodings never ends (base32, lists of
bytes, compressed and then base64, reversed), but they have one thing in common: none of them reads like a sentence. So
this measures how many characters of an answer are no words, and what has more than PLAIN of them is withheld. PLAIN is
less than `redaction` takes for a part of a key.

Plain are: words in Latin letters, by the pairs of letters that occur in them (English, with the neighbours of Kustom's
markets); names of fields and codes, which are words joined by signs or capitals; ids in the form of a UUID, and times;
a number for each two words that a text says; the index of a list behind its name.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

PLAIN: Final = 9
"""The most characters of an answer that may be no words: a reference, an abbreviation, a name."""
RARE: Final = 3
"""The number of characters that a pair of letters which hardly occurs counts for, or one number too many."""
LONGEST_WORD: Final = 24
LONGEST_NUMBER: Final = 13
"""The digits of the longest number that is plain: an article number (EAN)."""

_UUID = re.compile(
    r"(?<![0-9A-Za-z-])[0-9a-f]{6,10}(?:-[0-9a-f]{2,6}){3}-[0-9a-f]{9,14}(?![0-9A-Za-z-])", re.IGNORECASE
)
"""Close to the form of a UUID: samples in Kustom's documentation have a digit too few."""
_MOMENT = re.compile(r"\b20\d\d-[01]\d-[0-3]\d(?:[T ][0-2]\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:?\d\d)?)?\b")
_BOUND = re.compile(r"\b(?:922337203685477580[78]|4294967295)\b")
_INDEX = re.compile(r"(?<=[A-Za-z])\[\d{1,3}\]")
_TOKEN = re.compile(r"[^\W_]+(?:'[a-z]{1,2}(?![^\W_]))?")
_NUMBERED = re.compile(r"v\d{1,3}|[A-Z]{1,3}\d{4,8}|\d{1,4}(?:s|ms|h|d|x|g|kg|cm|mm)", re.ASCII)
_WORD_AND_DIGIT = re.compile(r"([A-Za-z]{4,})\d{1,2}", re.ASCII)
_CAMEL = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_WEDGED = re.compile(r"(?<=\S)[!#$%&*+,;<=>?@^~\"\\](?=\S)")
_THRICE = re.compile(r"(.)\1\1")
_SPELLED = str.maketrans({"ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "đ": "d", "ð": "d", "þ": "th", "ı": "i"}) | {
    ord("æ"): "ae",
    ord("Æ"): "Ae",
    ord("œ"): "oe",
    ord("ß"): "ss",
    ord("’"): "'",
}
_TYPED: Final = frozenset("\u00a0\u2013\u2014\u2018\u2019\u201c\u201d\u201e\u00ab\u00bb\u2026\u20ac\u00a3\u00a7\u2022")
"""Signs beyond ASCII that stand in sentences."""

_FOLLOWING: Final = {
    "a": "abcdefghiklmnprstuvwxy",
    "b": "abcdeijlnorstuy",
    "c": "acdefhiklmoprstuy",
    "d": "abcdefgilnoprstuv",
    "e": "abcdefghiklmnopqrstuvwxy",
    "f": "adefilnorstuy",
    "g": "aeghilmnorstu",
    "h": "aeilnorstuy",
    "i": "abcdefgklmnoprstvxz",
    "j": "aeosu",
    "k": "aegijlnosw",
    "l": "acdefiklmnopstuvy",
    "m": "abcdeilmopstuy",
    "n": "abcdefghiklnoprstuvy",
    "o": "abcdefghiklmnoprstuvwx",
    "p": "acdefhiklmoprstuy",
    "q": "lu",
    "r": "abcdefgiklmnoprstuvwy",
    "s": "acdefghiklmnopqrstuvwy",
    "t": "abcdefhilmnoprstuvwy",
    "u": "abcdefgilmnoprst",
    "v": "aeio",
    "w": "aehilnors",
    "x": "ceiptx",
    "y": "aceilmnopstv",
    "z": "aeiw",
}
"""For each letter those that follow it in at least 20 of 12,000 words: documents of programs and of this API."""
_ABBREVIATIONS = (
    "a i s t x api chf czk dkk gbp html http https huf id ids json kco mid pln sql tls ssl uri url usd utf uuid vat xml"
)
_WORDS: Final = frozenset(_ABBREVIATIONS.split())
"""Abbreviations that are no words by their letters."""
_SHORT_WORDS = (
    "ab age ago ai all alt am an and any app are as ask at av ax bad be bei bin but by can cap com das day de del dem "
    "den der des det did die dig dk do du due ean ei eli en end er et eu eur ex fee fel few fi for fr fra from fur gb "
    "get gln got gtin had har has he her him his how ikke if im in inc inn inte io ip is ist it its ja jar java je "
    "key kr la le let line log low ltd man max may med men met min mit mot mr mrs my net new nl no nok nor not now nr "
    "null nu och of og oj ok old om on one op or org os our out own par pay pdf per pl po pos pre pro put ref rma row "
    "run san se see sek set she sie sku so som sum sub tax te ten the til tax to too top try two uk um und until up "
    "us use ut var via vor von vs wac war was way we web who why will with xl yes yet you zip zu zum zur"
)
_SHORT: Final = frozenset(_SHORT_WORDS.split())
"""The words of up to three letters that are plain: others of that length could be pieces of a credential."""


def strangeness(texts: Sequence[str]) -> int:
    """Return the number of characters of an answer's texts that are no plain words.

    Texts without a blank may be the pieces of one, and are judged as that too.
    """
    pieces = [text for text in texts if not any(map(str.isspace, text)) and not _is_uuid(text)]
    apart = [_strangeness(text) for text in texts]
    if len(pieces) < 2:
        return sum(apart)
    others = sum(_strangeness(text) for text in texts if text not in pieces)
    return max(sum(apart), others + _strangeness("".join(pieces)))


def is_plain(*texts: str) -> bool:
    """Return whether texts are plain words, all together."""
    return strangeness(texts) <= PLAIN


def is_id(text: str) -> bool:
    """Return whether a text is an id for support: close to a UUID, or so short or plain that it can say nothing."""
    return _is_uuid(text) or is_plain(text)


def _is_uuid(text: str) -> bool:
    found = _UUID.fullmatch(text)
    return found is not None and not _is_spelled(found)


def _is_spelled(found: re.Match[str]) -> bool:
    """Return whether the bytes of a UUID are characters that can be typed: those of a random one are not."""
    digits = found[0].replace("-", "")
    held = bytes.fromhex(digits[: len(digits) // 2 * 2])
    return sum(0x20 <= byte < 0x7F for byte in held) >= len(held) - 2


def _strangeness(text: str) -> int:
    seen = unicodedata.normalize("NFKC", text).translate(_SPELLED)
    marked = sum(unicodedata.category(char) == "Mn" for char in seen)
    seen = _UUID.sub(lambda found: found[0] if _is_spelled(found) else " ", seen)
    for known in (_MOMENT, _BOUND, _INDEX):
        seen = known.sub(" ", seen)
    seen = "".join(char for char in unicodedata.normalize("NFKD", seen) if unicodedata.category(char) != "Mn")
    strange, numbers, words = marked, 0, set[str]()
    for token in _TOKEN.findall(seen):
        if _is_number(token):
            numbers += 1
            continue
        found = _of_token(token)
        strange += found
        if not found and len(token) > 1:
            words.add(token.lower())
    lettered = sum(map(str.isalnum, seen))
    drawn = sum(not char.isascii() and not char.isalnum() and char not in _TYPED for char in seen)
    signs = sum(not (char.isalnum() or char == " ") for char in seen) + seen.count("  ")
    hidden = sum(unicodedata.category(char)[0] == "C" and char not in "\t\r\n" for char in seen)
    wedged = len(_WEDGED.findall(seen))
    return strange + hidden + drawn + wedged + RARE * max(0, numbers - len(words) // 2) + max(0, signs - lettered)


def _is_number(token: str) -> bool:
    if token.isdecimal():
        return len(token) <= LONGEST_NUMBER and token.isascii()
    return _NUMBERED.fullmatch(token) is not None


def _of_token(token: str) -> int:
    """Return how many characters of a run of letters and digits are no word."""
    letters = token.partition("'")[0]
    if numbered := _WORD_AND_DIGIT.fullmatch(letters):
        letters = numbered[1]
    if not (letters.isascii() and letters.isalpha()):
        return len(letters)
    if letters.lower() in _WORDS:
        return 0
    if len(letters) <= 3:
        return 0 if letters.lower() in _SHORT else max(1, min(len(letters), RARE * _rare_pairs(letters)))
    parts: list[str] = _CAMEL.findall(letters)
    if len(parts) * 3 > max(3, len(letters)) or any(len(part) > LONGEST_WORD for part in parts):
        return len(letters)
    return min(len(letters), RARE * sum(map(_rare_pairs, parts)))


def _rare_pairs(word: str) -> int:
    lower = word.lower()
    return sum(after not in _FOLLOWING[before] for before, after in pairwise(lower)) + len(_THRICE.findall(lower))
