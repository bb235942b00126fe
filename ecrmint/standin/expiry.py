"""The end of what was issued, as an answer says it: the truth, or what the API's faults make of it."""

from datetime import UTC, datetime
from typing import Final

from ecrmint.standin.cloud import Cloud
from ecrmint.standin.faults import Api

_LAST: Final = 253402300799.0  # 9999-12-31T23:59:59Z, the last second that Python's datetime has
_AGO: Final = 60.0  # seconds


def as_text(cloud: Cloud, api: Api, moment: float) -> str | None:
    """Return it in ISO 8601; None where it is to be left out."""
    expires = cloud.faults[api].expires
    if expires == "missing":
        return None
    text = datetime.fromtimestamp(_said(cloud, api, moment), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return text.removesuffix("Z") if expires == "no_zone" else text


def as_number(cloud: Cloud, api: Api, moment: float) -> float | str | None:
    """Return it in epoch seconds, a text where it is to have no zone; None where it is to be left out."""
    if cloud.faults[api].expires in ("missing", "no_zone"):
        return as_text(cloud, api, moment)
    return round(_said(cloud, api, moment), 3)


def _said(cloud: Cloud, api: Api, moment: float) -> float:
    match cloud.faults[api].expires:
        case "expired":
            return cloud.clock() - _AGO
        case "year_9999":
            return _LAST
    return moment
