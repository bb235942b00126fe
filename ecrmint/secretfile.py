"""Reads one secret from where the configuration says that it is. No message here holds any part of it."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from ecrmint.fields import SecretSource
from ecrmint.tokens import Secret
from ecrmint.yamlfile import looks_random

_LARGEST: Final = 64 << 10  # bytes; so that a wrong path such as /dev/zero ends
_VARIABLE: Final = re.compile(r"[A-Z_][A-Z0-9_]{0,63}", re.ASCII)


def read_secret(source: SecretSource, environ: Mapping[str, str]) -> Secret:
    """Return the secret; one line end at the end of a file is not part of it. Raises: ValueError, with a plain text."""
    if source.file is not None:
        text = _without_line_end(_read_file(source.file))
        what = f"the file {_shown(source.file)}".rstrip()
    elif source.env is not None:
        text = _read_variable(source.env, environ)
        what = f"the environment variable {source.env}"
    else:
        text = source.value.reveal() if source.value is not None else ""
        what = "the value"
    if not text:
        raise ValueError(f"{what} is empty, expected a secret")
    return Secret(text)


def _read_file(name: str) -> str:
    try:
        with Path(name).open("rb") as file:
            content = file.read(_LARGEST + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a file's name"
        raise ValueError(f"can't read the file {_shown(name)}: {reason}") from None
    if len(content) > _LARGEST:
        raise ValueError(f"the file {_shown(name)} is larger than {_LARGEST >> 10} KiB, expected a secret")
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise ValueError(f"the file {_shown(name)} is not UTF-8 text, expected a secret") from None


def _read_variable(name: str, environ: Mapping[str, str]) -> str:
    if _VARIABLE.fullmatch(name) is None:
        # Perhaps the secret itself, so it isn't shown.
        raise ValueError("`env` takes the name of an environment variable: A-Z, 0-9 and _")
    if name not in environ:
        raise ValueError(f"the environment variable {name} is not set")
    return environ[name]


def _without_line_end(text: str) -> str:
    return text.removesuffix("\n").removesuffix("\r") if text.endswith("\n") else text


def _shown(name: str) -> str:
    return "(not shown: it may be a secret)" if looks_random(name) else name
