"""The kinds of value that a configuration is made of: models, durations, sizes, references to secrets.

Pure: a reference to a secret is only named here; settings.py is what reads it.
"""

import re
from typing import Annotated, Final, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, model_validator

from ecrmint.tokens import Secret

_T = TypeVar("_T")

_SECONDS: Final = {"s": 1, "m": 60, "h": 3600}
_BYTES: Final = {"": 1, "KiB": 1 << 10, "MiB": 1 << 20}


class Model(BaseModel):
    """A part of the configuration: frozen, strict about types, and an unknown key is an error."""

    # Inputs are hidden because pydantic's own texts would print a misplaced secret.
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


def parse_duration(text: object) -> float:
    """Return the seconds of ``90s``, ``10m`` or ``1h``. Raises: ValueError."""
    match = re.fullmatch(r"([0-9]{1,9})([smh])", text, re.ASCII) if isinstance(text, str) else None
    if match is None:
        raise ValueError("expected a duration such as 90s, 10m or 1h")
    return float(int(match[1]) * _SECONDS[match[2]])


def parse_size(text: object) -> int:
    """Return the bytes of ``512``, ``64KiB`` or ``1MiB``. Raises: ValueError."""
    match = re.fullmatch(r"([0-9]{1,9})(KiB|MiB|)", str(text), re.ASCII) if not isinstance(text, bool) else None
    if match is None:
        raise ValueError("expected a size such as 64KiB or 1MiB")
    return int(match[1]) * _BYTES[match[2]]


def check_name(text: str) -> str:
    """Return the text where it is a name. Raises: ValueError."""
    # Names are labels of metrics, fields of the log and words in a query.
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}", text, re.ASCII) is None:
        raise ValueError("expected a name: 1 to 63 of A-Z a-z 0-9 _ . - of which the first is a letter or digit")
    return text


def to_digits(value: object) -> object:
    """Return a whole number's digits; anything else as it is."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _check_said(value: _T | None) -> _T | None:
    # YAML's null. `trusted:` with its value forgotten would restrict nothing, `role_arn:` would narrow nothing.
    if value is None:
        raise ValueError("expected a value, or no such key")
    return value


Said = Annotated[_T | None, AfterValidator(_check_said)]
"""What a key says that may be left out: None then, and only then."""

Name = Annotated[str, AfterValidator(check_name)]
"""What something in the configuration is called by."""

Digits = Annotated[str, BeforeValidator(to_digits)]
"""A text, for which a whole number counts as its digits."""

Duration = Annotated[float, BeforeValidator(parse_duration)]
"""Seconds, written ``90s``, ``10m`` or ``1h``."""

Size = Annotated[int, BeforeValidator(parse_size)]
"""Bytes, written ``64KiB`` or ``1MiB``."""

SecretText = Annotated[Secret, BeforeValidator(lambda text: Secret(text) if isinstance(text, str) else text)]
"""A secret written into the configuration itself."""


class SecretSource(Model):
    """Where a secret comes from: exactly one of a file, an environment variable or the value itself."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    file: str | None = None
    env: str | None = None
    value: SecretText | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> "SecretSource":
        if sum(source is not None for source in (self.file, self.env, self.value)) != 1:
            raise ValueError("expected exactly one of file, env, value")
        return self
