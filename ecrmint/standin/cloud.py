"""The state of the stand-in cloud: who exists, who trusts whom, what was issued, and what shall go wrong.

Tests and the demo build a world with the ``add_...`` and ``allow_...`` methods; the other files of this package are the
protocols that ask it. All times are epoch seconds of ``clock``, the cloud's own.
"""

import secrets
import string
import time
from base64 import b64encode
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from json import dumps
from math import inf
from typing import Final

from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

from ecrmint.standin import ecr_registry, oidc
from ecrmint.standin.ecr_registry import PUBLIC_HOSTS, EcrRegistry
from ecrmint.standin.faults import Api, Call, Faults
from ecrmint.standin.machines import Machines
from ecrmint.standin.oidc import OidcProvider, WebTrust
from ecrmint.standin.service_account import TOKEN_URI, ServiceAccount
from ecrmint.standin.session_context import SessionContext
from ecrmint.standin.workload_identity import (
    AwsPoolProvider,
    OidcPoolProvider,
    PoolProvider,
    Subject,
    default_audiences,
)
from ecrmint.tokens import Secret

NO_TOKEN: Final = Secret("")  # what a user's key has instead of a session token
NO_CONTEXT: Final = SessionContext()
PACKED_BUDGET: Final = 4096  # characters of policy and tags together; AWS does not tell its own limit
ECR_LIFE: Final = 12 * 3600.0  # seconds; always, says the API reference of GetAuthorizationToken
GOOGLE_LIFE: Final = 3600  # seconds
METADATA_CACHE: Final = 300.0  # seconds that a token has left when the metadata server asks for a new one
UNIVERSE: Final = "googleapis.com"
CLOUD_PLATFORM: Final = "https://www.googleapis.com/auth/cloud-platform"
_ID_LETTERS: Final = string.ascii_uppercase + "234567"


@dataclass(frozen=True, slots=True)
class AccessKey:
    """A key that requests are signed with: a user's, or that of a role's session."""

    id: str
    secret: Secret
    arn: str  # as GetCallerIdentity names its bearer
    principal: str  # as a trust policy names its bearer: the user, or the session's role
    session_token: Secret = NO_TOKEN
    expires_at: float = inf
    context: SessionContext = NO_CONTEXT

    @property
    def account(self) -> str:
        """The 12 digits of the bearer's account."""
        return account_of(self.arn)

    @property
    def is_session(self) -> bool:
        """Whether it came from a role."""
        return self.expires_at < inf

    def may(self, action: str, resource: str) -> bool:
        """Say whether its session policy, if it has one, allows that; all else is allowed to everybody here."""
        return self.context.policy is None or self.context.policy.allows(action, resource)


@dataclass(frozen=True, slots=True)
class Role:
    """An IAM role: which principals may assume it, and what else they must say."""

    arn: str
    trust: frozenset[str]  # ARNs of users and roles, or arn:aws:iam::ACCOUNT:root for all of an account
    external_id: str | None
    max_session: int  # seconds
    tag_session: bool  # whether those it trusts may also pass tags
    set_source_identity: bool  # ... and a source identity
    web_trust: tuple[WebTrust, ...]  # whose tokens may assume it too
    id: str

    def admits(self, caller: AccessKey, external_id: str | None) -> bool:
        """Say whether that caller may assume it. An external id that nobody asked for does no harm, as in AWS."""
        partition = caller.arn.split(":")[1]
        trusted = self.trust & {caller.principal, f"arn:{partition}:iam::{caller.account}:root"}
        return bool(trusted) and self.external_id in (None, external_id)


@dataclass(frozen=True, slots=True)
class EcrLogin:
    """What GetAuthorizationToken issued: whose permissions it carries, for which registry, and until when."""

    key: AccessKey
    registry: EcrRegistry | None  # None: ECR Public
    expires_at: float

    @property
    def hosts(self) -> frozenset[str]:
        """The exact names that it is for."""
        return PUBLIC_HOSTS if self.registry is None else self.registry.hosts


