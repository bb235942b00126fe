"""A service account's email, as configurations and credentials files have it.

Source: IAM REST reference, ``projects.serviceAccounts``: ``-`` stands for the project, which the email says anyway.
"""

import re
from typing import Final

EMAIL: Final = r"[a-z0-9][a-z0-9-]{0,62}@(?:[a-z0-9-]{1,63}\.){1,8}gserviceaccount\.com"
_EMAIL: Final = re.compile(EMAIL, re.ASCII)
_RESOURCE: Final = "projects/-/serviceAccounts/"


def is_email(text: str) -> bool:
    """Return whether this is a service account's email. A GKE workload pool's name is none."""
    return _EMAIL.fullmatch(text) is not None


def check_email(text: str) -> str:
    """Return a service account's email. Raises: ValueError."""
    if not is_email(text):
        raise ValueError("expected a service account's email: NAME@PROJECT.iam.gserviceaccount.com")
    return text


def check_delegate(text: str) -> str:
    """Return the email of a delegate, which may be written as the API has it. Raises: ValueError."""
    return check_email(text.removeprefix(_RESOURCE))


def resource_of(email: str) -> str:
    """Return how the API has it."""
    return f"{_RESOURCE}{email}"
