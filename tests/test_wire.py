"""Bodies of Drone's clients, honest and hostile, and the answers to them."""

import json
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.runner import ACCEPT, body_of, go_json, runner_request

from ecrmint.errors import RequestError
from ecrmint.tokens import Login, Secret
from ecrmint.wire import MAX_SLUG, RegistryRequest, check_accept, decode, encode, encode_request

REPO: Mapping[str, object] = {"slug": "octocat/hello-world"}


def body(repo: Mapping[str, object] | None = None, build: Mapping[str, object] | None = None) -> bytes:
    return go_json({"repo": {**REPO, **(repo or {})}, "build": build or {}})


def refusal(data: bytes) -> RequestError:
    with pytest.raises(RequestError) as caught:
        decode(data)
    return caught.value


# What is kept


def test_a_runners_request_is_decoded() -> None:
    request = runner_request(
        slug="team-a/app",
        event="promote",
        ref="refs/pull/7/head",
        source_repo="stranger/app",
        repo={"trusted": True, "private": True, "timeout": 90, "secret": "repository-key"},
        build={"deploy_to": "production", "stages": [{"name": "default", "steps": [{"name": "clone"}]}]},
    )
    assert decode(request.body) == RegistryRequest(
        slug="team-a/app",
        uid="42",
        event="promote",
        ref="refs/pull/7/head",
        source_repo="stranger/app",
        deploy_to="production",
        trusted=True,
        private=True,
        timeout=90,
        build=12,
    )


def test_what_a_client_leaves_out_is_empty() -> None:
    assert decode(body()) == RegistryRequest(slug="octocat/hello-world")


def test_null_is_as_good_as_absent() -> None:
    repo = dict.fromkeys(("uid", "namespace", "name", "trusted", "private", "timeout"))
    build = dict.fromkeys(("event", "ref", "source_repo", "deploy_to", "number"))
    assert decode(body(repo, build)) == RegistryRequest(slug="octocat/hello-world")


@pytest.mark.parametrize(("sent", "kept"), [("42", "42"), (1296269, "1296269"), (0, "0"), ("", ""), ("{a-b}", "{a-b}")])
def test_a_uid_is_text_and_a_whole_number_its_digits(sent: object, kept: str) -> None:
    assert decode(body({"uid": sent})).uid == kept


def test_text_outside_of_ascii_and_gos_escapes_are_read() -> None:
    ref = "refs/heads/größe-🚀-<b>&amp;'\"\u2028"
    assert decode(body(build={"ref": ref, "message": "\0\ud800".encode("utf-8", "replace").decode()})).ref == ref


def test_an_escaped_pair_of_surrogates_is_one_character() -> None:
    assert decode(b'{"repo":{"slug":"a/b"},"build":{"ref":"\\ud83d\\ude80"}}').ref == "🚀"


@pytest.mark.parametrize(
    "data",
    [
        body({"later": {"added": [1, 2.5, None]}, "config": ".drone.yml", "config_path": ".drone.yml"}, {"new": True}),
        go_json({"repo": REPO, "build": {}, "system": {"version": "3"}}),
        go_json({"repo": {**REPO, "SLUG": "x", "Slug": "../.."}, "build": {"Event": 7}}),
        body(build={"stages": [{"name": f"stage {number}", "steps": 9 * [{"name": "x"}]} for number in range(1000)]}),
        body() + b"\n",
        b" \r\n\t" + body(),
    ],
    ids=["in both objects", "beside them", "in another case", "1,000 stages", "a newline after", "white space before"],
)
def test_what_rules_do_not_use_is_ignored(data: bytes) -> None:
    assert decode(data) == RegistryRequest(slug="octocat/hello-world")


@pytest.mark.parametrize("timeout", [-1, 0, 1_000_000_000, 2**63 - 1])
def test_an_odd_timeout_is_left_to_those_who_use_it(timeout: int) -> None:
    assert decode(body({"timeout": timeout})).timeout == timeout


def test_an_unknown_event_is_left_to_the_rules() -> None:
    assert decode(body(build={"event": "merge_queue"})).event == "merge_queue"


# JSON that is none, or that two readers could read differently


