"""The removal of our own credentials from Kustom's answers, before anything else looks at them.

Gateways and debugging proxies repeat headers of a request in their error pages, as they are or encoded. So each answer
is searched for the API key and for user name and key as Basic auth encodes them: as text, in base64 at any of its three
alignments, in hexadecimal, and in these again escaped, encoded once more, in other letters or with anything between the
characters. RUN characters of it in a row are enough, since a text may have been cut. The form of Kustom's keys
(`kco_live_api_`) is public and no secret.

Errors are searched like that, and what then remains of their texts must be plain words besides (`plain_words`), since
no list of encodings is complete. A good answer may be large and has no reason to repeat anything: it is searched for a
long run, unescaped, and treated like an error only where that is found.
"""

from __future__ import annotations

import base64
import html
import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Final, cast
from urllib.parse import unquote

import httpx2 as httpx

from kustom_mcp.api.outcome import Outcome
from kustom_mcp.api.send import AttemptResult

RUN: Final = 12
LETTERS_RUN: Final = 10
"""The same where only letters and digits are compared, with anything between them."""
LONGER: Final = 2
"""The factor by which a run must be longer to count in a good answer."""
ERROR_BYTES: Final = 64 * 1024
"""A longer body is not one of the API's errors, and neither is one that is no JSON object: nothing is read of it."""
LEFT_OUT: Final = "[left out: it repeats this server's credentials]"
SHORTEST: Final = 8
"""A form of a credential that is shorter than this says nothing about it: it would be found everywhere."""
DEPTH: Final = 3
MOST_READINGS: Final = 64

_PUBLIC = re.compile(rb"(?:kco_(?:test|live)_api_)?")
_UNSEEN = bytes(point for point in range(256) if not 0x21 <= point <= 0x7E)
_SIGNS = bytes(point for point in range(256) if not chr(point).isalnum() or point > 0x7E)
_NO_HEX = bytes(point for point in range(256) if point not in b"0123456789abcdef")

_BACKSLASHED = re.compile(r"\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|([0-7]{3})|(.))", re.DOTALL)
_QUOTED_PRINTABLE = re.compile(r"=(?:\r?\n|([0-9A-Fa-f]{2}))")
_PERCENT_U = re.compile(r"%u([0-9a-fA-F]{4})")
_BASE64_RUN = re.compile(r"[A-Za-z0-9+/]{16,}")
_HEX_RUN = re.compile(r"[0-9A-Fa-f]{16,}")


class Redactor:
    """A search for the credentials of one account in answers."""

    def __init__(self, username: str, api_key: str) -> None:
        pair = f"{username}:{api_key}"
        key, both = api_key.encode(), pair.encode()
        plain = _plain(api_key)
        known = _PUBLIC.match(plain)
        public = known[0] if known else b""
        in_base64 = [_encoded(both), *(_encoded(key, offset) for offset in range(3))]
        self._as_text = [_Needle(plain, RUN, public=len(public))]
        self._as_letters = [
            _Needle(plain.translate(None, _SIGNS), LETTERS_RUN, public=len(public.translate(None, _SIGNS))),
            *(_Needle(form.lower().translate(None, _SIGNS), LETTERS_RUN) for form in in_base64),
        ]
        self._as_hex = [_Needle(form.hex().encode(), RUN) for form in (both, in_base64[0])]

    def redacted(self, attempt: AttemptResult) -> AttemptResult:
        """Return the result without header values and texts of its body that hold credentials."""
        good = attempt.outcome is Outcome.APPLIED
        if not good and (len(attempt.body) > ERROR_BYTES or not attempt.body.lstrip().startswith(b"{")):
            attempt = replace(attempt, body=b"")
        if not self._repeats(attempt, thorough=not good):
            return attempt
        headers = [(name, value) for name, value in attempt.headers.multi_items() if not self.holds(value)]
        found = replace(attempt, headers=httpx.Headers(headers), body=self._without(attempt.body))
        if self._repeats(found, thorough=not good):  # it was scattered over several texts
            return replace(attempt, headers=httpx.Headers(), body=b"")
        return found

    def _repeats(self, attempt: AttemptResult, *, thorough: bool) -> bool:
        named, said = "\n".join(attempt.headers.values()), attempt.body.decode("utf-8", "replace")
        if thorough:
            return self.holds(f"{named}\n{said}")
        return self.holds(named, nested=False) or self.holds(said, nested=False, longer=LONGER)

    def holds(self, text: str, *, nested: bool = True, longer: int = 1) -> bool:
        """Return whether a text holds a part of the credentials that is long enough to count.

        `nested`: also in an encoded part of it. `longer`: the factor by which the part has to be longer.
        """
        seen = set[bytes]()
        for reading in _readings(text, nested=nested):
            plain = _plain(reading)
            if plain not in seen and self._shows(plain, longer):
                return True
            seen.add(plain)
        return False

    def _shows(self, plain: bytes, longer: int) -> bool:
        return (
            _found(self._as_text, plain, longer)
            or _found(self._as_letters, plain.translate(None, _SIGNS), longer)
            or _found(self._as_hex, plain.replace(b"0x", b"").translate(None, _NO_HEX), longer)
        )

    def _without(self, body: bytes) -> bytes:
        """Return a JSON body without the texts that hold credentials, and b"" for any other body."""
        try:
            return json.dumps(self._clean(json.loads(body))).encode()
        except (ValueError, RecursionError):
            return b""

    def _clean(self, value: object) -> object:
        if isinstance(value, dict):
            entries = cast("dict[str, object]", value)
            return {
                name: self._clean(item)
                for name, item in entries.items()
                if not self.holds(name) and not (isinstance(item, str) and self.holds(item))
            }
        if isinstance(value, list):
            return [self._clean(item) for item in cast("list[object]", value)]
        return LEFT_OUT if isinstance(value, str) and self.holds(value) else value


