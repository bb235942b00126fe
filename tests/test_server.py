"""The installed server as an operator runs it: start, refusals to start, probes, drain."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.process import free_ports
from support.runner import SECRET, SignedRequest, runner_request
from support.serve import ECRMINT, Serve

from ecrmint.cache import system_clock

CONFIG = f"""
secrets: [{{name: main, value: {SECRET}}}]
accounts:
  hub: {{type: static, registries: [docker.io], username: octocat, password: {{value: hub-password}}}}
rules:
  - {{name: everyone, repos: ["**"], accounts: [hub]}}
"""


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    with Serve.start(CONFIG, tmp_path_factory.mktemp("serve")) as started:
        yield started


def fresh(**fields: str) -> SignedRequest:
    return runner_request(date=system_clock().wall, **fields)  # type: ignore[arg-type]  # texts only


def post(url: str, request: SignedRequest) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=10)
    connection.request("POST", "/", body=request.body, headers=request.headers)
    answer = connection.getresponse()
    result = answer.status, answer.read()
    connection.close()
    return result


def get(url: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(url.removeprefix("http://").partition("/")[0], timeout=10)
    connection.request("GET", "/" + url.removeprefix("http://").partition("/")[2])
    answer = connection.getresponse()
    result = answer.status, answer.read()
    connection.close()
    return result


def run(*arguments: str, config: str | None = None, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run ``ecrmint`` to its end with nothing of our environment but the PATH."""
    more: list[str] = []
    if config is not None and folder is not None:
        (folder / "ecrmint.yaml").write_text(config)
        more = ["--config", str(folder / "ecrmint.yaml")]
    return subprocess.run(
        [str(ECRMINT), *arguments, *more],
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_a_signed_request_is_answered(serve: Serve) -> None:
    status, body = post(serve.url, fresh())
    assert status == 200
    assert json.loads(body) == [{"address": "docker.io", "username": "octocat", "password": "hub-password"}]


def test_two_requests_on_one_connection_are_answered(serve: Serve) -> None:
    connection = http.client.HTTPConnection(serve.url.removeprefix("http://"), timeout=10)
    for _ in range(2):
        request = fresh()
        connection.request("POST", "/", body=request.body, headers=request.headers)
        answer = connection.getresponse()
        assert (answer.status, bool(answer.read())) == (200, True)
    connection.close()


def test_a_head_that_is_too_large_is_answered_431_with_an_audit_line(serve: Serve) -> None:
    before = len(serve.audit_lines(0))
    with socket.create_connection(("127.0.0.1", int(serve.url.rpartition(":")[2])), timeout=10) as raw:
        raw.sendall(b"POST / HTTP/1.1\r\nA: " + b"x" * 20_000)
        answer = raw.recv(1000)
    line = serve.audit_lines(before + 1)[-1]
    assert (line["outcome"], line["reason"], line["status"]) == ("invalid", "headers_too_large", 431)
    assert "uvicorn" not in serve.process.stderr.read_text()  # the audit line says it all
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert f"x-request-id: {line['request_id']}\r\ncache-control: no-store\r\n" in answer.decode()


def test_the_admin_port_has_the_same_bound_on_a_head(serve: Serve) -> None:
    before = len(serve.audit_lines(0))
    with socket.create_connection(("127.0.0.1", int(serve.admin_url.rpartition(":")[2])), timeout=10) as raw:
        raw.sendall(b"GET /healthz HTTP/1.1\r\nA: " + b"x" * 20_000)
        assert raw.recv(1000).startswith(b"HTTP/1.1 431 ")
    assert len(serve.audit_lines(0)) == before


def test_the_admin_port_answers_probes_and_metrics(serve: Serve) -> None:
    post(serve.url, fresh())
    assert get(f"{serve.admin_url}/healthz") == (200, b"ok\n")
    status, body = get(f"{serve.admin_url}/readyz")
    ready = json.loads(body)
    assert (status, ready["status"], ready["accounts"]) == (200, "ready", {"hub": "ok"})
    assert len(ready["config"]) == 64
    assert b'ecrmint_requests_total{outcome="granted",reason="granted"}' in get(f"{serve.admin_url}/metrics")[1]


def test_the_runners_port_has_no_admin_pages(serve: Serve) -> None:
    assert get(f"{serve.url}/metrics")[0] == 404


def test_logs_go_to_standard_error_and_audit_lines_alone_to_standard_output(serve: Serve) -> None:
    post(serve.url, fresh())
    serve.audit_lines(1)
    assert all(json.loads(line)["kind"] == "audit" for line in serve.process.stdout.read_text().splitlines())
    assert all(json.loads(line)["level"] for line in serve.process.stderr.read_text().splitlines())


def test_sigterm_drains_and_ends_with_0(tmp_path: Path) -> None:
    with Serve.start(CONFIG, tmp_path) as serve:
        assert post(serve.url, fresh())[0] == 200
        assert serve.process.stop() == 0


def test_while_it_drains_requests_are_answered_and_readyz_says_503(tmp_path: Path) -> None:
    with Serve.start(CONFIG, tmp_path, drain_delay="60s") as serve:
        os.kill(serve.process.pid, signal.SIGTERM)
        serve.process.wait_until(lambda: get(f"{serve.admin_url}/readyz")[0] == 503)
        assert json.loads(get(f"{serve.admin_url}/readyz")[1]) == {"status": "draining"}
        assert post(serve.url, fresh())[0] == 200
        assert serve.process.stop() == 0  # a second signal does not wait for the rest of the delay


def test_a_port_in_use_is_one_plain_line(serve: Serve, tmp_path: Path) -> None:
    taken = serve.url.rpartition(":")[2]
    (admin,) = free_ports(1)
    config = f"listen: 127.0.0.1:{taken}\nadmin: 127.0.0.1:{admin}\n{CONFIG}"
    ended = run("serve", config=config, folder=tmp_path)
    assert (ended.returncode, ended.stdout) == (1, "")
    line = f"ecrmint: can't listen on 127.0.0.1:{taken} (listen): another program listens there already\n"
    assert ended.stderr == line


def test_an_address_that_the_machine_does_not_have_is_one_plain_line(tmp_path: Path) -> None:
    ended = run("serve", config=f"listen: 192.0.2.1:3000\nallow_plaintext: true\n{CONFIG}", folder=tmp_path)
    assert (ended.returncode, ended.stderr.count("\n")) == (1, 1)
    assert "this machine has no such address" in ended.stderr


def test_an_audit_file_that_cannot_be_opened_is_one_plain_line(tmp_path: Path) -> None:
    listen, admin = free_ports(2)
    config = f"listen: 127.0.0.1:{listen}\nadmin: 127.0.0.1:{admin}\naudit: {{file: {tmp_path}/no/audit}}\n{CONFIG}"
    ended = run("serve", config=config, folder=tmp_path)
    assert (ended.returncode, ended.stderr.count("\n")) == (1, 1)
    assert "can't open the audit file" in ended.stderr


def test_a_closed_standard_output_is_one_plain_line(tmp_path: Path) -> None:
    listen, admin = free_ports(2)
    file = tmp_path / "ecrmint.yaml"
    file.write_text(f"listen: 127.0.0.1:{listen}\nadmin: 127.0.0.1:{admin}\n{CONFIG}")
    closing = ["sh", "-c", 'exec "$@" >&-', "sh", str(ECRMINT), "serve", "--config", str(file)]
    ended = subprocess.run(closing, env={"PATH": os.environ["PATH"]}, capture_output=True, timeout=30, check=False)
    line = b"ecrmint: can't open standard output, for the audit lines: it was closed\n"
    assert (ended.returncode, ended.stderr) == (1, line)


@pytest.mark.parametrize(("hard", "warnings"), [(3000, 0), (1000, 1)], ids=["enough", "too few"])
def test_the_limit_on_open_files_is_raised_for_max_connections(hard: int, warnings: int, tmp_path: Path) -> None:
    limited = ["sh", "-c", f'ulimit -Sn 500; ulimit -Hn {hard}; exec "$@"', "sh"]
    with Serve.start(CONFIG, tmp_path, prefix=limited) as serve:
        limits = Path(f"/proc/{serve.process.pid}/limits").read_text()
        logged = serve.process.stderr.read_text()
    (soft,) = re.findall(r"^Max open files +(\d+)", limits, re.MULTILINE)
    assert int(soft) == min(hard, 2048 + 384)
    assert logged.count("too few for max_connections") == warnings


def test_no_configuration_is_one_plain_line() -> None:
    ended = run("serve")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "--config" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_refused_configuration_ends_with_2_and_its_places(tmp_path: Path) -> None:
    ended = run("serve", config=CONFIG + "listenn: 1\n", folder=tmp_path)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "ecrmint.yaml:7:" in ended.stderr
    assert "listenn" in ended.stderr


def reloads(serve: Serve, result: str) -> int:
    """Return how many reloads the metrics count with that result."""
    found = re.search(rf'^ecrmint_config_reloads_total{{result="{result}"}} (\d+)', metrics(serve), re.MULTILINE)
    return int(found[1]) if found else 0


def metrics(serve: Serve) -> str:
    return get(f"{serve.admin_url}/metrics")[1].decode()


def rewrite(serve: Serve, old: str, new: str) -> None:
    """Replace a text in the configuration, which is never seen half written."""
    changed = serve.config.with_suffix(".new")
    changed.write_text(serve.config.read_text().replace(old, new))
    changed.rename(serve.config)


def passwords(serve: Serve) -> list[str]:
    return [entry["password"] for entry in json.loads(post(serve.url, fresh())[1])]


def test_sighup_puts_a_changed_configuration_to_work_at_once(tmp_path: Path) -> None:
    with Serve.start(CONFIG, tmp_path) as serve:
        assert passwords(serve) == ["hub-password"]
        rewrite(serve, "hub-password", "new-password")
        os.kill(serve.process.pid, signal.SIGHUP)
        serve.process.wait_until(lambda: reloads(serve, "success") == 1)
        assert passwords(serve) == ["new-password"]
        assert "ecrmint_config_generation 2.0" in metrics(serve)


def test_a_refused_configuration_changes_nothing_and_is_loud(tmp_path: Path) -> None:
    with Serve.start(CONFIG, tmp_path) as serve:
        rewrite(serve, "rules:", "rulez:")
        os.kill(serve.process.pid, signal.SIGHUP)
        serve.process.wait_until(lambda: reloads(serve, "refused") >= 1)
        assert passwords(serve) == ["hub-password"]
        assert "ecrmint_config_pending 1.0" in metrics(serve)
        assert "stays in force" in serve.process.stderr.read_text()


@pytest.mark.parametrize(
    ("old", "new", "path"),
    [
        pytest.param("listen: 127.0.0.1:", "listen: localhost:", "listen", id="listen"),
        pytest.param("admin: 127.0.0.1:", "admin: localhost:", "admin", id="admin"),
        pytest.param("secrets:", "max_connections: 7\nsecrets:", "max_connections", id="max_connections"),
    ],
)
def test_what_only_a_restart_can_change_is_refused(old: str, new: str, path: str, tmp_path: Path) -> None:
    with Serve.start(CONFIG, tmp_path) as serve:
        rewrite(serve, old, new)
        os.kill(serve.process.pid, signal.SIGHUP)
        serve.process.wait_until(lambda: reloads(serve, "refused") >= 1)
        assert f"{path}: a reload can't change this: restart" in serve.process.stderr.read_text()
        assert passwords(serve) == ["hub-password"]


def test_a_hundred_reloads_in_a_row_fail_no_request(tmp_path: Path) -> None:
    with Serve.start(CONFIG, tmp_path) as serve:
        for number in range(100):
            rewrite(serve, f"name: everyone{number or ''},", f"name: everyone{number + 1},")
            os.kill(serve.process.pid, signal.SIGHUP)
            assert passwords(serve) == ["hub-password"]
        rewrite(serve, "hub-password", "new-password")
        os.kill(serve.process.pid, signal.SIGHUP)
        serve.process.wait_until(lambda: passwords(serve) == ["new-password"])
        assert 'outcome="failed"' not in metrics(serve)
