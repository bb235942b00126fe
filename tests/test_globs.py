"""The language of patterns: what is one, and what it matches; a slow reference has the last word."""

import functools
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecrmint.globs import MAX_PATTERN, Glob, GlobIndex, check, fold


def matches(pattern: str, text: str) -> bool:
    """Ask both: one glob alone, and an index that holds it among others."""
    index = GlobIndex({check(pattern): 0b1, "other/literal": 0b10, "*/*/*/*/*/*/other": 0b100})
    found = index.match(text)
    alone = "" not in text.split("/") and Glob(pattern).matches(text.split("/"))
    assert bool(found & 0b1) == alone
    return alone


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("a/b", "a/b"),
        ("a/*", "a/b"),
        ("a/b*", "a/b"),
        ("a/*b", "a/b"),
        ("a/b*b", "a/bb"),
        ("a/b*d*f", "a/bcdef"),
        ("a/*b*", "a/abc"),
        ("*/b", "a/b"),
        ("*a*/b", "xay/b"),
        ("**", "a/b"),
        ("**", "a/b/c"),
        ("a/**", "a/b"),
        ("a/**", "a/b/c/d"),
        ("**/b", "a/b"),
        ("**/b", "x/y/b"),
        ("a/**/d", "a/b/d"),
        ("a/**/d", "a/b/c/d"),
        ("**/**", "a/b"),
        ("**/b/**", "b/a/b/c"),
        ("**/b/c/**", "a/b/b/c/d"),
        ("*/**/c*", "a/b/cd"),
        ("refs/tags/v*", "refs/tags/v1.2"),
        ("refs/heads/**", "refs/heads/feature/x"),
        ("a/b.c", "a/b.c"),
        ("a/!~*", "a/!~b"),
        ("a/+(b|c)$^", "a/+(b|c)$^"),
    ],
)
def test_it_matches(pattern: str, text: str) -> None:
    assert matches(pattern, text)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("a/b", "a/bb"),
        ("a/b", "A/b"),
        ("a/b", "a"),
        ("a/*", "a"),
        ("a/*", "a/"),
        ("a/*", "/a/b"),
        ("a/*", "a/b/"),
        ("a/*", "a/b/c"),
        ("a/*", "a-evil/b"),
        ("a/*", "xa/b"),
        ("a/b*b", "a/b"),
        ("a/b*c", "a/bcd"),
        ("a/*bb*", "a/bab"),
        ("a/*b*b*", "a/b"),
        ("a/*b*bc", "a/bc"),
        ("a*/b", "a/x/b"),
        ("a*b/c", "a/b/c"),
        ("**", ""),
        ("**", "a//b"),
        ("**", "/"),
        ("a/**", "a"),
        ("a/**", "a/"),
        ("a/**", "a//b"),
        ("**/b", "b"),
        ("a/**/b", "a/b"),
        ("**/**", "a"),
        ("**/b/**", "b/c"),
        ("**/b/**", "a/b"),
        ("**/b/c/**", "a/b/x/c/d"),
        ("a/**/a", "a/a"),
        ("a/b/**/b/c", "a/b/c"),
        ("**/x/**/x/**", "a/x/b/c"),
        ("a/b.c", "a/bxc"),
        ("refs/heads/main", "refs/heads/Main"),
        ("a/b", "a/b\n"),
    ],
)
def test_it_does_not_match(pattern: str, text: str) -> None:
    assert not matches(pattern, text)


FORBIDDEN = "?[]{}\\ \t\n\0\x7f\u2028\ud800"


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        *(pytest.param(f"a/b{char}", f"not {char!a} in it", id=ascii(char)) for char in FORBIDDEN),
        pytest.param("", "without empty segments", id="empty"),
        pytest.param("/a", "without empty segments", id="leading slash"),
        pytest.param("a/", "without empty segments", id="trailing slash"),
        pytest.param("a//b", "without empty segments", id="doubled slash"),
        pytest.param("a/b**", "** as a whole segment", id="ends in stars"),
        pytest.param("a/**b", "** as a whole segment", id="starts with stars"),
        pytest.param("a/***", "** as a whole segment", id="three stars"),
        pytest.param("a/" + "b" * (MAX_PATTERN - 1), "at most 512 characters, not 513", id="long"),
    ],
)
def test_what_is_no_pattern_is_refused_with_a_reason(pattern: str, expected: str) -> None:
    with pytest.raises(ValueError, match=r"^expected a pattern|^expected \*\*") as caught:
        check(pattern)
    assert expected in str(caught.value)


