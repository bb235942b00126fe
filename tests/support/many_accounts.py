"""``ecrmint serve`` with many AWS accounts, each with a role of its own, all of them the stand-in cloud's."""

import json
import time
import urllib.request
from pathlib import Path

from ecrmint.standin.cloud import Cloud
from ecrmint.standin.server import StandinServer
from support.memory import resident_mib
from support.runner import SECRET, runner_request
from support.serve import Serve

USER = "arn:aws:iam::000000000001:user/ecrmint"
REGIONS = ("eu-west-1", "eu-central-1", "us-east-1", "ap-south-1")


def memory_mib(count: int, folder: Path) -> float:
    """Return the resident memory of a server once each of so many accounts has a login. Raises: where one has none."""
    cloud = Cloud()
    key = cloud.add_key(USER)
    for number in range(count):
        cloud.add_role(_role(number), trust=[USER])
    env = {"AWS_ACCESS_KEY_ID": key.id, "AWS_SECRET_ACCESS_KEY": key.secret.reveal()}
    with StandinServer(cloud) as clouds, Serve.start(_config(count, clouds.url), folder, env=env) as serve:
        for _ in range(3):  # the first one mints; the others are what goes on for hours
            answered = _ask(serve.url)
            if answered != count:
                raise RuntimeError(f"{answered} logins instead of {count}")
        return resident_mib(serve.process.pid)


def _ask(url: str) -> int:
    request = runner_request(slug="team-a/app", secret=SECRET, date=time.time())
    post = urllib.request.Request(url, data=request.body, headers=request.headers)  # noqa: S310  # our own URL
    with urllib.request.urlopen(post, timeout=60) as answer:  # noqa: S310
        return len(json.loads(answer.read()))


def _role(number: int) -> str:
    return f"arn:aws:iam::{number + 1:012}:role/drone-pull"


def _config(count: int, url: str) -> str:
    accounts = "".join(
        f'  a{number}: {{type: ecr, registries: [{_host(number)}], role_arn: "{_role(number)}"}}\n'
        for number in range(count)
    )
    names = ", ".join(f"a{number}" for number in range(count))
    return (
        f"secrets: [{{name: main, value: {SECRET}}}]\n"
        f"accounts:\n{accounts}"
        f'rules: [{{name: all, repos: ["**"], accounts: [{names}]}}]\n'
        f'endpoints: {{sts: "{url}", ecr: "{url}"}}\n'
        "deadline: 30s\n"
    )


def _host(number: int) -> str:
    return f"{number + 1:012}.dkr.ecr.{REGIONS[number % len(REGIONS)]}.amazonaws.com"