DEEP = 100_000
NOT_JSON = {
    "empty": b"",
    "a part": body()[:-1],
    "more after it": body() + b"x",
    "two documents": body() + body(),
    "null": b"null",
    "a list": b"[]",
    "a text": b'"x"',
    "a number": b"1",
    "bad UTF-8": body(build={"ref": "x"}).replace(b'"x"', b'"\xff"'),
    "a surrogate in UTF-8": body(build={"ref": "x"}).replace(b'"x"', b'"\xed\xa0\x80"'),
    "a byte order mark": b"\xef\xbb\xbf" + body(),
    "UTF-16": body().decode().encode("utf-16"),
    "UTF-16 without a mark": body().decode().encode("utf-16-le"),
    "UTF-32": body().decode().encode("utf-32"),
    "NUL after it": body() + b"\0",
    "single quotes": body().replace(b'"', b"'"),
    "a comma too many": body().replace(b"}}", b"},}"),
    "a comment": b"/**/" + body(),
    "a raw newline in a text": b'{"repo":{"slug":"a/b"},"build":{"ref":"a\nb"}}',
    "NaN": b'{"repo":{"slug":"a/b","version":NaN},"build":{}}',
    "Infinity": b'{"repo":{"slug":"a/b","version":-Infinity},"build":{}}',
    "100,000 digits": b'{"repo":{"slug":"a/b","version":' + b"9" * 100_000 + b'},"build":{}}',
    "a list that never ends": b'{"repo":{"slug":"a/b","x":' + b"[" * DEEP,
    "a deep list": b'{"repo":{"slug":"a/b","x":' + b"[" * DEEP + b"]" * DEEP + b'},"build":{}}',
    "a deep object": b'{"repo":{"slug":"a/b","x":' + b'{"a":' * DEEP + b"1" + b"}" * DEEP + b'},"build":{}}',
    "repo twice": b'{"repo":{"slug":"a/b"},"repo":{"slug":"c/d"},"build":{}}',
    "build twice": b'{"repo":{"slug":"a/b"},"build":{},"build":{}}',
    "slug twice": b'{"repo":{"slug":"a/b","slug":"c/d"},"build":{}}',
    "slug twice, once escaped": b'{"repo":{"slug":"a/b","sl\\u0075g":"c/d"},"build":{}}',
    "event twice": b'{"repo":{"slug":"a/b"},"build":{"event":"push","event":"tag"}}',
    "a key of a stage twice": b'{"repo":{"slug":"a/b"},"build":{"stages":[{"id":1,"id":1}]}}',
}


@pytest.mark.parametrize("data", NOT_JSON.values(), ids=NOT_JSON.keys())
def test_what_is_not_one_clear_json_object_is_refused(data: bytes) -> None:
    assert refusal(data).reason == "json"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"{}", "repo"),
        (b'{"repo":null,"build":{}}', "repo"),
        (b'{"repo":[],"build":{}}', "repo"),
        (b'{"repo":"a/b","build":{}}', "repo"),
        (b'{"REPO":{"slug":"a/b"},"build":{}}', "repo"),
        (b'{"repo":{"slug":"a/b"}}', "build"),
        (b'{"repo":{"slug":"a/b"},"build":null}', "build"),
        (b'{"repo":{"slug":"a/b"},"build":[{}]}', "build"),
        (b'{"repo":{"slug":"a/b"},"Build":{}}', "build"),
        (b'{"repo":{},"build":{}}', "slug"),
        (b'{"repo":{"Slug":"a/b"},"build":{}}', "slug"),
        (b'{"repo":{"slug":null},"build":{}}', "slug"),
        (b'{"repo":{"slug":""},"build":{}}', "slug"),
        (b'{"repo":{"slug":"","namespace":"","name":""},"build":{"ref":"refs/heads/master"}}', "slug"),
    ],
)
def test_repo_build_and_slug_are_needed(data: bytes, reason: str) -> None:
    assert refusal(data).reason == reason


WRONG_TYPES: Mapping[str, Mapping[str, list[object]]] = {
    "repo": {
        "slug": [1, True, [], {}, ["a/b"]],
        "namespace": [1, [], {}],
        "name": [1, False],
        "uid": [1.5, 1e3, True, [], {}, 2**63, -(2**63) - 1],
        "trusted": ["true", 1, 0, [], ""],
        "private": ["false", 1, 0.0, {}],
        "timeout": ["60", 60.0, True, [], 2**63, 10**400],
    },
    "build": {
        "event": [1, True, ["push"]],
        "ref": [1, {}, ["refs/heads/main"]],
        "source_repo": [0, False, []],
        "deploy_to": [1, ["production"]],
        "number": ["1", 1.0, False],
    },
}


@pytest.mark.parametrize(
    ("place", "name", "value"),
    [(place, name, value) for place, fields in WRONG_TYPES.items() for name in fields for value in fields[name]],
)
def test_a_field_that_rules_use_has_its_type(place: str, name: str, value: object) -> None:
    error = refusal(body({name: value}) if place == "repo" else body(build={name: value}))
    assert error.reason == "field"
    assert str(error).startswith(f"{place}.{name} ")


