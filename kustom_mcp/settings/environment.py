"""Reading of the settings from environment variables and an env file.

A typing error must not switch a protection off, so a name that resembles a setting is an error, and so is one that only
a later version knows. A literal `${...}` that the host did not fill in, and an empty list, are errors for a protection;
any other setting then counts as not set, and the operator is told. Any other empty value is simply not set.
"""

from __future__ import annotations

import logging
import os
import re
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from stat import S_ISFIFO, S_ISREG
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, TypeVar, cast

from pydantic import SecretStr, ValidationError
from pydantic.fields import FieldInfo

from kustom_mcp.settings.settings import LISTS, SECRETS, TIMEZONE, ConfigError, Settings, require_clean
from kustom_mcp.settings.validators import hooks_secrets, merchant_id, plain

PREFIX = "KUSTOM_"
TELEMETRY = "OTEL_"  # names that are OpenTelemetry's, not ours
FIRST = 6  # so many settings matter first
_PLACEHOLDER = re.compile(r"\$\{[^{}]*\}")
_PROTECTS = re.compile(
    r"KUSTOM_(WRITES|TOOLS|CONFIRM|MAX_.+|ORDER_SCOPE|TRACKING_HOSTS|PII|PEOPLE_FILE|HTTP_.+|OAUTH_.+)"
)
GONE: Mapping[str, str] = dict.fromkeys(
    ("KUSTOM_HOOKS_HEADER", "KUSTOM_HOOKS_ENCODING"),
    "There is no such setting any more: webhooks are signed by the Standard Webhooks specification. Leave it out.",
)
"""Settings that there were, and why they are gone."""
_NOT_SUCH_A_NUMBER = ("int_parsing", "int_parsing_size", "float_parsing", "greater_than_equal", "less_than_equal")
_NEARLY_ALL = 0.85
"""Share of equal letters from which a name in an env file is taken for a typing error: KUSTON_WRITE."""
_SECRET_LIMIT = 64 * 1024  # bytes; a key has less than a hundred
_ENV_FILE_LIMIT = 1024 * 1024  # bytes
PIPE_PATIENCE = 10  # seconds for the other end of a pipe, such as a password manager that asks a person

if TYPE_CHECKING:
    from kustom_mcp.settings.shops_file import ShopsFile

T = TypeVar("T")
_SHOPS = "KUSTOM_SHOPS_FILE"
_SANDBOX = "sandbox"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Loaded:
    """The settings, and sentences for the operator. `telemetry`: the OTEL_ variables that are set. `by_default`:
    whether it is the sandbox because neither credentials nor an environment were given."""

    settings: Settings
    warnings: tuple[str, ...] = ()
    telemetry: Mapping[str, str] = field(default_factory=dict[str, str])
    by_default: bool = field(default=False, compare=False)
    shops: ShopsFile | None = field(default=None, compare=False)
    """The shops of KUSTOM_SHOPS_FILE; None without it."""
    timezone: str = field(default=TIMEZONE, compare=False)
    """That of the shop, by its IANA name: dates are of it."""


