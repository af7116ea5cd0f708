"""`kustom-mcp people`: the people of KUSTOM_PEOPLE_FILE, and their tokens.

A token is printed once, alone on stdout; the file keeps its SHA-256. The file is changed as text, so that comments and
order stay, and read again before it is put in place: where the change is not exactly the one that was wanted, the
command says so and changes nothing.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from kustom_mcp.cli.program import shown
from kustom_mcp.money import show
from kustom_mcp.settings.people import SETTING, TOKENS, ListedPerson, parse_people
from kustom_mcp.settings.private_toml import read_private, write_private
from kustom_mcp.settings.settings import ConfigError, Settings
from kustom_mcp.text import nearest

PREFIX = "kmp_"
"""The beginning of a token, by which programs that look for leaked secrets can know it."""

_TABLE = r"(?m)^[ \t]*\[[ \t]*people[ \t]*\.[ \t]*(?P<quote>[\"']?){name}(?P=quote)[ \t]*\][^\n]*\n?"
_ANY_TABLE = re.compile(r"(?m)^[ \t]*\[")
_BEFORE_TABLE = re.compile(r"(?m)(?:^[ \t]*(?:#[^\n]*)?\n)+\Z")
_TOKENS = re.compile(r"(?m)^[ \t]*token_sha256[ \t]*=[ \t]*(?:\"[^\"\n]*\"|'[^'\n]*'|\[[^\]]*\])")


def run_list(settings: Settings) -> int:
    """Print the people and their rights. ConfigError."""
    people = parse_people(read_private(SETTING, _path(settings)))
    width = max(map(len, people), default=0)
    for person in people.values():
        print(f"{person.name:<{width}}  {_described(person)}")
    if not people:
        print(f"Nobody may call yet: `{shown('people', 'add', 'NAME')}` adds a person.")
    return 0


def run_add(settings: Settings, name: str, options: Mapping[str, str]) -> int:
    """Add a person with a new token, or give one who is there a second token. `options`: fields of the file, as they
    are written there. ConfigError."""
    path = _path(settings)
    before = read_private(SETTING, path) if path.exists() else None
    text = before or ""
    people = parse_people(text)
    token = PREFIX + secrets.token_urlsafe(32)
    digest = hashlib.sha256(token.encode()).hexdigest()
    there = people.get(name)
    if there is None:
        fields = {"token_sha256": f'"{digest}"', "may": '["read"]', **options}
        lines = [f"[people.{name}]", *(f"{field} = {value}" for field, value in fields.items())]
        gap = "" if not text or text.endswith("\n\n") else "\n" if text.endswith("\n") else "\n\n"
        changed = f"{text}{gap}" + "\n".join(lines) + "\n"
        if {**people, name: parse_people("\n".join(lines))[name]} != parse_people(changed):
            raise _by_hand("add the person")
    else:
        if options:
            raise ConfigError(SETTING, f"people.{name} is there already: change its rights in the file.")
        if len(there.tokens) == TOKENS:
            how = shown("people", "remove", name, "--older")
            raise ConfigError(SETTING, f"people.{name} has two tokens already: `{how}` ends the older one.")
        changed = _with_tokens(text, people, name, (digest, *there.tokens))
    write_private(SETTING, path, before, changed)
    person = parse_people(changed)[name]
    print(token)
    _say(f"This is the token of {name}, shown once: {_described(person)}.")
    if there is not None:
        how = shown("people", "remove", name, "--older")
        _say(f"The older token is good as well, until `{how}`.")
    _say(f"{path} keeps its SHA-256. A server that runs knows it with the next request.")
    return 0


def run_remove(settings: Settings, name: str, *, older: bool) -> int:
    """Take a person out, or with `older` only the older of two tokens. ConfigError."""
    path = _path(settings)
    text = read_private(SETTING, path)
    people = parse_people(text)
    if name not in people:
        near = nearest(name, people)
        raise ConfigError(SETTING, f"There is nobody of this name.{f' Did you mean {near}?' if near else ''}")
    if older:
        if len(people[name].tokens) < TOKENS:
            raise ConfigError(SETTING, f"people.{name} has one token only: without --older the person is removed.")
        changed = _with_tokens(text, people, name, people[name].tokens[:1])
    else:
        start, end = _table(text, name)
        changed = text[:start] + text[end:]
        if {other: person for other, person in people.items() if other != name} != parse_people(changed):
            raise _by_hand("take the person out")
    write_private(SETTING, path, text, changed)
    _say(f"The older token of {name} has ended." if older else f"{name} may call no more, from the next request on.")
    return 0


def _path(settings: Settings) -> Path:
    if settings.people_file is None:
        raise ConfigError(SETTING, "This command changes the file that it names: set it.")
    return settings.people_file.expanduser().resolve()


def _described(person: ListedPerson) -> str:
    told = [f"may {', '.join(right for right in ('read', 'write', 'customers') if right in person.may)}"]
    if len(person.tokens) > 1:
        told.append("two tokens")
    if person.shops is not None:
        told.append(f"shops {', '.join(sorted(person.shops))}")
    if person.orders is not None:
        told.append(f"{len(person.orders)} orders only")
    if person.max_amount is not None:
        amounts = [show(amount, currency) for currency, amount in person.max_amount.by_currency.items()]
        told.append(f"at most {', '.join(amounts) or 'nothing'} in one write")
    if person.until is not None:
        ended = person.until <= datetime.now(UTC)
        told.append("expired" if ended else f"until {person.until - timedelta(seconds=1):%Y-%m-%d}")
    return "; ".join(told)


def _table(text: str, name: str) -> tuple[int, int]:
    """The place of a person's table in the text, from its header to what belongs to the next one. ConfigError."""
    headers = list(re.finditer(_TABLE.format(name=re.escape(name)), text))
    if len(headers) != 1:
        raise _by_hand("change the person")
    following = _ANY_TABLE.search(text, headers[0].end())
    if following is None:
        return headers[0].start(), len(text)
    comments = _BEFORE_TABLE.search(text, headers[0].end(), following.start())  # they are about the next table
    return headers[0].start(), comments.start() if comments else following.start()


def _with_tokens(text: str, people: Mapping[str, ListedPerson], name: str, tokens: tuple[str, ...]) -> str:
    """The text with these tokens for a person. ConfigError."""
    start, end = _table(text, name)
    listed = ", ".join(f'"{token}"' for token in tokens)
    line = f"token_sha256 = [{listed}]" if len(tokens) > 1 else f"token_sha256 = {listed}"
    changed = text[:start] + _TOKENS.sub(line, text[start:end], count=1) + text[end:]
    if {**people, name: replace(people[name], tokens=tokens)} != parse_people(changed):
        raise _by_hand("change the tokens of the person")
    return changed


def _by_hand(what: str) -> ConfigError:
    return ConfigError(SETTING, f"The file is written in a way that this command cannot change: {what} by hand.")


def _say(sentence: str) -> None:
    print(f"kustom-mcp: {sentence}", file=sys.stderr)
