"""Which hosts are a registry of Google's, in which universe, and never one that only looks like it."""

import pytest
from support.accounts import account, complaint, minters

from ecrmint.minters._google.hosts import check_extra, check_google, forms_of, universe_of

PUBLIC = "googleapis.com"
S3NS = "s3nsapis.fr"
BERLIN = "apis-berlin-build0.goog"


@pytest.mark.parametrize(
    ("host", "universe"),
    [
        ("gcr.io", PUBLIC),
        ("us.gcr.io", PUBLIC),
        ("eu.gcr.io", PUBLIC),
        ("asia.gcr.io", PUBLIC),
        ("us-docker.pkg.dev", PUBLIC),
        ("europe-docker.pkg.dev", PUBLIC),
        ("asia-docker.pkg.dev", PUBLIC),
        ("europe-west1-docker.pkg.dev", PUBLIC),
        ("me-central2-docker.pkg.dev", PUBLIC),
        ("africa-south1-docker.pkg.dev", PUBLIC),
        ("northamerica-northeast12-docker.pkg.dev", PUBLIC),
        ("atlantis-north99-docker.pkg.dev", PUBLIC),
        ("docker.us-central1.rep.pkg.dev", PUBLIC),
        ("docker.atlantis-north99.rep.pkg.dev", PUBLIC),
        ("docker.s3nsregistry.fr", S3NS),
        ("u-france-east1-docker.s3nsregistry.fr", S3NS),
        ("docker.pkg-berlin-build0.goog", BERLIN),
        ("u-germany-northeast1-docker.pkg-berlin-build0.goog", BERLIN),
        ("u-germany-northeast1q-docker.pkg-tpcone.goog", "apis-tpcone.goog"),
    ],
)
def test_a_host_of_googles_registries_is_known_with_its_universe(host: str, universe: str) -> None:
    assert check_google(host) == host
    assert universe_of(host) == universe


@pytest.mark.parametrize(
    "host",
    [
        "mirror.gcr.io",
        "marketplace.gcr.io",
        "evil.gcr.io",
        "k8s.gcr.io",
        "gcr.io.evil.example",
        "gcr.io-evil.example",
        "evilgcr.io",
        "gcrxio",
        "evil.example/europe-docker.pkg.dev",
        "evil.example/x-docker.pkg.dev",
        "x.europe-docker.pkg.dev",
        "docker.pkg.dev",
        "pkg.dev",
        "-docker.pkg.dev",
        "europe-west-docker.pkg.dev",
        "europe-west1-python.pkg.dev",
        "europe-docker.pkg.dev.evil.example",
        "europe-dockerxpkg.dev",
        "europe-docker-pkg.dev",
        "docker.europe.rep.pkg.dev",
        "docker.us-central1.rep.pkg.dev.evil.example",
        "us-central1.rep.pkg.dev",
        "evil.docker.us-central1.rep.pkg.dev",
        "docker.s3nsregistry.fr.evil.example",
        "evil.docker.s3nsregistry.fr",
        "france-east1-docker.s3nsregistry.fr",
        "docker.pkg-.evil.goog",
        "docker.evil.goog",
        "docker.pkg-evil.example",
        "container.cloud.google.com",
        "gcr.io\n",
        "GCR.io",
        "gcr.io:443",
        "gcr.io.",
        "gcr.\u0131o",
        "europe-west\u0661-docker.pkg.dev",
        "",
    ],
)
def test_what_only_looks_like_googles_host_is_none(host: str) -> None:
    assert universe_of(host) is None
    with pytest.raises(ValueError, match=r"^expected gcr\.io, .*; own names of such registries go into"):
        check_google(host)


@pytest.mark.parametrize("host", ["docker.acme.example", "registry.corp:5000", "marketplace.gcr.io", "10.0.0.1"])
def test_an_extra_host_is_named_by_the_configuration_alone(host: str) -> None:
    assert check_extra(host) == host
    made = minters({"type": "google", "registries": ("gcr.io",), "extra_registries": (host,)})
    assert (list(made), len(set(made.values()))) == (["gcr.io", host], 1)


@pytest.mark.parametrize(
    "host",
    [
        "mirror.gcr.io",
        "k8s.gcr.io",
        "gcr.io.evil.example",
        "evil.gcr.io",
        "europe-docker.pkg.dev.evil.example",
        "europe-west1-python.pkg.dev",
        "x-gcr.io",
        "gcr.io:443",
        "gcr.io-evil.example",
        "docker.pkg-evil.example",
        "evil.s3nsregistry.fr",
    ],
)
def test_an_extra_host_may_not_look_like_googles(host: str) -> None:
    with pytest.raises(ValueError, match=r"^looks like a registry of Google's and is none that takes a login$"):
        check_extra(host)


@pytest.mark.parametrize("host", ["gcr.io", "europe-docker.pkg.dev", "docker.s3nsregistry.fr"])
def test_googles_own_host_is_no_extra_one(host: str) -> None:
    with pytest.raises(ValueError, match=r"it belongs into `registries`$"):
        check_extra(host)


def test_an_account_may_have_extra_hosts_alone() -> None:
    kept = account(type="google", extra_registries=("docker.acme.example",))
    assert kept.hosts == ("docker.acme.example",)
    assert complaint(type="google") == ": registries: expected at least one entry, here or in extra_registries"


def test_a_registry_is_in_the_accounts_universe() -> None:
    assert account(type="google", registries=("docker.s3nsregistry.fr",), universe_domain=S3NS).hosts
    text = complaint(type="google", registries=("docker.s3nsregistry.fr", "gcr.io"), universe_domain=S3NS)
    assert text.startswith(": registries: gcr.io is in the universe googleapis.com, and universe_domain is s3nsapis.fr")


def test_a_host_of_another_universe_is_told_the_forms_of_this_one() -> None:
    text = complaint(type="google", registries=("docker.s3nsregistry.fr",))
    assert text.startswith(
        ": registries: docker.s3nsregistry.fr is in the universe s3nsapis.fr, and universe_domain is"
    )
    assert forms_of(PUBLIC).startswith("gcr.io, ")
    assert forms_of(S3NS) == "LOCATION-docker.s3nsregistry.fr"
    assert forms_of(BERLIN) == "LOCATION-docker.pkg-berlin-build0.goog"
    assert forms_of("acme.example").startswith("none that are known: ")


@pytest.mark.parametrize(
    "domain", ["", "googleapis", "https://googleapis.com", "googleapis.com.", "a b.c", "GOOGLE.com"]
)
def test_what_is_no_universe_is_refused(domain: str) -> None:
    assert complaint(type="google", registries=("gcr.io",), universe_domain=domain).startswith(
        "universe_domain: expected the domain of a universe's APIs"
    )