def load(environ: Mapping[str, str], env_file: Path | None = None, *, read_shops: bool = True) -> Loaded:
    """Load settings from `environ`, and from `env_file` where `environ` leaves them unset. ConfigError when one is
    wrong. `read_shops`: False where the shops file may not be there yet."""
    in_file = _read_env_file(env_file) if env_file else {}
    for name in environ:
        meant = _disguised(name)
        if meant:
            raise ConfigError(meant, "The environment has this name in other letters or signs: write it so.")
    values: dict[str, str] = {}
    unset: dict[str, str] = {}
    for source in (in_file, environ):
        given = {name: _trimmed(name, value) for name, value in source.items() if _ours(name)}
        not_set = {name: why for name, value in given.items() if (why := _not_filled_in(name, value))}
        for name, why in not_set.items():
            if _PROTECTS.fullmatch(name):
                raise ConfigError(name, f"It is {why}. Set it, or leave it out: a protection must not go missing.")
        unset |= not_set
        values |= {name: value for name, value in given.items() if value and name not in not_set}
    warnings = [f"{name} is {unset[name]}, so it counts as not set." for name in sorted(unset.keys() - values.keys())]
    read = Path(values[_SHOPS]).expanduser() if values.get(_SHOPS, _SANDBOX) != _SANDBOX else None
    if read is not None and not read_shops and not read.exists():
        read = None
    warnings += _check_names({*values, *unset} - (_variables_for_keys(read) if read else set()))
    settings = settings_from({name.removeprefix(PREFIX).lower(): value for name, value in _known(values).items()})
    if settings.sandboxed and (settings.username or settings.api_key):
        warnings.append("KUSTOM_ENVIRONMENT is sandbox, so the credentials are not used.")
    if merchant_id(settings.username) not in ("", settings.merchant):
        warnings.append("KUSTOM_MERCHANT is not the merchant that KUSTOM_USERNAME begins with; KUSTOM_MERCHANT counts.")
    by_default = settings.sandboxed and not settings.shops_file and f"{PREFIX}ENVIRONMENT" not in values
    shops = _shops(settings, {**in_file, **environ}) if settings.shops_file and read_shops else None
    return Loaded(settings, tuple(warnings), _telemetry(in_file, environ), by_default, shops)


def load_beside_shops(
    environ: Mapping[str, str], env_file: Path | None = None
) -> tuple[Settings, Path, Mapping[str, str]]:
    """Return the settings that bound the shops, the path of the shops file, which need not be there yet, and the
    variables that it may take keys from. ConfigError, also without a path."""
    settings = load(environ, env_file, read_shops=False).settings
    if settings.shops_file in (None, _SANDBOX):
        raise ConfigError(_SHOPS, "This command adds a shop to the file that it names: set it to a path.")
    variables = {**(_read_env_file(env_file) if env_file else {}), **environ}
    return settings, Path(settings.shops_file or "").expanduser().resolve(), variables


def variables_in(env_file: Path) -> set[str]:
    """Return the names of all variables that an env file sets. ConfigError."""
    return set(_read_env_file(env_file))


def _variables_for_keys(path: Path) -> set[str]:
    """Return the variables that a shops file takes keys from: they are no settings, and no misspelt ones."""
    from kustom_mcp.settings.private_toml import read_private
    from kustom_mcp.settings.shops_file import key_variables  # only where there are several shops

    return key_variables(read_private(_SHOPS, path))


def _shops(settings: Settings, environ: Mapping[str, str]) -> ShopsFile:
    from kustom_mcp.settings.shops_file import ShopsFile

    return ShopsFile(settings, environ)


class SettingRow(NamedTuple):
    """One setting, as the documents list it."""

    name: str
    default: str
    meaning: str


def table() -> list[SettingRow]:
    """List every setting with its default and meaning, the ones that matter first."""
    return [
        SettingRow(PREFIX + name.upper(), _shown(field) or _literal(field) or "-", field.description or "")
        for name, field in Settings.model_fields.items()
    ]


def env_example() -> str:
    """Return the text of `.env.example`: every setting, commented out, with its meaning."""
    lines = ["# Settings of kustom-mcp. Pass the file with --env-file; a .env is not read by itself.", ""]
    for number, (row, info) in enumerate(zip(table(), Settings.model_fields.values(), strict=True)):
        if number in (0, FIRST):
            lines += [f"# --- {'The six that matter first' if number == 0 else 'The others'} ---", ""]
        default = "" if row.default == "-" else f" Default: {row.default}."
        lines += [f"# {row.meaning}{default}", f"# {row.name}={'' if _shown(info) else _literal(info)}", ""]
    return "\n".join(lines)


def _shown(field: FieldInfo) -> str:
    """Return a default that is a rule, in words."""
    return cast("dict[str, str]", field.json_schema_extra or {}).get("shown", "")


def _literal(field: FieldInfo) -> str:
    """Return a default that is a value, as one would write it; "" when there is none."""
    default = cast("object", field.default)
    return ",".join(cast("tuple[str, ...]", default)) if isinstance(default, tuple) else str(default or "")


