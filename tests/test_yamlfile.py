"""Strict YAML: plain data, places, and a problem with line and column for everything that is not."""

from collections.abc import Iterator, Mapping

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ecrmint import yamlfile
from ecrmint.errors import ConfigError, Problem
from ecrmint.yamlfile import dotted, looks_random, parse


@pytest.fixture(params=["CBaseLoader", "BaseLoader"], autouse=True, scope="module")
def _loader(request: pytest.FixtureRequest) -> Iterator[None]:
    """Run every test with PyYAML's parser in C and with the one in Python: a machine may have only the latter."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(yamlfile, "_LOADER", getattr(yaml, request.param))
        yield


def problems(text: str | bytes) -> list[str]:
    content = text if isinstance(text, bytes) else text.encode()
    with pytest.raises(ConfigError) as caught:
        parse(content, source="f")
    return caught.value.lines()


def data(text: str) -> Mapping[str, object]:
    return parse(text.encode(), source="f").data


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("", None),
        ("null", None),
        ("~", None),
        ("true", True),
        ("False", False),
        ("no", "no"),
        ("on", "on"),
        ("0", 0),
        ("-3", -3),
        ("1296269", 1296269),
        ("012345678901", "012345678901"),
        ("1.5", "1.5"),
        ("1_000", "1_000"),
        ("0x10", "0x10"),
        ("12:30", "12:30"),
        ("2020-01-01", "2020-01-01"),
        ("'5'", "5"),
        ('"true"', "true"),
        ("!!str 5", "5"),
        ("[a, [b]]", ("a", ("b",))),
        ("{b: {c: d}}", {"b": {"c": "d"}}),
    ],
)
def test_a_plain_word_is_what_it_looks_like(written: str, expected: object) -> None:
    assert data(f"a: {written}\n") == {"a": expected}


def test_a_byte_order_mark_is_no_part_of_the_text() -> None:
    assert data("\ufeffa: b") == {"a": "b"}


def test_an_alias_repeats_its_anchor() -> None:
    assert data("a: &x [1, 2]\nb: *x\nc: [*x]\n") == {"a": (1, 2), "b": (1, 2), "c": ((1, 2),)}


def test_own_keys_win_over_merged_ones_and_an_earlier_merge_over_a_later() -> None:
    text = "x: &x {a: 1, b: 1}\ny: &y {b: 2, c: 2}\none: {c: 3, <<: *x}\ntwo: {<<: [*x, *y], a: 4}\n"
    merged = data(text)
    assert (merged["one"], merged["two"]) == ({"a": 1, "b": 1, "c": 3}, {"a": 4, "b": 1, "c": 2})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            "", ["f:1:1: yaml: the file is empty, expected a mapping with the keys accounts, rules ..."], id="empty"
        ),
        pytest.param(
            "- a\n", ["f:1:1: yaml: found a list, expected a mapping with the keys accounts, rules ..."], id="list"
        ),
        pytest.param(
            "---\n", ["f:2:1: yaml: found nothing, expected a mapping with the keys accounts, rules ..."], id="nothing"
        ),
        pytest.param(
            "a: 1\n---\nb: 2\n", ["f:2:1: yaml: a second YAML document starts here, expected one"], id="second"
        ),
        pytest.param(
            "a:\n\t- b\n", ["f:2:1: yaml: a tab, which YAML does not take as indentation: use spaces"], id="tab"
        ),
        pytest.param(
            "a: 'b\n",
            ["f:2:1: yaml: found unexpected end of stream (while scanning a quoted scalar)"],
            id="unclosed",
        ),
        pytest.param(
            "a: 1\nb:\n  c: 1\n  d: 2\n  c: 3\na: 2\n",
            [
                "f:5:3: b.c: this key is here twice: first in line 3",
                "f:6:1: a: this key is here twice: first in line 1",
            ],
            id="duplicates",
        ),
        pytest.param(
            "x: &x {a: 1}\ny: {<<: *x, b: 1, <<: *x}\n",
            ["f:2:19: y.<<: this key is here twice: first in line 2"],
            id="two-merges",
        ),
        pytest.param("<<: 3\n", ["f:1:1: <<: found a whole number, expected the alias of a mapping"], id="merge"),
        pytest.param(
            "a: {1: x, null: y, true: z, [b]: c}\n",
            [
                "f:1:5: a: found a whole number as a key, expected text: put quotes around it",
                "f:1:11: a: found nothing as a key, expected text: put quotes around it",
                "f:1:20: a: found true as a key, expected text: put quotes around it",
                "f:1:29: a: found a list as a key, expected text: put quotes around it",
            ],
            id="keys",
        ),
        pytest.param(
            "a: [b, *c]\n",
            ["f:1:8: a.1: an alias (*) whose anchor (&) is not above it; quote a text that starts with *"],
            id="alias",
        ),
        pytest.param(
            "a: &b [*b]\n",
            ["f:1:8: a.0: an alias (*) whose anchor (&) is not above it; quote a text that starts with *"],
            id="recursion",
        ),
        pytest.param(
            "a: !!python/name:os.system\nb: !!int '5'\n",
            [
                "f:1:4: a: a YAML tag (!), which nothing here needs; quote a text that starts with !",
                "f:2:4: b: a YAML tag (!), which nothing here needs; quote a text that starts with !",
            ],
            id="tags",
        ),
        pytest.param(
            "a: x\x07y\n",
            ["f:1:5: yaml: control character U+0007: only an escape in double quotes can write it"],
            id="bell",
        ),
        pytest.param(b"a: b\nc: \xff\n", ["f:2:1: yaml: not UTF-8 text"], id="latin-1"),
        pytest.param(f"a: {'[' * 40}\n", ["f:1:36: a.0.0: nested more than 32 deep"], id="deep"),
        pytest.param("- " * 100_000 + "x\n", ["f:1:67: 0.0.0: nested more than 32 deep"], id="very-deep"),
    ],
)
def test_what_is_not_one_plain_mapping_is_told_with_its_place(text: str | bytes, expected: list[str]) -> None:
    assert problems(text) == expected


@pytest.mark.parametrize(
    ("text", "place"),
    [
        pytest.param("a: b: c\n", "f:1:5: yaml: mapping values are not allowed", id="two-colons"),
        pytest.param("a: @x\n", "f:1:4: yaml: found character", id="reserved"),
        pytest.param("a: {b: c\n", "f:2:1: yaml: ", id="unclosed-mapping"),
        pytest.param("%YAML 3.0\n---\na: 1\n", "f:1:1: yaml: found incompatible YAML document", id="version"),
    ],
)
def test_broken_syntax_has_a_place_with_either_parser(text: str, place: str) -> None:
    (line,) = problems(text)
    # The rest is PyYAML's wording; the parser in C may see the end of the file one line later.
    assert line.startswith(place) or (place == "f:2:1: yaml: " and line.startswith("f:1:9: yaml: "))


@pytest.mark.parametrize("text", ["value: *Zq7RtY2kLm9Pw4Xs", "value: !Zq7RtY2kLm9Pw4Xs!x y", "&Zq7RtY2kLm9Pw4Xs x"])
def test_a_secret_without_quotes_is_not_in_the_message(text: str) -> None:
    assert "Zq7RtY2kLm9Pw4Xs" not in "".join(problems(f"{text}\n"))


def test_an_alias_bomb_is_refused_where_it_grows_too_large() -> None:
    levels = "".join(f"k{i}: &k{i} [{', '.join([f'*k{i - 1}'] * 10)}]\n" for i in range(1, 12))
    assert problems(f"k0: &k0 [x]\n{levels}") == [
        "f:7:25: k6.3: more than 1,000,000 values once the aliases are expanded"
    ]


def test_places_are_those_of_keys_and_items_and_of_an_alias_for_all_that_is_in_it() -> None:
    file = parse(b"a: &x\n  b: [c,\n    d]\ne: *x\nf:\n  <<: *x\n", source="f")
    paths = [("a", "b", 1), ("a", "b"), ("e", "b", 1), ("f", "b", 1), ("nowhere",), ()]
    assert [file.place(path) for path in paths] == [(3, 5), (2, 3), (4, 1), (5, 1), (1, 1), (1, 1)]


@pytest.mark.parametrize(
    ("text", "random"),
    [
        ("hunter2", False),
        ("web_identity_token_file", False),
        ("team-a-production-eu-west-1", False),
        ("123456789012.dkr.ecr.eu-west-1.amazonaws.com", False),
        ("/etc/ecrmint/secrets/DRONE_REGISTRY_PLUGIN_TOKEN", False),
        ("drone-pull@acme.iam.gserviceaccount.com", False),
        ("arn:aws:iam::123456789012:role/drone-pull", False),
        ("https://octocat:hunter2@registry.example", True),
        ("s://u:pw@h", True),
        ("0123456789abcdef0123456789abcdef", True),
        ("AKIAIOSFODNN7EXAMPLE", True),
        ("ya29.a0AfH6SMBx8Qm3kT", True),
        ("correcthorsebatterystaplecorrect", True),
        ("3f2a9c1e-7b4d-4e6f-8a1b-2c3d4e5f6a7b", True),
    ],
)
def test_long_texts_that_are_no_words_look_random(text: str, random: bool) -> None:
    assert looks_random(text) is random


def test_a_key_that_may_be_a_secret_is_not_in_a_path() -> None:
    assert dotted(("secrets", 0, "AKIAIOSFODNN7EXAMPLE", "a\nb")) == "secrets.0.***.a\\nb"


# Text that comes near YAML, and bytes that don't.
NEAR_YAML = st.text(st.sampled_from("ab01:-?,[]{}&*!|>'\"%@`#~<. \t\n\r\x00\x85\u2028\ufeff\ufffe\U0001f600")).map(
    str.encode
)


@given(NEAR_YAML | st.binary())
def test_any_bytes_are_plain_data_or_a_problem_with_a_place(content: bytes) -> None:
    found: object = {}
    told: tuple[Problem, ...] = ()
    try:
        found = parse(content, source="f").data
    except ConfigError as error:
        told = error.problems
    assert isinstance(found, dict)
    assert [problem for problem in told if problem.line is None] == []
