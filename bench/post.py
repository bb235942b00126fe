"""The request that the benchmarks send: one runner's question, of the size that Drone's own client sends."""

import time
import urllib.request
from typing import Final

from support.runner import SignedRequest, runner_request

SECRET: Final = "bench-" + 26 * "b"  # 32 bytes, as runners' secrets mostly are
ONE_CLOUD: Final = "team-a/app"  # a repository that is granted an ECR login
TWO_CLOUDS: Final = "team-a/both"  # one that is granted a Google login as well
REPO: Final = {
    "git_http_url": "https://git.example/team-a/app.git",
    "link": "https://git.example/team-a/app",
    "default_branch": "main",
    "private": True,
    "visibility": "private",
    "active": True,
    "config_path": ".drone.yml",
    "secret": 32 * "r",
}
BUILD: Final = {
    "trigger": "@hook",
    "status": "pending",
    "link": "https://git.example/team-a/app/commit/7fd1a60b01f91b314f59955a4e4d4e80d8edf11d",
    "message": "Keep the cache of a worker that is about to restart",
    "before": "553c2077f0edc3d5dc5d17262f6aa498e69d6f8e",
    "after": "7fd1a60b01f91b314f59955a4e4d4e80d8edf11d",
    "source": "main",
    "target": "main",
    "author_login": "octocat",
    "author_email": "octocat@git.example",
    "sender": "octocat",
}


def signed(slug: str = ONE_CLOUD) -> SignedRequest:
    """Return the request, signed at this moment: good for as long as the server's freshness window."""
    return runner_request(slug=slug, repo=REPO, build=BUILD, secret=SECRET, date=time.time())


def send(request: SignedRequest, url: str) -> bytes:
    """Send it once and return the answer's body. Raises: OSError, for a refusal too."""
    post = urllib.request.Request(url, data=request.body, headers=request.headers)  # noqa: S310  # our own URL
    with urllib.request.urlopen(post, timeout=30) as answer:  # noqa: S310
        return bytes(answer.read())