def _telemetry(*sources: Mapping[str, str]) -> dict[str, str]:
    """Return the OTEL_ variables that are set; a later source wins."""
    return {
        name: value.strip()
        for source in sources
        for name, value in source.items()
        if name.startswith(TELEMETRY) and value.strip() and not _PLACEHOLDER.fullmatch(value.strip())
    }


def _ours(name: str) -> bool:
    return name.upper().startswith(PREFIX)


def _field(name: str) -> str:
    """Return the field of `Settings` that belongs to a variable; "" for any other variable."""
    field = name.removeprefix(PREFIX).lower()
    return field if name == PREFIX + field.upper() and field in Settings.model_fields else ""


def _trimmed(name: str, value: str) -> str:
    """Strip the blanks around a value. A line break around a secret stays, to be refused."""
    return value.strip(" \t" if _field(name) in SECRETS else None)


def _not_filled_in(name: str, value: str) -> str | None:
    """Name the kind of a value that stands for one that was forgotten; None for a real value."""
    if not value and _field(name) in LISTS:
        return "an empty list"
    if _PLACEHOLDER.fullmatch(value) or (_PROTECTS.fullmatch(name) and _PLACEHOLDER.search(value)):
        return "still a literal ${...}, which the host did not fill in"
    return None


def _names() -> list[str]:
    return [row.name for row in table()]


def _known(values: Mapping[str, str]) -> dict[str, str]:
    return {name: values[name] for name in _names() if name in values}


def _check_names(names: Iterable[str]) -> list[str]:
    """Return warnings about unknown names. ConfigError for a name that resembles a setting."""
    known = _names()
    warnings: list[str] = []
    for name in sorted(names):
        if name in known:
            continue
        if name.upper() in GONE:
            raise ConfigError(name, GONE[name.upper()])
        if name.upper() in known:
            raise ConfigError(name, f"Names of settings are upper case: {name.upper()}.")
        meant = _resembling(name.upper(), known)
        if meant:
            raise ConfigError(name, f"There is no such setting. Did you mean {meant}?")
        warnings.append(f"{name} is not a setting of kustom-mcp and has no effect.")
    return warnings


def _resembling(name: str, known: list[str]) -> str | None:
    """Return the setting that a name was probably meant to be: nearly the same letters, the start of a name, or its
    words in another order, with one more or less."""
    from difflib import get_close_matches  # only for a name that is not known

    same = next((setting for setting in known if _letters(setting) == _letters(name)), None)
    if same:
        return same
    endings = {setting.removeprefix(PREFIX): setting for setting in known}
    ending = name.removeprefix(PREFIX)
    if ending in _ELSEWHERE:
        return PREFIX + _ELSEWHERE[ending]
    close = get_close_matches(ending, endings, n=1, cutoff=0.8)
    short = [full for full in endings if len(ending) >= 3 and full.startswith(ending)]
    found = close or short or get_close_matches(ending, [full for full in endings if _same_words(ending, full)], 1, 0)
    return endings[found[0]] if found else None


_ELSEWHERE: Final = {"READ_ONLY": "WRITES", "READONLY": "WRITES", "PASSWORD": "API_KEY"}
"""Names that other servers have for a setting."""


def _same_words(one: str, other: str) -> bool:
    """Return whether each word of the name with fewer words begins one of the other's, or the reverse."""
    fewer, more = sorted((one.split("_"), other.split("_")), key=len)
    return all(any(_begins(word, its) for its in more) for word in fewer)


def _begins(one: str, other: str) -> bool:
    shorter, longer = sorted((one, other), key=len)
    return longer == shorter or (len(shorter) >= 4 and longer.startswith(shorter))


def _letters(name: str) -> str:
    """Return the letters and digits of a name, upper case, in the Latin alphabet."""
    return re.sub("[^A-Z0-9]", "", plain(name).upper())


