"""Accounts as a configuration has them, and their minters."""

from collections.abc import Mapping

from pydantic import TypeAdapter, ValidationError

from ecrmint.minters import Account, AccountModel, Minter, Resources

_ADAPTER: TypeAdapter[Account] = TypeAdapter(Account)


def account(**fields: object) -> AccountModel:
    """Return the account of these keys; lists are tuples, as the configuration's reader has them."""
    return _ADAPTER.validate_python(fields)


def complaint(**fields: object) -> str:
    """Return the one problem of these keys, ``place: text``."""
    try:
        account(**fields)
    except ValidationError as error:
        (detail,) = error.errors(include_input=False)
        place = ".".join(map(str, detail["loc"][1:]))
        return f"{place}: {detail['msg'].removeprefix('Value error, ')}"
    raise AssertionError("nothing was found wrong")


def minters(fields: Mapping[str, object], resources: Resources | None = None) -> Mapping[str, Minter]:
    """Return the minters of an account with these keys; its name is ``prod``."""
    return account(**fields).minters("prod", resources or Resources())


def minter(fields: Mapping[str, object], resources: Resources | None = None) -> Minter:
    """Return the minter of an account that has one."""
    (only,) = set(minters(fields, resources).values())
    return only
