"""Text typed by people, made safe to show to a model: what is visible stays, what is invisible goes.

Names and references in an order are data from strangers. Characters that nobody sees (tags, zero-width, bidirectional
controls, runs of variation selectors) can carry instructions or make a text read differently from what it is, so they
are removed; emoji, accents and the joiners that Persian and Indic spelling needs survive. Nothing is normalised: what
remains is what was typed. `has_url` and `named_hosts` are for the few texts that a customer reads.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import TypeVar, cast

T = TypeVar("T")

_ZWNJ, _ZWJ = "\u200c", "\u200d"
_VARIATIONS = "\ufe0e\ufe0f"
_KEYCAP = "\u20e3"
_MARKS = 8  # combining marks in a row: no spelling needs more, stacks of them cover the lines around

# England, Scotland, Wales: the only flags that are spelled with tag characters.
_FLAG = re.compile(
    "(\U0001f3f4(?:"
    + "|".join("".join(chr(0xE0000 + ord(c)) for c in region) for region in ("gbeng", "gbsct", "gbwls"))
    + ")\U000e007f)"
)
# Format characters that are drawn (Arabic and Syriac number signs and the like).
_DRAWN = frozenset("\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd")
# Invisible although Unicode calls them letters or marks: fillers, the grapheme joiner, Khmer and Mongolian controls.
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u3164\uffa0")
# Emoji that are not "other symbols"; digits count only as the start of a keycap.
_MORE_EMOJI = frozenset("\u203c\u2049\u2139\u2194\u2934\u2935\u25fb\u25fc\u25fd\u25fe\u3030\u303d")
_SKIN_TONES = frozenset(map(chr, range(0x1F3FB, 0x1F400)))
# Scripts whose spelling uses joiners: Arabic to Syriac, its extensions and presentation forms; the Indic blocks.
_JOINING = ((0x0600, 0x077F), (0x0870, 0x0DFF), (0xFB50, 0xFDFF), (0xFE70, 0xFEFF))


class _Visible(dict[int, str | int | None]):
    """A table for `str.translate`: breaks and tabs become spaces, invisible characters nothing. It fills itself as
    characters are met, up to a size that hostile text cannot pass."""

    def __missing__(self, point: int) -> str | int | None:
        shown = _shown(point)
        if len(self) < _TABLE_SIZE:
            self[point] = shown
        return shown


def _shown(point: int) -> str | int | None:
    char = chr(point)
    kind = unicodedata.category(char)
    if char in "\t\n\v\f\r\x85" or kind in ("Zl", "Zp"):
        return " "
    kept = char in _DRAWN or char in (_ZWNJ, _ZWJ) if kind == "Cf" else kind[0] != "C" and char not in _BLANK
    return point if kept and not 0xFE00 <= point <= 0xFE0D and not 0xE0100 <= point <= 0xE01EF else None


_TABLE_SIZE = 4096
_VISIBLE = _Visible()


def clean(text: str, limit: int = 200) -> str:
    """`text` without invisible characters, on one line, at most `limit` characters, marker included.

    A longer text ends in `… [+N characters]` (in `…` alone where that would not leave half of the limit); far behind
    the cut N counts characters as they came. Cleaning twice changes nothing more.
    """
    if len(text) <= limit and text.isascii() and text.isprintable():
        return text  # most of what there is to clean
    near = text[: 20 * limit + 200]
    seen = _visible(near)
    length = len(seen) + len(text) - len(near)
    if length <= limit:
        return seen
    marker = f"… [+{length} characters]"
    if 2 * len(marker) > limit:
        return _cut(seen, limit - 1) + "…" if limit > 0 else ""
    head = _cut(seen, limit - len(marker) - 1)
    return f"{head} … [+{length - len(head)} characters]"


def clean_json(value: T, limit: int = 200, depth: int = 20) -> T:
    """A JSON value of the same shape with every string and key cleaned; what lies deeper than `depth` is left out.

    Of two keys that differ only in invisible characters the first is kept.
    """
    return cast("T", _clean_json(value, limit, depth))


def _clean_json(value: object, limit: int, depth: int) -> object:
    if isinstance(value, str):
        return clean(value, limit)
    if not isinstance(value, dict | list):
        return value
    if depth <= 0:
        return "[left out: nested too deeply]"
    if isinstance(value, list):
        return [_clean_json(item, limit, depth - 1) for item in cast("list[object]", value)]
    kept: dict[str, object] = {}
    for key, item in cast("dict[object, object]", value).items():
        kept.setdefault(clean(str(key), limit), _clean_json(item, limit, depth - 1))
    return kept


def quoted(name: str, limit: int = 40) -> str:
    """`name` on one line, at most `limit` characters, in straight double quotes; double quotes inside become single
    ones. A name that is cut ends with four digits of its digest, so that two that differ behind the cut differ here."""
    line = " ".join(_visible(name[:1000]).split())
    line = re.sub('["“”„‟″＂]', "'", line)
    if len(line) > limit or len(name) > 1000:
        line = f"{_cut(line, limit - 6)}… {_four_digits(name)}"
    return f'"{line}"'


def _four_digits(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
    return f"{int.from_bytes(digest[:8]) % 10_000:04}"


def nearest(word: str, options: Iterable[str], *, likeness: float = 0.6) -> str | None:
    """The option most like `word`, whatever the letters' case; None when none is as like as `likeness`, of 1."""
    import difflib  # only an error needs it

    by_fold = {option.casefold(): option for option in options}
    found = difflib.get_close_matches(word[:100].casefold(), by_fold, n=1, cutoff=likeness)
    return by_fold[found[0]] if found else None


