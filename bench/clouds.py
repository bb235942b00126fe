"""Two clouds to mint from, both the stand-in's, and a configuration of ``ecrmint serve`` that uses them."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from bench import post
from ecrmint.standin.cloud import Cloud
from ecrmint.standin.server import StandinServer

USER: Final = "arn:aws:iam::123456789012:user/ecrmint"
ROLE: Final = "arn:aws:iam::123456789012:role/drone-pull"
NODE: Final = "node@acme.iam.gserviceaccount.com"
PULL: Final = "drone-pull@acme.iam.gserviceaccount.com"
CONFIG: Final = f"""\
secrets: [{{name: bench, value: {post.SECRET}}}]
accounts:
  prod: {{type: ecr, registries: [123456789012.dkr.ecr.eu-west-1.amazonaws.com], role_arn: "{ROLE}"}}
  gar: {{type: google, registries: [europe-docker.pkg.dev], service_account: {PULL}}}
rules:
  - {{name: one, repos: [{post.ONE_CLOUD}], events: [push, tag], accounts: [prod]}}
  - {{name: two, repos: [{post.TWO_CLOUDS}], events: [push, tag], accounts: [prod, gar]}}
endpoints: {{sts: "URL", ecr: "URL", metadata: "URL", iamcredentials: "URL"}}
"""


@dataclass(frozen=True, slots=True)
class Clouds:
    """What ``ecrmint serve`` is started with: its configuration and its environment."""

    config: str
    env: Mapping[str, str]


@contextmanager
def clouds() -> Iterator[Clouds]:
    """Run the stand-in cloud in this process."""
    cloud = Cloud()
    key = cloud.add_key(USER)
    cloud.add_role(ROLE, trust=[USER])
    for email in (NODE, PULL):
        cloud.add_service_account(email)
    cloud.set_metadata_identity(NODE)
    cloud.allow_impersonation(NODE, PULL)
    with StandinServer(cloud) as server:
        env = {"AWS_ACCESS_KEY_ID": key.id, "AWS_SECRET_ACCESS_KEY": key.secret.reveal()}
        yield Clouds(CONFIG.replace("URL", server.url), env)
