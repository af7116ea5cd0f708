"""BM25, the plain ranking of search engines, over the names and descriptions of tools.

Hosts with many tools find them by such a search, and a description that it cannot tell from its neighbours' is one that
a model confuses too. Words are cut to their stems by the few English endings that matter; ids and numbers say nothing.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from math import log

SATURATION, LENGTH = 1.2, 0.4
_SAYS_NOTHING = frozenset(
    re.findall(
        r"\w+",
        """
    a all already also am an and any anymore are as at be been but by can cant could did do does dont each for from get
    give had has have he her here him his i if in is it its just let many me much my need no not now of on only or other
    our please pls she should so still that the their them then there these they this those to too us very want wants
    was we were who will with wont would you your kustom
    """,
    )
)
_ENDING = re.compile(r"(?<=[a-z]{3})(?:ations?|ings?|ies|ed|es|s|e|y)$")
_DOUBLED = re.compile(r"([lnprt])\1$")  # shipped, cancelled


def words(text: str) -> list[str]:
    """The stems of the words that say something."""
    plain = re.sub(r"https?://\S+|\b[0-9a-f]{8}-[0-9a-f-]{27}\b|['’]", "", text.lower())
    found = re.findall(r"[a-zåäö]{2,}", plain)
    return [_DOUBLED.sub(r"\1", _ENDING.sub("", word)) for word in found if word not in _SAYS_NOTHING]


class Ranking:
    """Texts by name, to be asked which fit a request best."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._counts = {name: Counter(words(text)) for name, text in texts.items()}
        self._mean = sum(counts.total() for counts in self._counts.values()) / len(texts)
        self._found_in = Counter(word for counts in self._counts.values() for word in counts)

    def best(self, request: str) -> list[str]:
        """The names, best first; where two are equal, in their own order."""
        asked = words(request)
        return sorted(self._counts, key=lambda name: -sum(self._weight(word, name) for word in asked))

    def _weight(self, word: str, name: str) -> float:
        counts = self._counts[name]
        rare = log(1 + (len(self._counts) - self._found_in[word] + 0.5) / (self._found_in[word] + 0.5))
        often, long = counts[word], counts.total() / self._mean
        return rare * often * (SATURATION + 1) / (often + SATURATION * (1 - LENGTH + LENGTH * long))
