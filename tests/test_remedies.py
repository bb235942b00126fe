"""What is missing where a cloud refuses: statements and commands, as they are pasted."""

import pytest

from ecrmint.errors import (
    CloudError,
    EcrmintError,
    LoginRefusedError,
    RegistryDeniedError,
    TagSessionDeniedError,
    TrustDeniedError,
    WebIdentity,
)
from ecrmint.remedies import Remedy, remedies

ROLE = "arn:aws-cn:iam::222222222222:role/team/pull"
SESSION = "arn:aws-cn:sts::111111111111:assumed-role/node/i-0123"
NODE = "arn:aws-cn:iam::111111111111:role/node"
EKS = WebIdentity("https://oidc.eks.eu-west-1.amazonaws.com/id/ABC", "system:serviceaccount:ci:ecrmint", "sts")
GOOGLE = WebIdentity("https://accounts.google.com", "1234567890", "ecrmint")


def denied(action: str, web: WebIdentity | None = None) -> TrustDeniedError:
    return TrustDeniedError("no", target=ROLE, action=action, web=web)


def test_a_session_is_named_by_its_role() -> None:
    assert remedies(denied("sts:AssumeRole"), provider="ecr", caller=SESSION) == [
        Remedy(
            f"the trust policy of {ROLE}",
            {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": NODE}},
        ),
        Remedy(f"a policy of {NODE}", {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": ROLE}),
    ]


def test_an_unknown_caller_leaves_a_place_to_fill_in() -> None:
    trust, _ = remedies(denied("sts:AssumeRole"), provider="ecr", caller="")
    assert isinstance(trust.content, dict)
    assert trust.content["Principal"] == {"AWS": "ARN-OF-OUR-OWN-IDENTITY"}


@pytest.mark.parametrize("action", ["sts:TagSession", "sts:SetSourceIdentity"])
def test_another_action_is_allowed_on_both_sides_whatever_the_external_id(action: str) -> None:
    error = TagSessionDeniedError("no", target=ROLE, action=action)
    contents = [remedy.content for remedy in remedies(error, provider="ecr", caller=SESSION)]
    assert contents == [
        {"Effect": "Allow", "Action": action, "Principal": {"AWS": NODE}},
        {"Effect": "Allow", "Action": action, "Resource": ROLE},
    ]


def test_a_web_identity_is_trusted_by_issuer_subject_and_audience() -> None:
    (remedy,) = remedies(denied("sts:AssumeRoleWithWebIdentity", EKS), provider="ecr", caller="")
    issuer = "oidc.eks.eu-west-1.amazonaws.com/id/ABC"
    assert remedy.content == {
        "Effect": "Allow",
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Principal": {"Federated": f"arn:aws-cn:iam::222222222222:oidc-provider/{issuer}"},
        "Condition": {"StringEquals": {f"{issuer}:sub": EKS.subject, f"{issuer}:aud": "sts"}},
    }


def test_google_s_own_issuer_is_built_into_iam_under_other_names() -> None:
    (remedy,) = remedies(denied("sts:AssumeRoleWithWebIdentity", GOOGLE), provider="ecr", caller="")
    assert isinstance(remedy.content, dict)
    assert remedy.content["Principal"] == {"Federated": "accounts.google.com"}
    assert remedy.content["Condition"] == {
        "StringEquals": {"accounts.google.com:sub": "1234567890", "accounts.google.com:oaud": "ecrmint"}
    }


def test_ecr_public_needs_two_actions() -> None:
    (remedy,) = remedies(RegistryDeniedError("no"), provider="ecr-public", caller=SESSION)
    assert isinstance(remedy.content, dict)
    assert remedy.content["Action"] == ["ecr-public:GetAuthorizationToken", "sts:GetServiceBearerToken"]


@pytest.mark.parametrize(
    ("target", "caller", "command"),
    [
        ("pull@acme.iam.gserviceaccount.com", "a@b.example", "--project=acme --member=serviceAccount:a@b.example "),
        ("1-compute@developer.gserviceaccount.com", "a@b.example", "com --member=serviceAccount:a@b.example "),
        ("pull@acme.iam.gserviceaccount.com", "acme.svc.id.goog", "--project=acme --member=MEMBER "),
        (
            "pull@acme.iam.gserviceaccount.com",
            "arn:aws:sts::1:assumed-role/ci/me@b.example",
            "--project=acme --member=MEMBER ",
        ),
    ],
    ids=["project in the email", "no project in it", "a workload pool", "an AWS session"],
)
def test_a_member_may_act_as_a_service_account(target: str, caller: str, command: str) -> None:
    (remedy,) = remedies(TrustDeniedError("no", target=target), provider="google", caller=caller)
    assert isinstance(remedy.content, str)
    assert f"{command}--role=roles/iam.serviceAccountTokenCreator" in remedy.content


@pytest.mark.parametrize(
    ("provider", "error"),
    [
        ("ecr", CloudError("fell down")),
        ("ecr", LoginRefusedError("no")),
        ("ecr", TrustDeniedError("nobody knows what")),
        ("google", CloudError("fell down")),
        ("google", TrustDeniedError("the metadata server says no")),
        ("static", LoginRefusedError("no")),
        ("another", TrustDeniedError("no", target="x")),
    ],
)
def test_nothing_is_said_where_nothing_is_known(provider: str, error: EcrmintError) -> None:
    assert remedies(error, provider=provider, caller=SESSION) == []
