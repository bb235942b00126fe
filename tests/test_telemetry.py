"""Metrics and logs where the app's own tests don't reach."""

import json
import logging
from collections.abc import Iterator

import pytest
from prometheus_client.exposition import generate_latest
from support.minters import FakeMinter

from ecrmint.errors import ThrottledError
from ecrmint.telemetry import LogFormat, Metrics, configure_logging
from ecrmint.tokens import Instant, Login, Secret, hold


@pytest.fixture(autouse=True)
def _restored_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def logged(capsys: pytest.CaptureFixture[str]) -> list[str]:
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err.splitlines()


def test_a_log_line_is_one_json_object(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(log_format="json", level="info")
    logging.getLogger("ecrmint.test").warning("two\nlines %s", "and\x1b[31m more")
    (line,) = map(json.loads, logged(capsys))
    assert line["level"] == "warning"
    assert line["logger"] == "ecrmint.test"
    assert line["message"] == "two\nlines and\x1b[31m more"


def _fail() -> None:
    try:
        raise ZeroDivisionError("a session token")
    except ZeroDivisionError:
        logging.getLogger("ecrmint.test").exception("oops")


def test_a_traceback_stays_in_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(log_format="json", level="info")
    _fail()
    (line,) = map(json.loads, logged(capsys))
    assert line["traceback"].endswith("ZeroDivisionError")


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_an_exception_s_text_is_never_shown(log_format: LogFormat, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(log_format=log_format, level="info")
    _fail()
    shown = "\n".join(logged(capsys))
    assert "_fail" in shown
    assert "ZeroDivisionError: a session token" not in shown


def test_what_a_caller_sent_cannot_start_a_line_of_its_own_in_text(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(log_format="text", level="info")
    logging.getLogger("ecrmint.test").info("ref %s", "x\nrefused\r")
    (line,) = logged(capsys)
    assert line.endswith(r"ref x\nrefused\r")


@pytest.mark.parametrize("name", ["botocore.parsers", "urllib3.connectionpool", "httpx2", "httpcore2"])
def test_the_sdks_debug_lines_are_never_shown(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(log_format="json", level="debug")
    logging.getLogger(name).debug("a session token")
    logging.getLogger("ecrmint.test").debug("ours")
    (line,) = map(json.loads, logged(capsys))
    assert line["message"] == "ours"


def test_no_line_shows_the_query_of_a_url_that_is_asked(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(log_format="text", level="debug")
    logging.getLogger("httpx2").info("HTTP Request: GET https://ci.acme.example/token?code=a-secret")
    assert logged(capsys) == []


def metrics_text(metrics: Metrics) -> str:
    return generate_latest(metrics.registry).decode()


def test_a_mint_is_counted_with_its_outcome_and_the_class_of_its_error() -> None:
    metrics, minter = Metrics(), FakeMinter()
    metrics.mint_started(minter)
    assert "ecrmint_mints_in_flight 1.0" in metrics_text(metrics)
    metrics.mint_ended(minter, seconds=0.2, result=ThrottledError("slow down"))
    text = metrics_text(metrics)
    assert "ecrmint_mints_in_flight 0.0" in text
    assert 'ecrmint_mints_total{account="prod",error_class="throttled",outcome="failure",provider="ecr"} 1.0' in text


def test_the_end_of_the_newest_login_is_shown_and_of_a_static_one_none() -> None:
    metrics, start = Metrics(), Instant(1_800_000_000.0, 0.0)
    for account, end in (("prod", start.wall + 3600), ("hub", None)):
        held = hold(Login("u", Secret("p"), end), issued=start, roll=0)
        metrics.mint_started(FakeMinter(account))
        metrics.mint_ended(FakeMinter(account), seconds=0.1, result=held)
    lines = [line for line in metrics_text(metrics).splitlines() if line.startswith("ecrmint_login_expiry")]
    assert lines == ['ecrmint_login_expiry_timestamp_seconds{account="prod"} 1.8000036e+09']


def test_only_the_configuration_in_force_is_shown() -> None:
    metrics = Metrics()
    metrics.config.in_force("old")
    metrics.config.in_force("new")
    lines = [line for line in metrics_text(metrics).splitlines() if line.startswith("ecrmint_config_info{")]
    assert lines == ['ecrmint_config_info{sha256="new"} 1.0']


def test_what_is_seen_of_the_clouds_is_shown() -> None:
    metrics = Metrics()
    metrics.call_ended("ecr", "assume_role", 0.2)
    metrics.tags_dropped("prod", "build")
    metrics.clock_skew("ecr", -90.0)
    text = metrics_text(metrics)
    assert 'ecrmint_mint_duration_seconds_bucket{call="assume_role",le="0.25",provider="ecr"} 1.0' in text
    assert 'ecrmint_session_tags_dropped_total{account="prod",tag="build"} 1.0' in text
    assert 'ecrmint_cloud_clock_skew_seconds{provider="ecr"} -90.0' in text
