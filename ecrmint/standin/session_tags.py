"""The tags that AssumeRole gives a session, and those that it passes on.

Source: AWS IAM User Guide, "Pass session tags in AWS STS"; the limits are those of botocore's model.
"""

import re
from collections.abc import Mapping
from typing import Final

from ecrmint.standin.faults import Failure, RefusedError
from ecrmint.standin.session_context import SessionContext
from ecrmint.standin.sts_form import Form, invalid

_MOST: Final = 50
_KEY: Final = re.compile(r"(?!aws:)[\w .:/=+@-]{1,128}")
_VALUE: Final = re.compile(r"[\w .:/=+@-]{0,256}")


def read_tags(form: Form, caller: SessionContext) -> SessionContext:
    """Return the context that the form's tags and those inherited from the caller make. Raises: RefusedError."""
    own = _read_own(form)
    lowered = {key.lower() for key in own}
    going_on = {value.lower() for name, value in form.items() if name.startswith("TransitiveTagKeys.member.")}
    if not going_on <= lowered:
        raise _unfit("The specified transitive tag key must be included in the requested tags.")
    if lowered & {key.lower() for key in caller.transitive}:
        raise _unfit("One of the specified tags can't be set: it is a transitive one of the calling session.")
    transitive = caller.transitive | {key for key in own if key.lower() in going_on}
    return SessionContext(tags={**caller.inherited, **own}, transitive=transitive)


def _read_own(form: Form) -> Mapping[str, str]:
    keys = {name: form[name] for name in form if re.fullmatch(r"Tags\.member\.\d+\.Key", name)}
    tags = {key: form.get(f"{name.removesuffix('Key')}Value", "") for name, key in keys.items()}
    if len(keys) > _MOST:
        raise invalid("Tags", f"Member must have length less than or equal to {_MOST}")
    for key, value in tags.items():
        if not _KEY.fullmatch(key) or not _VALUE.fullmatch(value):
            raise invalid("Tags", f"Member must satisfy regular expression pattern: {_KEY.pattern}")
    if len({key.lower() for key in tags}) < len(keys):
        raise _unfit("Duplicate tag keys found. Please note that Tag keys are case insensitive.")
    return tags


def _unfit(message: str) -> RefusedError:
    return RefusedError(Failure(400, "InvalidParameterValue", message))