def _disguised(name: str) -> str | None:
    """Return the setting whose letters a name has that does not begin like one: KUSTOM-WRITES, KUSTOMWRITES."""
    if name.isascii() and "KUSTOM" not in name.upper():  # nearly all of an environment
        return None
    letters = _letters(name)
    names = () if _ours(name) else (*_names(), *GONE)
    return next((known for known in names if _letters(known) == letters), None)


def _mistyped(name: str) -> str | None:
    """Return the setting that a name in an env file was probably meant to be, although it does not begin like one."""
    from difflib import get_close_matches  # only where a file is given

    if _ours(name) or name.startswith(TELEMETRY):
        return None
    known = {_letters(setting): setting for setting in (*_names(), *GONE)}
    close = get_close_matches(_letters(name), known, n=1, cutoff=_NEARLY_ALL)
    return known[close[0]] if close else None


def settings_from(values: dict[str, Any]) -> Settings:
    """Return the settings of these values, by field; secrets may be in files. ConfigError."""
    for secret in ("api_key", "http_token", "store", "hooks_path", "hooks_secret"):
        name = f"{PREFIX}{secret.upper()}"
        if f"{secret}_file" in values:
            if secret in values:
                raise ConfigError(f"{name}_FILE", f"Give either this or {name}, not both.")
            values[secret] = _read_secret(f"{name}_FILE", secret, Path(values[f"{secret}_file"]).expanduser())
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        problem = error.errors(include_input=False, include_url=False, include_context=False)[0]
    name = PREFIX + str(problem["loc"][0]).upper()
    raise ConfigError(name, _rule(problem["type"], problem["msg"], Settings.model_fields[str(problem["loc"][0])]))


def _rule(kind: str, message: str, field: FieldInfo) -> str:
    """State the rule for a value in our own words."""
    if kind in _NOT_SUCH_A_NUMBER:
        least, most = (next(getattr(one, of) for one in field.metadata if hasattr(one, of)) for of in ("ge", "le"))
        return f"It is a {'whole ' if field.annotation is int else ''}number from {least} to {most}."
    return message.removeprefix("Value error, ").replace("Input should be", "It is", 1).rstrip(".") + "."


def _read_secret(setting: str, name: str, path: Path) -> str:
    """Read the secret `name` from a file, without the line break at its end. ConfigError."""
    text = _text_of(setting, path, _SECRET_LIMIT).rstrip("\r\n\t ").lstrip("\t ")
    if not text:
        raise ConfigError(setting, "The file is empty.")
    require_clean(setting, name, text)
    return text


def _text_of(setting: str, path: Path, limit: int) -> str:
    """Return the text of a file or a pipe, without the byte order mark at its start. ConfigError."""
    try:
        if S_ISFIFO(path.stat().st_mode):
            data = _from_pipe(setting, path, limit)
        else:
            with path.open("rb") as file:
                data = file.read(limit)
        return data.decode("utf-8-sig")
    except (OSError, ValueError):
        problem = ConfigError(setting, "The file cannot be read as text (UTF-8).")
    raise problem


def _from_pipe(setting: str, path: Path, limit: int) -> bytes:
    """Read a pipe to its end. ConfigError where it does not come: a plain read would wait for a writer forever."""
    from select import select

    end, data = time.monotonic() + PIPE_PATIENCE, b""
    pipe = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        while len(data) < limit:
            ready, _, _ = select([pipe], [], [], max(0.0, end - time.monotonic()))
            if not ready:
                raise ConfigError(setting, f"It is a pipe, and nobody wrote all of it within {PIPE_PATIENCE} seconds.")
            part = os.read(pipe, limit - len(data))
            if not part:
                break
            data += part
    finally:
        os.close(pipe)
    return data