@pytest.mark.parametrize("text", ["a\0b", "a\nb", "a\rb", "\x1b[31m", "\x7f", "\ud800", "a\udfff"], ids=ascii)
@pytest.mark.parametrize("name", ["event", "ref", "source_repo", "deploy_to"])
def test_a_field_that_rules_use_can_be_written_to_a_log(name: str, text: str) -> None:
    data = json.dumps({"repo": REPO, "build": {name: text}}).encode()
    assert str(refusal(data)) == f"build.{name} holds a control character or half a character"


@pytest.mark.parametrize(("length", "fits"), [(4096, True), (4097, False)])
def test_a_field_that_rules_use_fits_into_a_log_line(length: int, fits: bool) -> None:
    data = body(build={"ref": "r" * length})
    if fits:
        assert len(decode(data).ref) == length
    else:
        assert str(refusal(data)) == "build.ref is longer than 4096 characters"


def test_no_refusal_carries_the_body_along() -> None:
    error = refusal(b'{"repo":{"secret":"repository-key"')
    assert [error.__context__, error.__cause__, "repository-key" in str(error)] == [None, None, False]


@given(st.binary(max_size=200))
def test_no_bytes_do_anything_but_be_refused(data: bytes) -> None:
    refusal(data)


ODD_TEXT = st.text('aé🚀/."\\\0\ud800', max_size=9)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ODD_TEXT,
    lambda children: st.lists(children, max_size=3) | st.dictionaries(ODD_TEXT, children, max_size=3),
    max_leaves=9,
)
FIELDS = ("slug", "uid", "namespace", "name", "trusted", "timeout", "event", "ref", "number")


@given(st.dictionaries(st.sampled_from(FIELDS), JSON), st.dictionaries(st.sampled_from(FIELDS), JSON))
def test_any_json_is_decoded_or_refused_in_one_line(repo: dict[str, object], build: dict[str, object]) -> None:
    data = json.dumps({"repo": {**REPO, **repo}, "build": build}).encode()
    try:
        said = encode_request(decode(data)).decode()
    except RequestError as error:
        said = str(error)
    assert said.isascii()
    assert said.isprintable()


# Slugs


LONG = "a/" + "b" * (MAX_SLUG - 2)


@pytest.mark.parametrize(
    "slug",
    [
        "octocat/hello-world",
        "a/b",
        "Org.Name/repo_name",
        "a/b/c",
        "a/b/c/d",
        "~user/repo",
        "a/...",
        "a/.b",
        "-/-",
        LONG,
    ],
)
def test_a_slug_of_a_forge_is_taken_as_it_was_sent(slug: str) -> None:
    assert decode(body({"slug": slug})).slug == slug


@pytest.mark.parametrize(
    "slug",
    [
        "octocat",
        "/octocat",
        "octocat/",
        "/a/b",
        "a/b/",
        "a//b",
        "../x",
        "a/..",
        "a/.",
        "./a",
        "a/../b",
        "a/b/..",
        "a/./b",
        "a/*",
        "**",
        "a/b c",
        "a/b%2fc",
        "a\\b",
        "a/b?",
        "a/b:c",
        "a/b@c",
        "a/wéb",
        "a/\u212a",
        "a\uff0fb",
        LONG + "b",
    ],
    ids=ascii,
)
def test_what_is_no_slug_is_refused(slug: str) -> None:
    error = refusal(body({"slug": slug}))
    assert [error.reason, str(error)] == [
        "slug",
        "repo.slug is not two or more segments of A-Z a-z 0-9 . _ ~ -, joined by /",
    ]


@pytest.mark.parametrize("slug", ["a/b\n", "a/b\0", "\ta/b"], ids=ascii)
def test_a_slug_with_a_control_character_is_refused(slug: str) -> None:
    assert refusal(body({"slug": slug})).reason == "field"


@pytest.mark.parametrize(
    ("slug", "namespace", "name"),
    [
        ("acme/web", "acme", "web"),
        ("Acme/Web", "acme", "WEB"),
        ("acme/web", "", ""),
        ("acme/web", "acme", ""),
        ("acme/web", "", "web"),
        ("a/b/c", "a/b", "c"),
        ("a/b/c", "", ""),
    ],
)
def test_namespace_and_name_that_agree_are_taken(slug: str, namespace: str, name: str) -> None:
    assert decode(body({"slug": slug, "namespace": namespace, "name": name})).slug == slug