class _Needle:
    """One form of a credential: `run` characters of it in a row count, or all of a shorter one.

    `public`: so many characters at its beginning are no secret.
    """

    def __init__(self, form: bytes, run: int, *, public: int = 0) -> None:
        self._form = form if len(form) >= SHORTEST else b""
        self._run = run
        self._public = public

    def found_in(self, text: bytes, longer: int) -> bool:
        """Return whether a run stands in a text that is so many times as long.

        Of the blocks into which the form can be cut one stands in every such run. Where none is, nothing is.
        """
        run = min(self._run * longer, len(self._form))
        size = (run + 1) // 2
        for start in range(0, len(self._form) - size + 1, size or 1):
            block = self._form[start : start + size]
            at = text.find(block) if block else -1
            while at >= 0:
                if self._counts(text, at, start, run):
                    return True
                at = text.find(block, at + 1)
        return False

    def _counts(self, text: bytes, at: int, start: int, run: int) -> bool:
        """Return whether enough of the form is around the character `at` of the text, which is `start` of the form."""
        end = start
        while end < len(self._form) and at - start + end < len(text) and text[at - start + end] == self._form[end]:
            end += 1
        while start > 0 and at > 0 and text[at - 1] == self._form[start - 1]:
            start, at = start - 1, at - 1
        return end - start >= run and end > self._public


def _found(needles: Iterable[_Needle], text: bytes, longer: int) -> bool:
    return any(needle.found_in(text, longer) for needle in needles)


def _visible(text: str) -> bytes:
    """Return the visible characters of a text, in ASCII."""
    shown = text if text.isascii() else unicodedata.normalize("NFKC", text)
    return shown.encode("ascii", "ignore").translate(None, _UNSEEN)


def _plain(text: str) -> bytes:
    """Return the visible characters in one case of letters."""
    return _visible(text).lower()


def _encoded(secret: bytes, offset: int = 0) -> bytes:
    """Return the characters of the base64 of a secret that are its own when so many bytes stand before it."""
    whole = base64.b64encode(bytes(offset) + secret)
    return whole[-(-offset * 8 // 6) : (offset + len(secret)) * 8 // 6]


def _readings(text: str, *, nested: bool) -> Iterator[str]:
    """Return a text, and its texts once it is unescaped, or with `nested` decoded, again and again."""
    deepest = DEPTH if nested else DEPTH - 1
    level = [text, _visible(text).decode()]
    seen = set[str]()
    for depth in range(deepest + 1):
        found: list[str] = []
        for reading in level:
            if reading in seen or len(seen) >= MOST_READINGS:
                continue
            seen.add(reading)
            yield reading
            if depth < deepest:
                found += (unescape(reading) for unescape in _UNESCAPING)
                found += _decoded(reading) if nested else ()
        level = found


def _backslashed(text: str) -> str:
    def shown(found: re.Match[str]) -> str:
        if found[4]:
            return "" if found[4] in "bfnrt" else found[4]
        return chr(int(found[3], 8) if found[3] else int(found[1] or found[2], 16))

    return _whole(_BACKSLASHED.sub(shown, text)) if "\\" in text else text


def _percent(text: str) -> str:
    return unquote(_whole(_PERCENT_U.sub(lambda found: chr(int(found[1], 16)), text))) if "%" in text else text


def _whole(text: str) -> str:
    """Return a text in which the halves of characters beyond 16 bits are joined, and single halves are left out."""
    return text if text.isascii() else text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "ignore")


def _quoted_printable(text: str) -> str:
    return (
        _QUOTED_PRINTABLE.sub(lambda found: chr(int(found[1], 16)) if found[1] else "", text) if "=" in text else text
    )


_UNESCAPING: Final[tuple[Callable[[str], str], ...]] = (_percent, html.unescape, _backslashed, _quoted_printable)


def _decoded(text: str) -> Iterator[str]:
    """Return the texts in base64 in a text, at each alignment, and in hexadecimal."""
    runs = _BASE64_RUN.findall(text.replace("-", "+").replace("_", "/"))
    for offset in range(4) if runs else ():
        parts = [run[offset : offset + (len(run) - offset) // 4 * 4] for run in runs]
        yield " ".join(base64.b64decode(part).decode("latin-1") for part in parts)
    digits = _HEX_RUN.findall(text)
    for offset in range(2) if digits else ():
        parts = [run[offset : offset + (len(run) - offset) // 2 * 2] for run in digits]
        yield " ".join(bytes.fromhex(part).decode("latin-1") for part in parts)