class WatchedFile(ABC, Generic[T]):
    """The value in a file of a server that runs, read again when the file changes. `setting` names the file; `now`: the
    value until then.

    Content that may not be used, or cannot be read, is reported on stderr, and the value before stays in use: the file
    may be in the middle of being written. A pipe is read once. A file that has been removed has not changed, which is
    reported once.
    """

    what: str
    """The name of the value for the operator."""

    def __init__(self, setting: str, path: Path | None, now: T) -> None:
        self.setting = setting
        self._path = path.expanduser() if path else None
        self._now = now
        self._seen = _version(self._path)
        self._gone = False

    @abstractmethod
    def _read(self, path: Path) -> T:
        """Read the value. ConfigError, ValueError where it may not be used."""

    def __call__(self) -> T:
        """Return the value as it is now."""
        found = _version(self._path)
        if found is None and self._seen is not None and not self._gone:
            log.error("%s: The file is not there any more. The %s from before is used on.", self.setting, self.what)
        self._gone = found is None
        if self._path is not None and found and found != self._seen:
            self._seen = found
            try:
                self._now = self._read(self._path)
            except ConfigError as error:
                log.error("%s The %s from before is used on.", error, self.what)
            except ValueError as error:
                log.error("%s: %s The %s from before is used on.", self.setting, error, self.what)
        return self._now


class _SecretFile(WatchedFile[T]):
    """A secret of a server that runs, read again when its file has changed."""

    def __init__(self, name: str, path: Path | None, now: T) -> None:
        super().__init__(f"{PREFIX}{name.upper()}_FILE", path, now)
        self._name = name

    @abstractmethod
    def _taken(self, text: str) -> T:
        """Turn a clean text into the secret. ConfigError, ValueError where it may not be used."""

    def _read(self, path: Path) -> T:
        return self._taken(_read_secret(self.setting, self._name, path))


class KeyFile(_SecretFile[SecretStr]):
    """The API key for the next request. A live key never goes where a test key went."""

    what = "API key"

    def __init__(self, settings: Settings) -> None:
        path = None if settings.sandboxed else settings.api_key_file
        super().__init__("api_key", path, settings.effective_api_key)
        self._settings = settings

    def _taken(self, text: str) -> SecretStr:
        key = SecretStr(text)
        self._settings.require_fits(key)
        return key


class HooksFile(_SecretFile[tuple[SecretStr, ...]]):
    """The secrets that the next webhook may be signed with; none where webhooks are not verified."""

    what = "signing secret"

    def __init__(self, settings: Settings) -> None:
        super().__init__("hooks_secret", settings.hooks_secret_file, settings.hooks_secret)

    def _taken(self, text: str) -> tuple[SecretStr, ...]:
        return tuple(map(SecretStr, cast("tuple[str, ...]", hooks_secrets(text))))


def _version(path: Path | None) -> tuple[int, ...] | None:
    """Return a value that differs when a file was changed or replaced; None for a file that cannot be read twice."""
    try:
        found = path.stat() if path else None
    except OSError:
        return None
    if found is None or not S_ISREG(found.st_mode):
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _read_env_file(path: Path) -> dict[str, str]:
    """Read the variables of an env file; `${...}` is not expanded. A line that is no assignment is an error, and so
    is a setting with two values."""
    from dotenv.parser import parse_stream  # only where a file is given

    found: dict[str, str] = {}
    text = _text_of("--env-file", path, _ENV_FILE_LIMIT)
    for binding in parse_stream(StringIO(text, newline=None)):
        written = binding.original.string  # with the empty lines before it
        line = f"Line {binding.original.line + written[: len(written) - len(written.lstrip())].count(chr(10))}"
        if binding.error or (binding.key is not None and binding.value is None):
            raise ConfigError("--env-file", f"{line} is not NAME=value.")
        if binding.key is None or binding.value is None:
            continue
        if not binding.key.isprintable():
            raise ConfigError("--env-file", f"{line} has an invisible character in its name.")
        meant = _mistyped(binding.key)
        if meant:
            raise ConfigError(
                "--env-file",
                f"{line} sets nothing that kustom-mcp knows. Did you mean {meant}? Then write it "
                "so; if another program reads that line, move it to a file of that program's own.",
            )
        value = binding.value.strip() if _field(binding.key) not in SECRETS else binding.value
        if binding.key in found and found[binding.key] != value and binding.key.upper().startswith((PREFIX, TELEMETRY)):
            raise ConfigError(binding.key, "It is twice in the file of --env-file, with different values: keep one.")
        found[binding.key] = value
    return found
