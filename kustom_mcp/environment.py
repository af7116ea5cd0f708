"""Reading the settings from environment variables and an env file.

A typing error must not switch a protection off, so a name that resembles a setting is an error. What is empty, or still
a literal `${...}` because the host did not fill it in, counts as not set.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, cast

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from kustom_mcp.served import Served
from kustom_mcp.settings import ConfigError, Settings

PREFIX = "KUSTOM_"
TELEMETRY = "OTEL_"  # names that are OpenTelemetry's, not ours
FIRST = 6  # so many settings matter first
_PLACEHOLDER = re.compile(r"\$\{[^{}]*\}")
_NOT_SUCH_A_NUMBER = ("int_parsing", "int_parsing_size", "float_parsing", "greater_than_equal", "less_than_equal")
_SECRET_LIMIT = 64 * 1024  # bytes; a key has less than a hundred


@dataclass(frozen=True, slots=True)
class Loaded:
    """The settings, sentences for the operator, and the names that were treated as not set because of a `${...}`.

    `telemetry`: the OTEL_ variables that are set.
    """

    settings: Settings
    warnings: tuple[str, ...] = ()
    unset: tuple[str, ...] = ()
    telemetry: Mapping[str, str] = field(default_factory=dict[str, str])


def load(environ: Mapping[str, str], env_file: Path | None = None) -> Loaded:
    """Settings from `environ`, and from `env_file` where `environ` leaves them unset. ConfigError when one is wrong."""
    given = {name: value.strip() for name, value in environ.items() if _ours(name)}
    in_file = _read_env_file(env_file) if env_file else {}
    from_file = {name: value for name, value in in_file.items() if _ours(name)}
    unset = tuple(sorted({n for source in (given, from_file) for n, v in source.items() if _PLACEHOLDER.fullmatch(v)}))
    values = {
        name: value
        for source in (from_file, given)
        for name, value in source.items()
        if value and not _PLACEHOLDER.fullmatch(value)
    }
    warnings = _check_names(values)
    settings = _settings({name.removeprefix(PREFIX).lower(): value for name, value in _known(values).items()})
    if settings.sandboxed and (settings.username or settings.api_key):
        warnings.append("KUSTOM_ENVIRONMENT is sandbox, so the credentials are not used.")
    return Loaded(settings, tuple(warnings), tuple(n for n in unset if n not in values), _telemetry(in_file, environ))


class Row(NamedTuple):
    """One setting, as the documents list it."""

    name: str
    default: str
    meaning: str


def table() -> list[Row]:
    """Every setting with its default and meaning, the ones that matter first."""
    return [
        Row(PREFIX + name.upper(), _shown(field) or _literal(field) or "-", field.description or "")
        for name, field in _fields().items()
    ]


def env_example() -> str:
    """The text of `.env.example`: every setting, commented out, with its meaning."""
    lines = ["# Settings of kustom-mcp. Pass the file with --env-file; a .env is not read by itself.", ""]
    for number, (row, info) in enumerate(zip(table(), _fields().values(), strict=True)):
        if number in (0, FIRST):
            lines += [f"# --- {'The six that matter first' if number == 0 else 'The others'} ---", ""]
        default = "" if row.default == "-" else f" Default: {row.default}."
        lines += [f"# {row.meaning}{default}", f"# {row.name}={'' if _shown(info) else _literal(info)}", ""]
    return "\n".join(lines)


def _fields() -> dict[str, FieldInfo]:
    """Every field, those of a server for many last."""
    return dict(sorted(Settings.model_fields.items(), key=lambda item: item[0] in Served.model_fields))


def _shown(field: FieldInfo) -> str:
    """A default that is a rule, in words."""
    return cast("dict[str, str]", field.json_schema_extra or {}).get("shown", "")


def _literal(field: FieldInfo) -> str:
    """A default that is a value, as one would write it; "" when there is none."""
    default = cast("object", field.default)
    return ",".join(cast("tuple[str, ...]", default)) if isinstance(default, tuple) else str(default or "")


def _telemetry(*sources: Mapping[str, str]) -> dict[str, str]:
    """The OTEL_ variables that are set; a later source wins."""
    return {
        name: value.strip()
        for source in sources
        for name, value in source.items()
        if name.startswith(TELEMETRY) and value.strip() and not _PLACEHOLDER.fullmatch(value.strip())
    }


def _ours(name: str) -> bool:
    return name.upper().startswith(PREFIX)


def _names() -> list[str]:
    return [row.name for row in table()]


def _known(values: Mapping[str, str]) -> dict[str, str]:
    return {name: values[name] for name in _names() if name in values}


def _check_names(names: Iterable[str]) -> list[str]:
    """Warnings about names that mean nothing. ConfigError for a slip."""
    known = _names()
    warnings: list[str] = []
    for name in sorted(names):
        if name in known:
            continue
        if name.upper() in known:
            raise ConfigError(name, f"Names of settings are upper case: {name.upper()}.")
        meant = _resembling(name.upper(), known)
        if meant:
            raise ConfigError(name, f"There is no such setting. Did you mean {meant}?")
        warnings.append(f"{name} is not a setting of kustom-mcp and has no effect.")
    return warnings


def _resembling(name: str, known: list[str]) -> str | None:
    """The setting that a name was probably meant to be: nearly the same letters, or the start of a name."""
    from difflib import get_close_matches  # only for a name that is not known

    endings = {setting.removeprefix(PREFIX): setting for setting in known}
    ending = name.removeprefix(PREFIX)
    close = get_close_matches(ending, endings, n=1, cutoff=0.8)
    short = [full for full in endings if len(ending) >= 3 and full.startswith(ending)]
    found = close or short
    return endings[found[0]] if found else None


def _settings(values: dict[str, str]) -> Settings:
    for secret in ("api_key", "http_token", "store", "hooks_path", "hooks_secret"):
        name = f"{PREFIX}{secret.upper()}"
        if f"{secret}_file" in values:
            if secret in values:
                raise ConfigError(f"{name}_FILE", f"Give either this or {name}, not both.")
            values[secret] = _read_secret(f"{name}_FILE", Path(values[f"{secret}_file"]).expanduser())
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        problem = error.errors(include_input=False, include_url=False, include_context=False)[0]
    name = PREFIX + str(problem["loc"][0]).upper()
    raise ConfigError(name, _rule(problem["type"], problem["msg"], Settings.model_fields[str(problem["loc"][0])]))


def _rule(kind: str, message: str, field: FieldInfo) -> str:
    """What a value has to be, in words of ours."""
    if kind in _NOT_SUCH_A_NUMBER:
        least, most = (next(getattr(one, of) for one in field.metadata if hasattr(one, of)) for of in ("ge", "le"))
        return f"It is a {'whole ' if field.annotation is int else ''}number from {least} to {most}."
    return message.removeprefix("Value error, ").replace("Input should be", "It is", 1).rstrip(".") + "."


def _read_secret(setting: str, path: Path) -> str:
    try:
        with path.open("rb") as file:
            text = file.read(_SECRET_LIMIT).decode().strip()
    except (OSError, ValueError):
        text = None
    if text is None:
        raise ConfigError(setting, "The file cannot be read as text.")
    if not text:
        raise ConfigError(setting, "The file is empty.")
    return text


def _read_env_file(path: Path) -> dict[str, str]:
    """The variables of an env file; `${...}` is not expanded. A line that is no assignment is an error."""
    from dotenv.parser import parse_stream  # only where a file is given

    found: dict[str, str] = {}
    try:
        with path.open(encoding="utf-8-sig") as stream:
            bindings = list(parse_stream(stream))
    except (OSError, ValueError):
        bindings = None
    if bindings is None:
        raise ConfigError("--env-file", "The file cannot be read as text.")
    for binding in bindings:
        if binding.error or (binding.key is not None and binding.value is None):
            raise ConfigError("--env-file", f"Line {binding.original.line} is not NAME=value.")
        if binding.key is not None and binding.value is not None:
            found[binding.key] = binding.value.strip()
    return found