def letters_and_digits(text: str) -> str:
    """`text` without case, blanks, hyphens and other marks, for comparing references that people write."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    return "".join(mark for mark in text.casefold() if mark.isalnum())


def _visible(text: str) -> str:
    if text.isascii() and text.isprintable():
        return text
    parts = _FLAG.split(text)  # every second one is a flag
    kept = "".join(part if n % 2 else part.translate(_VISIBLE) for n, part in enumerate(parts))
    return kept if kept.isascii() else _joiners(_marks(kept))


def _marks(text: str) -> str:
    """Drop combining marks after the eighth in a row, and variation selectors that select nothing.

    Looks at what is kept on the left only (and at a keycap on the right), and joiners do not end a row: what
    `_joiners` removes later cannot change the answer, which is why cleaning twice changes nothing.
    """
    kept: list[str] = []
    row = 0
    for index, char in enumerate(text):
        if char in _VARIATIONS:
            before = kept[-1] if kept else ""
            keycap = before in set("0123456789#*") and text[index + 1 : index + 2] == _KEYCAP
            if keycap or _emoji(before):
                kept.append(char)
            continue
        if unicodedata.category(char)[0] == "M":
            row += 1
        elif char not in (_ZWNJ, _ZWJ):
            row = 0
        if row <= _MARKS:
            kept.append(char)
    return "".join(kept)


def _joiners(text: str) -> str:
    """Drop joiners but for a ZWJ inside an emoji sequence and both between letters of scripts that spell with them."""
    if _ZWJ not in text and _ZWNJ not in text:
        return text
    kept: list[str] = []
    for index, char in enumerate(text):
        if char in (_ZWNJ, _ZWJ):
            before, after = kept[-1] if kept else "", text[index + 1 : index + 2]
            sequence = char == _ZWJ and _emoji(after) and (_emoji(before) or _styled(kept))
            if not sequence and not (_joins(before) and _joins(after)):
                continue
        kept.append(char)
    return "".join(kept)


def _emoji(char: str) -> bool:
    return char != "" and (unicodedata.category(char) == "So" or char in _MORE_EMOJI)


def _styled(kept: list[str]) -> bool:
    """Return whether an emoji with a skin tone or a variation selector has just ended."""
    return len(kept) > 1 and (kept[-1] in _SKIN_TONES or kept[-1] in _VARIATIONS) and _emoji(kept[-2])


def _joins(char: str) -> bool:
    if not char or unicodedata.category(char)[0] not in "LM":
        return False
    return any(first <= ord(char) <= last for first, last in _JOINING)


def _cut(text: str, length: int) -> str:
    """At most `length` characters from the start, without tearing a character from its marks."""
    if len(text) <= length:
        return text
    while length > 0 and (_attached(text[length]) or text[length - 1] in (_ZWNJ, _ZWJ)):
        length -= 1
    return text[:length].rstrip()


def _attached(char: str) -> bool:
    return unicodedata.category(char) in ("Mn", "Mc", "Me", "Cf") or char in _SKIN_TONES


# Top-level domains that mean a link wherever they end a word: the common ones, and one kept for examples.
_COMMON = (
    "app asia bank best bio biz blog buzz cam cash cat center cfd chat city click cloud club com company cyou dev "
    "digital edu email example express finance fit fun fund gov group help icu info ink int io kim life link live loan "
    "ltd lol me media mobi mom money monster name net network news one online onion org page pay plus pro pub quest "
    "rent rest rocks run sale sbs sex shop site skin social solutions space store stream support systems team tech "
    "tel today tokyo top tours trade travel uno vip website wiki win work works world wtf xin xxx xyz zip zone "
    "рф рус бел укр сайт онлайн ευ 中国 公司 网络 在线 みんな コム"
)
_CODES = (  # two letters each
    "acadaeafagaialamaoaqarasatauawaxazbabbbdbebfbgbhbibjbmbnbobrbsbtbvbwbybzcacccdcfcgchcickclcmcncocrcucvcwcxcy"
    "czdedjdkdmdodzeceeegereseteufifjfkfmfofrgagbgdgegfggghgiglgmgngpgqgrgsgtgugwgyhkhmhnhrhthuidieiliminioiqirisit"
    "jejmjojpkekgkhkikmknkpkrkwkykzlalblclilklrlsltlulvlymamcmdmemgmhmkmlmmmnmompmqmrmsmtmumvmwmxmymznancnenfngni"
    "nlnonpnrnunzompapepfpgphpkplpmpnprpsptpwpyqarerorsrurwsasbscsdsesgshsiskslsmsnsosrssstsvsxsysztctdtftgthtjtk"
    "tltmtntotrtttvtwtzuaugukusuyuzvavcvevgvivnvuwfwsyeytzazmzw"
)
_DOMAINS = frozenset(_COMMON.split()) | frozenset(map("".join, zip(_CODES[::2], _CODES[1::2], strict=True)))
_NEVER_A_WORD = frozenset({"com", "net", "org", "info", "biz", "io", "app", "xyz", "xxx", "example"})
# "art.nr 5" and "ord.no 5" are numbers, not names in Nauru and Norway.
_NUMBERED = frozenset(
    {
        *("art", "artikel", "best", "cust", "fakt", "faktura", "inv", "item", "kund", "ord", "order", "ref"),
        *("konto", "kto", "lev", "mob", "mod", "model", "po", "pos", "ret", "retur", "rma", "ser", "serie", "so"),
        *("tel", "tlf", "typ", "type"),
    }
)
_UNITS = frozenset({"cm", "kg", "km", "mg", "ml", "mm", "st"})  # "200x300.cm" is no name in Cameroon
_LOOKALIKES = {0x3002: ".", 0x2044: "/", 0x2215: "/", 0x29F8: "/", 0x2236: ":", 0xA789: ":"}
_BRACKETED = re.compile(r" ?[\[({] ?(?:\.|dot|punkt) ?[\])}] ?", re.IGNORECASE)
_LINK = re.compile(
    r"://|\bh(?:tt|xx|\*\*)ps? {0,3}:|\bwww\d?\.|\bdata:\w+/|\b(?:mailto|javascript|vbscript|ftp):\S", re.IGNORECASE
)
_UNSEEN = re.compile("[\u200c\u200d\ufe0e\ufe0f]")
_PATH = re.compile("[/:?#]")
_WORD = re.compile(r"[\w.-]+(?::\d|/|[?#]\w)?")


def alike(one: str, other: str) -> bool:
    """Return whether two texts are equal but for what a system may change in storing: Unicode forms and blanks."""
    return _plain(one) == _plain(other)


def same_start(whole: str, cut: str) -> bool:
    """Return whether the second text is the first, cut short when it was stored."""
    return bool(_plain(cut)) and _plain(whole).startswith(_plain(cut))


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).split())


def has_url(text: str, *, bare: bool = True) -> bool:
    """Return whether a text holds something that a reader or a mail program could take for a link.

    Schemes (`https:`, `hxxp:`), `www.`, addresses of four numbers, mail addresses, and host names: with a path, port
    or query any name of letters counts (`evil.example/x`); alone it must end in a known top-level domain. The text is
    read as a browser would read it (NFKC, full-width dots, `[.]`, invisible characters removed). A full stop without a
    space is no link ("2 pcs.Thanks", "Ltd.Co", "No.5", "10.5 kg", "art.nr"): a domain that may be a word or an
    abbreviation counts in one case of letters only. One that is missing from the list, alone and without a path, is
    not seen. Without `bare` a host name alone is none either: article numbers and carriers are named like hosts.
    """
    seen = _as_read(text)
    return _LINK.search(seen) is not None or any(bare or _PATH.search(word) for word in _host_words(seen))


def named_hosts(text: str) -> list[str]:
    """The host names in a text, as `has_url` sees them, in lower case. Not addresses of four numbers: the number of a
    parcel may look like one."""
    names = [_PATH.split(word)[0].strip(".").casefold() for word in _host_words(_as_read(text))]
    return [name for name in names if not name.rpartition(".")[2].isdigit()]


def _as_read(text: str) -> str:
    """A text as a browser would read it."""
    seen = _UNSEEN.sub("", text.translate(_VISIBLE))
    return _BRACKETED.sub(".", unicodedata.normalize("NFKC", seen).translate(_LOOKALIKES))


def _host_words(seen: str) -> Iterator[str]:
    words: list[str] = _WORD.findall(seen)
    return (word for word in words if _is_host(word))


def _is_host(word: str) -> bool:
    name = _PATH.split(word)[0]
    labels = name.strip(".").split(".")
    if len(labels) < 2 or "" in labels:
        return False
    last, before = labels[-1], labels[-2]
    if last.isdigit():
        return len(labels) == 4 and all(label.isdecimal() and int(label[:4]) <= 255 for label in labels)
    if last.casefold().startswith("xn--") or last.casefold() in _NEVER_A_WORD:
        return True
    if name != word and last.isalpha() and len(last) > 1:
        return True
    ending = last.casefold()
    if ending not in _DOMAINS or (ending in ("no", "nr") and before.casefold() in _NUMBERED):
        return False
    if ending in _UNITS and before[0].isdigit() and before[-1].isdigit():
        return False
    one_case = last.islower() or (last.isupper() and before.isupper())
    return one_case and any(char.isalpha() for char in before)