def test_a_pattern_may_be_as_long_as_a_slug() -> None:
    assert check("a/" + "b" * (MAX_PATTERN - 2)).endswith("b")


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        pytest.param("x/" + "*a" * 250 + "*b", "x/" + "a" * 500, id="stars in a segment"),
        pytest.param("**/" + "a/**/" * 80 + "b", "a/" * 250 + "a", id="many **"),
        pytest.param("/".join(["**"] * 150) + "/b", "a/" * 250 + "a", id="nothing but **"),
        pytest.param("**/" + "*a/" * 120 + "b/**", "a/" * 250 + "a", id="a long run between **"),
    ],
)
def test_a_hostile_pattern_is_decided_at_once(pattern: str, text: str) -> None:
    """With backtracking that has no bound these would take longer than anyone waits."""
    assert not matches(pattern, text)
    assert matches(pattern, text.removesuffix("a") + "b") == (pattern.endswith("b"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Octo/App", "octo/app"),
        ("OCTO/é", "octo/é"),
        ("É/A", "É/a"),
        ("\u212a/\u017f", "\u212a/\u017f"),  # Kelvin sign, long s: str.casefold makes them k and s
    ],
)
def test_folding_changes_ascii_letters_only(text: str, expected: str) -> None:
    assert fold(text) == expected


# The reference: the prose of the design, by recursion, one character and one segment at a time.


@functools.cache
def reference(pattern: tuple[str, ...], text: tuple[str, ...]) -> bool:
    if not pattern:
        return not text
    if pattern[0] == "**":
        return any(reference(pattern[1:], text[taken:]) for taken in range(1, len(text) + 1))
    return bool(text) and reference_segment(pattern[0], text[0]) and reference(pattern[1:], text[1:])


@functools.cache
def reference_segment(pattern: str, text: str) -> bool:
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(reference_segment(pattern[1:], text[taken:]) for taken in range(len(text) + 1))
    return bool(text) and pattern[0] == text[0] and reference_segment(pattern[1:], text[1:])


def reference_matches(pattern: str, text: str) -> bool:
    segments = tuple(text.split("/"))
    return all(segments) and reference(tuple(pattern.split("/")), segments)


pattern_segments = st.just("**") | st.text("ab*", min_size=1, max_size=5).filter(lambda segment: "**" not in segment)
patterns = st.lists(pattern_segments, min_size=1, max_size=6).map("/".join)
texts = st.lists(st.text("ab", max_size=5), min_size=1, max_size=7).map("/".join)


@given(pattern=patterns, text=texts)
def test_a_glob_agrees_with_the_reference(pattern: str, text: str) -> None:
    assert matches(pattern, text) == reference_matches(pattern, text)


@given(some=st.lists(patterns, max_size=12), text=texts)
def test_an_index_finds_exactly_the_patterns_that_match(some: list[str], text: str) -> None:
    bits = {pattern: 1 << index for index, pattern in enumerate(dict.fromkeys(some))}
    assert GlobIndex(bits).match(text) == sum(bit for pattern, bit in bits.items() if reference_matches(pattern, text))


WORDS = ["".join(letters) for letters in itertools.product("abc", repeat=3)]
CROWD = ["*/*", "*/*c"]
CROWD += [each.format(word) for word in WORDS for each in ("*/{}*", "*/*{}", "x/*{}*", "x/{}y*", "**/{}*/**")]


@pytest.mark.parametrize("text", ["a/abcab", "x/bcaby", "x/y/acb", "b/ccc", "c/a/bacc/b", "x/ab", "y/aac", "y/zzzzz"])
def test_a_crowd_of_patterns_is_searched_as_a_few_are(text: str) -> None:
    """Where patterns outnumber the parts of a text the index looks for the parts, not for the patterns."""
    bits = {pattern: 1 << index for index, pattern in enumerate(CROWD)}
    found = GlobIndex(bits).match(text)
    assert [pattern for pattern in CROWD if found & bits[pattern]] == [
        pattern for pattern in CROWD if reference_matches(pattern, text)
    ]