@dataclass(frozen=True, slots=True)
class Repository:
    """One repository: the accounts that its own policy lets pull from it."""

    shared_with: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class GoogleToken:
    """What an access token is good for: whose it is, for which scopes, until when.

    ``principals``: a service account's email alone, or every name by which IAM's policies know a federated identity.
    """

    principals: frozenset[str]
    scopes: frozenset[str]
    expires_at: float


@dataclass(slots=True)
class Cloud:
    """One world of accounts. Not for several servers at once; its methods may be called from any thread."""

    clock: Callable[[], float] = time.time
    faults: defaultdict[Api, Faults] = field(default_factory=lambda: defaultdict(Faults))
    calls: list[Call] = field(default_factory=list)
    keys: dict[str, AccessKey] = field(default_factory=dict)
    roles: dict[str, Role] = field(default_factory=dict)
    oidc_providers: dict[tuple[str, str], OidcProvider] = field(default_factory=dict)  # by account and issuer
    machines: Machines = field(default_factory=Machines)
    disabled_regions: set[str] = field(default_factory=set)  # where STS is switched off
    packed_budget: int = PACKED_BUDGET
    ecr_logins: dict[Secret, EcrLogin] = field(default_factory=dict)
    repositories: dict[tuple[str, str], Repository] = field(default_factory=dict)  # by host and name
    pull_through: set[tuple[str, str]] = field(default_factory=set)  # hosts and the prefixes of names
    service_accounts: dict[str, ServiceAccount] = field(default_factory=dict)
    google_tokens: dict[Secret, GoogleToken] = field(default_factory=dict)
    pool_providers: dict[str, PoolProvider] = field(default_factory=dict)  # by the name that is their audience
    subject_token: Callable[[], str] | None = None  # what a workload's own token endpoint answers
    universe_domain: str = UNIVERSE
    google_hosts: set[str] = field(default_factory=set)  # registries besides the universe's own
    metadata_identity: str = ""  # the machine's service account, or a pool's name on GKE; "" for none
    metadata_principals: frozenset[str] = frozenset()  # whose the machine's token is
    metadata_cache: float = METADATA_CACHE  # seconds that its token has left when it becomes another; 0: none early
    _metadata_token: Secret | None = None

    def now(self) -> float:
        """Return the time of its clock, even if that is another one by then."""
        return self.clock()

    def calls_to(self, api: Api) -> list[Call]:
        """Return the calls of one API in the order of their arrival."""
        return [call for call in self.calls if call.api == api]

    def life(self, api: Api, seconds: float) -> float:
        """Return how long that API's next issue lives: ``seconds``, or what its faults say instead."""
        override = self.faults[api].life
        return seconds if override is None else override

    def add_key(self, arn: str) -> AccessKey:
        """Add a long-lived access key of that IAM user (its account is in the ARN) and return it."""
        return self._add(AccessKey(_random_id("AKIA"), _random_secret(30), arn, arn))

    def add_role(
        self,
        arn: str,
        *,
        trust: Sequence[str] = (),
        web_trust: Sequence[WebTrust] = (),
        external_id: str | None = None,
        max_session: int = 3600,
        tag_session: bool = False,
        set_source_identity: bool = False,
    ) -> None:
        """Add a role that the principals in ``trust`` may assume, for ``max_session`` seconds at most.

        ``web_trust``: the web identities that may assume it as well, from ``OidcProvider.trusted``.
        ``tag_session`` and ``set_source_identity``: its trust policy allows sts:TagSession and sts:SetSourceIdentity.
        """
        self.roles[arn] = Role(
            arn,
            trust=frozenset(trust),
            external_id=external_id,
            max_session=max_session,
            tag_session=tag_session,
            set_source_identity=set_source_identity,
            web_trust=tuple(web_trust),
            id=_random_id("AROA"),
        )

    def remove_role(self, arn: str) -> None:
        """Delete a role; its sessions live on."""
        del self.roles[arn]

    def add_oidc_provider(
        self, issuer: str, account: str, *, audiences: Iterable[str] = (oidc.AUDIENCE,)
    ) -> OidcProvider:
        """Let an account know that issuer (a URL), for tokens of those audiences; it mints them too.

        One issuer has one key, in however many accounts.
        """
        keys = [provider.key for provider in self.oidc_providers.values() if provider.issuer == issuer]
        key = keys[0] if keys else generate_private_key(65537, 2048)
        provider = OidcProvider(issuer, account, frozenset(audiences), clock=self.now, key=key)
        self.oidc_providers[account, issuer] = provider
        return provider

    def sessions_of(self, arn: str) -> list[AccessKey]:
        """Return every session that was issued of that role, the oldest first."""
        return [key for key in self.keys.values() if key.is_session and key.principal == arn]

    def issue_session(
        self, role: Role, *, name: str, seconds: float, context: SessionContext = NO_CONTEXT
    ) -> AccessKey:
        """Return temporary credentials of a role."""
        partition, account, role_name = role.arn.split(":")[1], account_of(role.arn), role.arn.rsplit("/", 1)[-1]
        return self._add(
            AccessKey(
                _random_id("ASIA"),
                _random_secret(30),
                arn=f"arn:{partition}:sts::{account}:assumed-role/{role_name}/{name}",
                principal=role.arn,
                session_token=_random_secret(300),
                expires_at=self.clock() + seconds,
                context=context,
            )
        )

    def issue_ecr_login(
        self, key: AccessKey, registry: EcrRegistry | None, *, seconds: float
    ) -> tuple[Secret, EcrLogin]:
        """Return a new password for the user ``AWS``, asked for with ``key``, and what it opens."""
        login = EcrLogin(key, registry, self.clock() + seconds)
        password = _ecr_password(login.expires_at)
        self.ecr_logins[password] = login
        return password, login

    def opens(self, login: EcrLogin, host: str) -> bool:
        """Say whether a login is for that host: its own registry, or one that shares something with its account."""
        if host in login.hosts:
            return True
        registry = ecr_registry.find(host)
        if login.registry is None or registry is None or registry.region != login.registry.region:
            return False
        there = [repository for (place, _), repository in self.repositories.items() if place == registry.host]
        return any(login.key.account in repository.shared_with for repository in there)

    def add_repository(self, host: str, name: str) -> None:
        """Add a repository to a registry, named by any of its hosts."""
        self.repositories[_place(host), name] = Repository()

    def share_repository(self, host: str, name: str, account: str) -> None:
        """Let an account's identities pull from a repository of another account, by the repository's policy."""
        self.repositories[_place(host), name].shared_with.add(account)

    def repository(self, host: str, name: str) -> Repository | None:
        """Return a repository, None where it does not exist."""
        return self.repositories.get((_place(host), name))

    def add_pull_through(self, host: str, prefix: str) -> None:
        """Let a first pull of ``prefix/...`` make the repository, as a pull-through cache rule does."""
        self.pull_through.add((_place(host), prefix))

    def pull_through_prefixes(self, host: str) -> set[str]:
        """Return the prefixes of a registry's pull-through cache rules."""
        return {prefix for place, prefix in self.pull_through if place == _place(host)}

    def add_service_account(self, email: str, *, max_lifetime: int = GOOGLE_LIFE) -> None:
        """Add a service account whose access tokens live ``max_lifetime`` seconds at most."""
        self.service_accounts[email] = ServiceAccount(email, max_lifetime)

    def create_key(self, email: str, *, token_uri: str = TOKEN_URI) -> dict[str, str]:
        """Return a new key of that service account, as Google's JSON file holds it."""
        return self.service_accounts[email].create_key(token_uri)

    def allow_impersonation(self, caller: str, target: str) -> None:
        """Let one identity mint access tokens of a service account, an email.

        ``caller`` is an email too, or a federated identity: principal://... or principalSet://...
        """
        self.service_accounts[target].impersonators.add(caller)

    def add_oidc_pool_provider(
        self, name: str, issuer: str, *, audiences: Iterable[str] = (), subjects: str = "*"
    ) -> OidcPoolProvider:
        """Let a workload identity pool trust that issuer (a URL), and return the provider, which mints tokens too.

        ``name``: //iam.googleapis.com/projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/PROVIDER.
        ``audiences``: whom its tokens are for, by default the provider. ``subjects``: a pattern of theirs.
        """
        wanted = frozenset(audiences) or default_audiences(name)
        key = generate_private_key(65537, 2048)
        provider = OidcPoolProvider(name, issuer, wanted, subjects, clock=self.now, key=key)
        self.pool_providers[name] = provider
        return provider

    def add_aws_pool_provider(self, name: str, account: str, *, subjects: str = "*") -> None:
        """Let a workload identity pool trust an AWS account; ``subjects`` is a pattern of callers' ARNs."""
        self.pool_providers[name] = AwsPoolProvider(name, account, subjects)

    def add_google_host(self, host: str) -> None:
        """Let one more registry take Google's tokens: a name of one's own for Private Service Connect, say."""
        self.google_hosts.add(host)

    def set_metadata_identity(self, email: str) -> None:
        """Make that service account the identity of the machine that the metadata server speaks for, as if new."""
        self.metadata_identity, self.metadata_principals, self._metadata_token = email, frozenset({email}), None

    def set_gke_identity(self, project: str, *, number: int, namespace: str, name: str) -> str:
        """Make a Kubernetes service account, bound to no service account, the machine's identity, as if new.

        Returns its principal: what to allow impersonation to.
        """
        pool = f"{project}.svc.id.goog"
        provider = f"//iam.googleapis.com/projects/{number}/locations/global/workloadIdentityPools/{pool}/providers/gke"
        principals = Subject(f"ns/{namespace}/sa/{name}").principals(provider)
        self.metadata_identity, self.metadata_principals, self._metadata_token = pool, principals, None
        return min(principals)

    def issue_google_token(self, principals: frozenset[str], scopes: frozenset[str], *, seconds: float) -> Secret:
        """Return a new access token of whoever goes by these names."""
        token = Secret(f"ya29.c.{secrets.token_urlsafe(700)}")
        self.google_tokens[token] = GoogleToken(principals, scopes, self.clock() + seconds)
        return token

    def metadata_token(self) -> tuple[Secret, GoogleToken]:
        """Return the machine's token: the same one until it is about to expire, as the real server does."""
        kept = self._metadata_token
        if kept is None or self.google_tokens[kept].expires_at - self.clock() <= self.metadata_cache:
            seconds = self.life("google.metadata", GOOGLE_LIFE)
            kept = self.issue_google_token(self.metadata_principals, frozenset({CLOUD_PLATFORM}), seconds=seconds)
            self._metadata_token = kept
        return kept, self.google_tokens[kept]

    def _add(self, key: AccessKey) -> AccessKey:
        self.keys[key.id] = key
        return key


def account_of(arn: str) -> str:
    """Return the account in an ARN."""
    return arn.split(":")[4]


def _place(host: str) -> str:
    """Return the plain host of the registry that has that one."""
    registry = ecr_registry.find(host)
    return host if registry is None else registry.host


def _random_id(prefix: str) -> str:
    return prefix + "".join(secrets.choice(_ID_LETTERS) for _ in range(16))


def _random_secret(size: int) -> Secret:
    return Secret(b64encode(secrets.token_bytes(size)).decode())


def _ecr_password(expires_at: float) -> Secret:
    """Return one of the form and size of the real ones (about 1.9 KB): code that cuts long passwords shall break."""
    parts = {
        "payload": b64encode(secrets.token_bytes(780)).decode(),
        "datakey": b64encode(secrets.token_bytes(184)).decode(),
        "version": "2",
        "type": "DATA_KEY",
        "expiration": int(expires_at),
    }
    return Secret(b64encode(dumps(parts).encode()).decode())