@pytest.mark.parametrize(
    ("slug", "namespace", "name"),
    [
        ("acme/web", "other", "web"),
        ("acme/web", "acme", "other"),
        ("acme/web", "acm", ""),
        ("acme/web", "", "eb"),
        ("a/b/c", "a", "c"),
        ("acme/web", "acme/web", ""),
        ("acme/k", "acme", "\u212a"),
    ],
    ids=ascii,
)
def test_namespace_and_name_that_disagree_are_refused(slug: str, namespace: str, name: str) -> None:
    error = refusal(body({"slug": slug, "namespace": namespace, "name": name}))
    assert str(error) == "repo.slug, repo.namespace and repo.name do not agree"


# What is sent


def test_an_answer_is_a_list_of_what_runners_use() -> None:
    logins = [
        ("docker.io", Login("octocat", Secret('corréct "horse"'))),
        ("123456789012.dkr.ecr.eu-west-1.amazonaws.com", Login("AWS", Secret("eyJ"), expires_at=1.0)),
    ]
    answer = encode(logins)
    assert answer.startswith(b'[{"address":"docker.io","username":"octocat","password":"')
    assert json.loads(answer) == [
        {"address": "docker.io", "username": "octocat", "password": 'corréct "horse"'},
        {"address": "123456789012.dkr.ecr.eu-west-1.amazonaws.com", "username": "AWS", "password": "eyJ"},
    ]


def test_nothing_is_an_empty_list() -> None:
    assert encode([]) == b"[]"


TEXT = st.text("aé🚀 /.'\"<&\\\u2028", max_size=9)
SLUG = st.from_regex(r"[a-z0-9_-]{1,5}(/[A-Za-z0-9~-]{1,5}){1,3}", fullmatch=True)
INT64 = st.integers(-(2**63), 2**63 - 1)


@given(
    st.builds(
        RegistryRequest,
        slug=SLUG,
        uid=TEXT,
        event=TEXT,
        ref=TEXT,
        source_repo=TEXT,
        deploy_to=TEXT,
        trusted=st.booleans(),
        private=st.booleans(),
        timeout=INT64,
        build=INT64,
    )
)
def test_our_client_asks_what_it_was_told_to(request: RegistryRequest) -> None:
    assert decode(encode_request(request)) == request


@pytest.mark.parametrize(("slug", "parts"), [("acme/web", ["acme", "web"]), ("a/b/c", ["", ""])])
def test_our_client_names_the_parts_of_a_slug_as_drones_does(slug: str, parts: list[str]) -> None:
    repo = json.loads(encode_request(RegistryRequest(slug=slug)))["repo"]
    assert [repo["namespace"], repo["name"]] == parts


# Accept


@pytest.mark.parametrize(
    "accept",
    [
        "",
        "*/*",
        "application/*",
        "application/json",
        ACCEPT,
        f" {ACCEPT}\t",
        ACCEPT.upper(),
        f"text/html, {ACCEPT};q=0.9",
    ],
)
def test_a_client_that_takes_our_answer_passes(accept: str) -> None:
    check_accept(accept)


@pytest.mark.parametrize(
    ("accept", "text"),
    [
        ("text/html", ""),
        ("application/vnd.drone.registry.v2+json", ""),
        ("application/vnd.drone.secret.v1+json", ", not DRONE_SECRET_PLUGIN_ENDPOINT"),
        ("application/vnd.drone.env.v1+json", ", not DRONE_ENV_PLUGIN_ENDPOINT"),
        ("application/vnd.drone.env.v2+json", ", not DRONE_ENV_PLUGIN_ENDPOINT"),
        ("application/vnd.drone.config.v1+json", ", not DRONE_YAML_ENDPOINT"),
        ("application/vnd.drone.convert.v1+json", ", not DRONE_CONVERT_PLUGIN_ENDPOINT"),
        ("application/vnd.drone.validate.v1+json", ", not DRONE_VALIDATE_PLUGIN_ENDPOINT"),
        ("application/vnd.drone.admission.v1+json", ", not DRONE_ADMISSION_PLUGIN_ENDPOINT"),
        ("application/vnd.drone.webhook.v1+json", ", not DRONE_WEBHOOK_ENDPOINT"),
    ],
)
def test_another_kind_of_extension_is_told_where_it_went(accept: str, text: str) -> None:
    with pytest.raises(RequestError) as caught:
        check_accept(accept)
    expected = f"this is a registry extension: DRONE_REGISTRY_PLUGIN_ENDPOINT should point here{text}"
    assert [caught.value.reason, str(caught.value)] == ["accept", expected]


def test_a_body_of_a_runner_is_read_whole() -> None:
    data = body_of(repo={"slug": "a/b", "secret": "key"}, build={"message": "m" * 30_000, "params": {"K": "V" * 9_000}})
    assert decode(data) == RegistryRequest(slug="a/b")
