"""What each part costs: resident memory of ``ecrmint serve`` by the kinds of account that it has, and their first mint.

``PYTHONPATH=tests python -m bench.parts``; how to read what it prints: bench/README.md.
"""

import json
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from support.memory import resident_mib
from support.serve import Serve

from bench import post
from bench.clouds import NODE, ROLE, USER
from ecrmint.standin.cloud import Cloud
from ecrmint.standin.server import StandinServer

GAR: Final = "europe-docker.pkg.dev"
ECR: Final = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
ACCOUNTS: Final[Mapping[str, str]] = {
    "static alone": "{type: static, registries: [docker.io], username: octocat, password: {value: a-password}}",
    "Google, the metadata server's identity": f"{{type: google, registries: [{GAR}]}}",
    "Google, a service account's key": f"{{type: google, registries: [{GAR}], credentials_file: KEY}}",
    "AWS, a role": f'{{type: ecr, registries: [{ECR}], role_arn: "{ROLE}"}}',
}
CONFIG: Final = f"""\
secrets: [{{name: bench, value: {post.SECRET}}}]
accounts: {{only: ACCOUNT}}
rules: [{{name: one, repos: [{post.ONE_CLOUD}], accounts: [only]}}]
endpoints: {{sts: "URL", ecr: "URL", metadata: "URL", google_token: "URL/token"}}
"""


@contextmanager
def world(folder: Path) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Run the stand-in cloud and yield a configuration without its account, and the environment of the server."""
    cloud = Cloud()
    key = cloud.add_key(USER)
    cloud.add_role(ROLE, trust=[USER])
    cloud.add_service_account(NODE)
    cloud.set_metadata_identity(NODE)
    (folder / "key.json").write_text(json.dumps(cloud.create_key(NODE)), encoding="utf-8")
    with StandinServer(cloud) as server:
        config = CONFIG.replace("URL", server.url)
        yield config, {"AWS_ACCESS_KEY_ID": key.id, "AWS_SECRET_ACCESS_KEY": key.secret.reveal()}


def measure(account: str) -> tuple[float, float, float]:
    """Return the resident memory in MiB when ready and after the first mint, and that request's time in seconds."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with world(folder) as (config, env):
            text = config.replace("ACCOUNT", account.replace("KEY", str(folder / "key.json")))
            with Serve.start(text, folder, env=env) as serve:
                ready, began = resident_mib(serve.process.pid), time.perf_counter()
                assert json.loads(post.send(post.signed(), serve.url))
                return ready, resident_mib(serve.process.pid), time.perf_counter() - began


def main() -> None:
    """Measure and print, as the lines of a Markdown table."""
    print("| accounts | ready | after the first mint | the first request |", "|---|---|---|---|", sep="\n")
    for name, account in ACCOUNTS.items():
        ready, minted, seconds = measure(account)
        print(f"| {name} | {ready:.0f} MiB | {minted:.0f} MiB | {seconds * 1000:.0f} ms |")


if __name__ == "__main__":
    main()
