"""The runners' port with TLS, over real loopback sockets."""

import asyncio
import http.client
import json
import os
import signal
import socket
import ssl
from pathlib import Path

import pytest
from support.certificate import write_certificate
from support.runner import SECRET, runner_request
from support.serve import Serve

from ecrmint import server, settings
from ecrmint.app import refusal
from ecrmint.cache import system_clock
from ecrmint.protocol import Limits, bounded
from ecrmint.schema import Tls

CONFIG = f"""
secrets: [{{name: main, value: {SECRET}}}]
accounts:
  hub: {{type: static, registries: [docker.io], username: octocat, password: {{value: hub-password}}}}
rules:
  - {{name: everyone, repos: ["**"], accounts: [hub]}}
"""


@pytest.fixture
def cert_file(tmp_path: Path) -> Path:
    return write_certificate(tmp_path)[0]


def with_tls(cert_file: Path) -> str:
    return f"{CONFIG}tls: {{cert_file: {cert_file}, key_file: {cert_file.with_name('key.pem')}}}\n"


def test_a_signed_request_is_answered_over_tls_and_nothing_without_it(cert_file: Path, tmp_path: Path) -> None:
    with Serve.start(with_tls(cert_file), tmp_path) as serve:
        host, _, port = serve.url.removeprefix("http://").partition(":")
        trusting = ssl.create_default_context(cafile=str(cert_file))
        connection = http.client.HTTPSConnection(host, int(port), timeout=10, context=trusting)
        request = runner_request(date=system_clock().wall)
        connection.request("POST", "/", body=request.body, headers=request.headers)
        answer = connection.getresponse()
        assert [login["address"] for login in json.loads(answer.read())] == ["docker.io"]
        connection.close()
        with socket.create_connection((host, int(port)), timeout=10) as plain:
            plain.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b"HTTP" not in plain.recv(100)
        assert all(json.loads(line)["level"] == "info" for line in serve.process.stderr.read_text().splitlines())


def test_tls_below_1_2_is_refused(cert_file: Path) -> None:
    context = server._tls(Tls(cert_file=str(cert_file), key_file=str(cert_file.with_name("key.pem"))))
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2


def served_certificate(url: str) -> str:
    host, _, port = url.removeprefix("http://").partition(":")
    return ssl.get_server_certificate((host, int(port)), timeout=10)


def test_a_renewed_certificate_is_served_without_a_restart(cert_file: Path, tmp_path: Path) -> None:
    with Serve.start(with_tls(cert_file), tmp_path) as serve:
        assert served_certificate(serve.url) == cert_file.read_text()
        write_certificate(cert_file.parent)
        serve.process.wait_until(lambda: served_certificate(serve.url) == cert_file.read_text())


def test_a_certificate_that_does_not_fit_its_key_changes_nothing(cert_file: Path, tmp_path: Path) -> None:
    with Serve.start(with_tls(cert_file), tmp_path) as serve:
        good = cert_file.read_text()
        (tmp_path / "other").mkdir()
        cert_file.write_bytes(write_certificate(tmp_path / "other")[0].read_bytes())
        os.kill(serve.process.pid, signal.SIGHUP)
        serve.process.wait_until(lambda: "stays in force" in serve.process.stderr.read_text())
        assert served_certificate(serve.url) == good


async def test_a_handshake_that_does_not_come_is_given_up(cert_file: Path) -> None:
    async def app(scope: object, receive: object, send: object) -> None:
        """Answer nobody: no request comes."""

    config = settings.parse(with_tls(cert_file))
    protocol = bounded(Limits(max_connections=3, receive_seconds=0.05), refusal)
    listening = socket.create_server(("127.0.0.1", 0))
    async with server._running(server._listener(app, protocol, config), listening), asyncio.timeout(5):
        reader, writer = await asyncio.open_connection(*listening.getsockname())
        assert await reader.read() == b""
        writer.close()
