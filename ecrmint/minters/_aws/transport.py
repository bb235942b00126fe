"""How botocore's requests are sent: answers are bounded, plain http stays near, and what is near is asked directly.

By itself botocore reads any length (50 MB of it took 190 MB), takes plain http to anywhere from AWS_ENDPOINT_URL, and
asks even EC2's metadata server through HTTP_PROXY, which would give the proxy's own identity, or keep ours.
"""

import socket
from collections.abc import Iterator
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit
from urllib.request import getproxies

from ecrmint.errors import UnreachableError
from ecrmint.minters._aws.errors import malformed
from ecrmint.minters._urls import is_near

if TYPE_CHECKING:
    from botocore.awsrequest import AWSPreparedRequest, AWSResponse

# As botocore's clients have it: a body that waits for the acknowledgement of its head is 40 ms late.
_AT_ONCE: Final = [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)]
_LARGEST: Final = 256 << 10  # bytes of an answer; the largest login has 4 KB, a session's key 2 KB


class Transport:
    """Sends requests for any number of clients and threads; in the place of botocore's own HTTP session.

    ``verify``: a file of certificates, or True for botocore's own. ``connections``: to one host that are kept.
    """

    def __init__(
        self, *, connect_seconds: float, read_seconds: float, verify: str | bool = True, connections: int = 1
    ) -> None:
        from botocore.httpsession import URLLib3Session

        self._seconds = connect_seconds + read_seconds
        self._direct, self._proxied = (
            URLLib3Session(
                verify=verify,  # type: ignore[arg-type]  # the stub knows no file
                timeout=(connect_seconds, read_seconds),  # type: ignore[arg-type]  # nor two timeouts
                max_pool_connections=connections,
                proxies=proxies,
                socket_options=_AT_ONCE,  # type: ignore[arg-type]  # nor what these are
            )
            for proxies in ({}, getproxies())
        )

    def send(self, request: "AWSPreparedRequest", **_: object) -> "AWSResponse":
        """Return the answer, its body read. Also a listener of botocore's ``before-send``: what it returns is taken.

        Raises: MalformedAnswerError, UnreachableError, botocore's HTTPClientError.
        """
        from botocore.awsrequest import AWSResponse

        until, direct = monotonic() + self._seconds, _is_direct(request.url)
        request.stream_output = True  # or the session reads the body, whatever its length
        answer = (self._direct if direct else self._proxied).send(request)
        body = _Body(_read(answer, until))
        return AWSResponse(answer.url, answer.status_code, answer.raw.headers, body)


@dataclass(frozen=True, slots=True, repr=False)
class _Body:
    """A body as AWSResponse wants it."""

    content: bytes

    def stream(self) -> Iterator[bytes]:
        yield self.content


def _is_direct(url: str) -> bool:
    """Return whether no proxy may be asked. Raises: UnreachableError where nobody may be."""
    from botocore.utils import should_bypass_proxies

    parts = urlsplit(url)
    near = is_near(parts.hostname or "")
    if parts.scheme == "http" and not near:
        raise UnreachableError(
            f"a call to {parts.hostname} would go by plain http, and was not made",
            hint="plain http goes to loopback or a metadata address only: look at the AWS_ENDPOINT_URL variables,"
            " AWS_EC2_METADATA_SERVICE_ENDPOINT and the profile",
        )
    return near or should_bypass_proxies(url)


def _read(answer: "AWSResponse", until: float) -> bytes:
    from botocore.exceptions import ConnectionClosedError, ReadTimeoutError
    from urllib3.exceptions import HTTPError
    from urllib3.exceptions import ReadTimeoutError as TooLateError

    try:
        return _read_pieces(answer, until)
    except (TooLateError, TimeoutError):
        raise ReadTimeoutError(endpoint_url=answer.url) from None
    except HTTPError:
        raise ConnectionClosedError(endpoint_url=answer.url) from None


def _read_pieces(answer: "AWSResponse", until: float) -> bytes:
    body = bytearray()
    try:
        while piece := answer.raw.read1(_LARGEST):
            body += piece
            if len(body) > _LARGEST:
                raise malformed(f"AWS answers with more than {_LARGEST >> 10} KiB")
            if monotonic() > until:  # a read's own timeout starts anew with every byte
                raise TimeoutError
    except BaseException:
        answer.raw.close()  # what is left of the answer must not be the next call's
        raise
    answer.raw.release_conn()
    return bytes(body)
