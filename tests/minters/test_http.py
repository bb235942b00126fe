"""HTTP to Google over real sockets: what ends it, how much it reads, and what no call may leave to the next one."""

import gzip
import socket
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import repeat
from pathlib import Path

import pytest
from support.certificate import write_certificate
from support.raw import raw_server

from ecrmint.errors import MintTimeoutError
from ecrmint.minters._http import Answer, Http

OK = b"HTTP/1.1 200 OK\r\n"
SECONDS = 0.3


@dataclass
class Wire:
    """A server that answers each connection in the same bytes. ``heads``: what it was asked."""

    url: str = ""
    heads: list[bytes] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def answer(self, listening: socket.socket, pieces: Iterable[bytes], every: float) -> None:
        with suppress(OSError):  # the listener's end
            while True:
                with listening.accept()[0] as connection, suppress(OSError):
                    self.heads.append(connection.recv(1 << 16))
                    for piece in pieces:
                        connection.sendall(piece)
                        if self.over.wait(every):
                            break


@contextmanager
def wire(pieces: Iterable[bytes], *, every: float = 0.0) -> Iterator[Wire]:
    made = Wire()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        made.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        thread = threading.Thread(target=made.answer, args=(listening, pieces, every))
        thread.start()
        try:
            yield made
        finally:
            made.over.set()
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()


def get(http: Http, url: str) -> Answer:
    return http.within(10).get(url, headers={}, what="the API")


@pytest.mark.parametrize(
    ("pieces", "every"),
    [
        ([OK + b"X: ", *[b"a"] * 1000], SECONDS / 10),
        (repeat(b"HTTP/1.1 103 Early Hints\r\n\r\n"), 0.0),
        ([OK + b"Content-Length: 1000\r\n\r\n", *[b" "] * 1000], SECONDS / 10),
    ],
    ids=["a head that trickles in", "interim answers without end", "a body that trickles in"],
)
def test_an_answer_that_does_not_end_is_cut_off_at_the_deadline(pieces: Iterable[bytes], every: float) -> None:
    with wire(pieces, every=every) as made:
        calls = Http().within(SECONDS)
        with pytest.raises(MintTimeoutError, match="the API did not answer in time"):
            calls.get(made.url, headers={}, what="the API")
        assert -SECONDS < calls.left() <= 0


def test_a_compressed_answer_is_not_asked_for_nor_unpacked() -> None:
    packed = gzip.compress(bytes(60 << 10))
    head = OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed)
    with wire([head + packed]) as made:
        assert get(Http(), made.url).body == packed
        assert b"\r\nAccept-Encoding: identity\r\n" in made.heads[0]


def test_a_cookie_of_one_identitys_answer_does_not_speak_for_the_next_one() -> None:
    with wire([OK + b"Set-Cookie: session=first; Path=/\r\nContent-Length: 0\r\n\r\n"]) as made:
        http = Http()
        get(http, made.url)
        get(http, made.url)
        assert [b"cookie" in head.lower() for head in made.heads] == [False, False]


def test_plain_http_is_no_proxys_business_however_it_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    with wire([OK + b"Content-Length: 0\r\n\r\n"]) as made, wire([]) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("http_proxy", proxy.url)
        assert get(Http(), made.url.replace("http:", "HTTP:")).status == 200
        assert proxy.heads == []


def test_a_metadata_server_by_https_is_trusted_as_any_other_and_past_every_proxy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
    with raw_server(write_certificate(tmp_path)) as raw, wire([]) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        raw.head = {"Content-Length": "0"}
        answer = Http().within(10).get_metadata(f"{raw.url}/token", headers={}, what="the server")
        assert (answer.status, raw.asked, proxy.heads) == (200, ["GET /token"], [])
