"""The demo's world: one AWS account with a role, one Google project, and the configuration that uses them."""

import json
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Final

from ecrmint.standin.cloud import Cloud

ECR_HOST: Final = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
GOOGLE_HOST: Final = "europe-docker.pkg.dev"
_CALLER: Final = "arn:aws:iam::999999999999:user/ecrmint"
_ROLE: Final = "arn:aws:iam::123456789012:role/drone-pull"
_NODE: Final = "ecrmint@acme.iam.gserviceaccount.com"
_PULLER: Final = "drone-pull@acme.iam.gserviceaccount.com"

_CONFIG: Final = Template("""\
# Written by `ecrmint demo`. Nothing in it is real but its form.
listen: 127.0.0.1:$listen
admin: 127.0.0.1:$admin
drain: {delay: 0s, grace: 5s}

secrets:
  - name: main
    file: $secret_file

accounts:
  prod:                       # a role in another AWS account, assumed with an external id
    type: ecr
    registries: [$ecr_host]
    role_arn: $role
    external_id: drone
  gar:                        # a Google service account, impersonated from the machine's own identity
    type: google
    registries: [$google_host]
    service_account: $puller
  hub:                        # a login that somebody typed in
    type: static
    registries: [docker.io]
    username: octocat
    password: {file: $hub_file}

rules:
  - name: team-a
    repos: ["team-a/*"]
    events: [push, tag, cron]
    accounts: [prod, gar]
  - name: team-a-hub
    repos: ["team-a/*"]
    accounts: [hub]
  - name: frozen
    repos: ["team-a/legacy"]
    effect: deny

tests:
  - {repo: team-a/app, event: push, ref: refs/heads/main, grants: [prod, gar, hub]}
  - {repo: team-a/app, event: pull_request, source_repo: stranger/app, grants: []}

endpoints:                    # a real configuration has none of these: they send every call to the stand-in
  sts: $cloud
  ecr: $cloud
  iamcredentials: $cloud
  metadata: $cloud
""")


@dataclass(frozen=True, slots=True)
class Example:
    """Where things are: the configuration, the runners' secret, and the environment that ``ecrmint serve`` needs."""

    config_file: Path
    secret_file: Path
    environment: dict[str, str]


def populate(cloud: Cloud) -> dict[str, str]:
    """Make the identities of the demo in a cloud, and return the environment of a machine that has one of them."""
    key = cloud.add_key(_CALLER)
    cloud.add_role(_ROLE, trust=[_CALLER], external_id="drone")
    cloud.add_service_account(_NODE)
    cloud.add_service_account(_PULLER)
    cloud.set_metadata_identity(_NODE)
    cloud.allow_impersonation(_NODE, _PULLER)
    return {
        "AWS_ACCESS_KEY_ID": key.id,
        "AWS_SECRET_ACCESS_KEY": key.secret.reveal(),
        "AWS_CONFIG_FILE": "/dev/null",  # the person's own profiles have no part in this
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    }


def write(
    folder: Path, *, cloud_url: str, listen: int, admin: int, secret: str, environment: dict[str, str]
) -> Example:
    """Write the configuration and its secrets into a folder."""
    secret_file, hub_file = folder / "DRONE_REGISTRY_PLUGIN_TOKEN", folder / "hub-password"
    secret_file.write_text(secret + "\n")
    hub_file.write_text("correct-horse-battery-staple\n")
    config_file = folder / "ecrmint.yaml"
    config_file.write_text(
        _CONFIG.substitute(
            listen=listen,
            admin=admin,
            secret_file=json.dumps(str(secret_file)),
            hub_file=json.dumps(str(hub_file)),
            ecr_host=ECR_HOST,
            google_host=GOOGLE_HOST,
            role=_ROLE,
            puller=_PULLER,
            cloud=cloud_url,
        )
    )
    return Example(config_file, secret_file, environment)
