"""Flags over environment over multiconnect.toml over defaults, with each value's origin kept.

An error names the value, the place it came from and what was expected there.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from multiconnect.config.options import ALIASES, BY_NAME, OPTIONS, Option, Value
from multiconnect.errors import InvalidSettings

CONFIG_FILE: Final = "multiconnect.toml"
CONFIG_VARIABLE: Final = "MULTICONNECT_CONFIG"
DEFAULT: Final = "default"


@dataclass(frozen=True, slots=True)
class Given:
    """A setting's text and where it was found."""

    text: str
    origin: str


@dataclass(frozen=True, slots=True)
class Resolved:
    """Every setting's value and where it came from (a flag, a variable, a file, "default")."""

    values: Mapping[str, Value]
    origins: Mapping[str, str]

    def is_set(self, name: str) -> bool:
        """Return whether somebody set it, rather than nobody."""
        return self.origins[name] != DEFAULT


def resolve(
    flags: Mapping[str, object],
    environment: Mapping[str, str],
    *,
    directory: Path,
    defaults: Mapping[str, str] | None = None,
) -> Resolved:
    """Return all settings. `flags` holds texts by name (None: not given) and perhaps "config".

    `defaults` replaces defaults of single settings for one command. Raises InvalidSettings.
    """
    file = _config_file(flags.get("config"), environment, directory)
    layers = (
        _from_flags(flags),
        _from_environment(environment),
        _from_file(file) if file else {},
    )
    values: dict[str, Value] = {}
    origins: dict[str, str] = {}
    for option in OPTIONS:
        fallback = Given((defaults or {}).get(option.name, option.default), DEFAULT)
        given = next((layer[option.name] for layer in layers if option.name in layer), fallback)
        values[option.name] = _parsed(option, given)
        origins[option.name] = given.origin
    return Resolved(values, origins)


def _parsed(option: Option, given: Given) -> Value:
    try:
        return option.parse(given.text)
    except ValueError as error:
        shown = "***" if option.secret else repr(given.text)
        raise InvalidSettings(
            f"{option.name} is {shown} ({given.origin}); expected {error}"
        ) from None


def _config_file(flag: object, environment: Mapping[str, str], directory: Path) -> Path | None:
    named = [(flag, "--config"), (environment.get(CONFIG_VARIABLE), CONFIG_VARIABLE)]
    for name, origin in named:
        if name:
            path = directory / str(name)
            if not path.is_file():
                raise InvalidSettings(f"{origin} is {str(name)!r}; expected a TOML file there")
            return path
    path = directory / CONFIG_FILE
    return path if path.is_file() else None


def _from_flags(flags: Mapping[str, object]) -> dict[str, Given]:
    found: dict[str, Given] = {}
    for option in OPTIONS:
        if flags.get(option.name) is not None:
            found[option.name] = Given(str(flags[option.name]), option.flag)
        elif option.secret and flags.get(f"{option.name}_file") is not None:
            name = str(flags[f"{option.name}_file"])
            found[option.name] = _from_secret_file(name, option.file_flag)
    return found


def _from_environment(environment: Mapping[str, str]) -> dict[str, Given]:
    found: dict[str, Given] = {}
    for option in OPTIONS:
        if environment.get(option.variable):
            found[option.name] = Given(environment[option.variable], option.variable)
        elif option.secret and environment.get(f"{option.variable}_FILE"):
            variable = f"{option.variable}_FILE"
            found[option.name] = _from_secret_file(environment[variable], variable)
    return found


def _from_file(path: Path) -> dict[str, Given]:
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidSettings(f"{path.name} cannot be read: {error}") from None
    found: dict[str, Given] = {}
    for key, value in _flat(tables, ""):
        name = ALIASES.get(key, key)
        origin = f"{path.name}: {key}"
        secret = name.removesuffix("_file")
        if name in BY_NAME:
            found[name] = Given(_as_text(value), origin)
        elif secret in BY_NAME and BY_NAME[secret].secret:
            found[secret] = _from_secret_file(str(path.parent / str(value)), origin)
        else:
            raise InvalidSettings(f"{path.name} sets {key!r}, which does not exist{_near(name)}")
    return found


def _from_secret_file(name: str, origin: str) -> Given:
    try:
        return Given(Path(name).read_text(encoding="utf-8").strip(), origin)
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidSettings(f"{origin} names a file that cannot be read: {error}") from None


def _flat(table: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, object]]:
    for key, value in table.items():
        name = prefix + key.replace("-", "_")
        if isinstance(value, dict):
            yield from _flat(value, f"{name}_")
        else:
            yield name, value


def _as_text(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value)


def _near(name: str) -> str:
    near = difflib.get_close_matches(name, [*BY_NAME, *ALIASES], n=1)
    return f"; did you mean {near[0]!r}?" if near else "; see `multiconnect config show`"
