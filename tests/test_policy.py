"""The rules' section of the design, sentence by sentence, and what must hold for any rules and builds."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ecrmint.policy import Decision, Event, Policy, Reason, Rule, RuleVerdict, is_fork
from ecrmint.wire import RegistryRequest as Build

PUSH = Build("team-a/app", event="push", ref="refs/heads/main", source_repo="team-a/app", uid="7")
PULL = replace(PUSH, event="pull_request", ref="refs/pull/1/head")
FORK = replace(PULL, source_repo="stranger/app")


def rule(name: str = "r", /, *repos: str, **keys: object) -> Rule:
    """Return a rule that grants `prod` to team-a's repositories, if nothing else is said."""
    given: dict[str, object] = {"name": name, "repos": list(repos or ["team-a/*"])} | keys
    if given.get("effect") != "deny":
        given.setdefault("accounts", ["prod"])
    return Rule.model_validate(given)


def decide(rules: Sequence[Rule], build: Build, secret: str = "main") -> Decision:
    """Decide, and hold `explain` to the same."""
    policy = Policy(rules)
    decision = policy.decide(build, secret=secret)
    verdicts = policy.explain(build, secret=secret)
    assert decision.rules == tuple(verdict.rule for verdict in verdicts if verdict.matched)
    assert all((verdict.failed is None) == verdict.matched for verdict in verdicts)
    assert decision.fork == is_fork(build)
    return decision


def granted(build: Build, *rules: Rule, secret: str = "main") -> tuple[str, ...]:
    return decide(rules, build, secret).accounts


# What a rule says, alone


@pytest.mark.parametrize(
    ("keys", "build", "expected"),
    [
        pytest.param({"events": ["push", "tag"]}, PUSH, True, id="event: one of them"),
        pytest.param({"events": ["tag"]}, PUSH, False, id="event: another"),
        pytest.param({"events": list(get_args(Event))}, replace(PUSH, event=""), False, id="event: empty"),
        pytest.param({"events": list(get_args(Event))}, replace(PUSH, event="deploy"), False, id="event: unknown"),
        pytest.param({"events": ["push"]}, replace(PUSH, event="PUSH"), False, id="event: in capitals"),
        pytest.param({}, replace(PUSH, event=""), True, id="event: empty, not restricted"),
        pytest.param({}, replace(PUSH, event="deploy"), True, id="event: unknown, not restricted"),
        pytest.param({"refs": ["refs/heads/main"]}, PUSH, True, id="ref: literal"),
        pytest.param({"refs": ["refs/tags/v*", "refs/heads/m*"]}, PUSH, True, id="ref: one of two patterns"),
        pytest.param(
            {"refs": ["refs/heads/*"]}, replace(PUSH, ref="refs/heads/a/b"), False, id="ref: * is one segment"
        ),
        pytest.param({"refs": ["refs/heads/**"]}, replace(PUSH, ref="refs/heads/a/b"), True, id="ref: ** is several"),
        pytest.param({"refs": ["refs/heads/main"]}, replace(PUSH, ref="refs/heads/Main"), False, id="ref: case counts"),
        pytest.param({"refs": ["refs/heads/Main"]}, replace(PUSH, ref="refs/heads/Main"), True, id="ref: capitals"),
        pytest.param({"refs": ["refs/heads/main"]}, replace(PUSH, ref="refs/heads/main\n"), False, id="ref: newline"),
        pytest.param({"refs": ["refs/heads/grö*"]}, replace(PUSH, ref="refs/heads/größe"), True, id="ref: any letter"),
        pytest.param({"refs": ["**"]}, PUSH, True, id="ref: any"),
        pytest.param({"refs": ["**"]}, replace(PUSH, ref=""), False, id="ref: absent"),
        pytest.param({}, replace(PUSH, ref=""), True, id="ref: absent, not restricted"),
        pytest.param({"uids": ["6", "7"]}, PUSH, True, id="uid: one of them"),
        pytest.param({"uids": [7]}, PUSH, True, id="uid: a whole number counts as its digits"),
        pytest.param({"uids": [8]}, PUSH, False, id="uid: another"),
        pytest.param({"uids": ["07"]}, PUSH, False, id="uid: text, not a number"),
        pytest.param({"uids": [7]}, replace(PUSH, uid=""), False, id="uid: absent"),
        pytest.param({"trusted": True}, replace(PUSH, trusted=True), True, id="trusted: as it must be"),
        pytest.param({"trusted": True}, PUSH, False, id="trusted: not"),
        pytest.param({"trusted": False}, PUSH, True, id="trusted: must not be"),
        pytest.param({"trusted": False}, replace(PUSH, trusted=True), False, id="trusted: but must not be"),
        pytest.param({}, replace(PUSH, trusted=True), True, id="trusted: either"),
        pytest.param({"private": True}, replace(PUSH, private=True), True, id="private: as it must be"),
        pytest.param({"private": True}, PUSH, False, id="private: not"),
        pytest.param({"private": False}, replace(PUSH, private=True), False, id="private: but must not be"),
        pytest.param({"deploy_to": ["production"]}, replace(PUSH, deploy_to="production"), True, id="target: it"),
        pytest.param({"deploy_to": ["production"]}, replace(PUSH, deploy_to="staging"), False, id="target: another"),
        pytest.param({"deploy_to": ["production"]}, PUSH, False, id="target: none"),
        pytest.param({"deploy_to": ["production"]}, replace(PUSH, deploy_to="Production"), False, id="target: case"),
        pytest.param({"secrets": ["main", "spare"]}, PUSH, True, id="secret: one of them"),
        pytest.param({"secrets": ["pool-b"]}, PUSH, False, id="secret: another pool's"),
        pytest.param({"events": ["push"], "uids": [7], "private": True}, PUSH, False, id="every key must fit"),
        pytest.param({"effect": "deny", "accounts": ["prod"]}, PUSH, False, id="a deny rule grants nothing"),
    ],
)
def test_every_key_restricts(keys: Mapping[str, object], build: Build, expected: bool) -> None:
    assert granted(build, rule(**keys)) == (("prod",) if expected else ())


@pytest.mark.parametrize(
    ("pattern", "slug", "expected"),
    [
        ("octo/*", "octo/app", True),
        ("octo/*", "octo-evil/app", False),
        ("octo/*", "octo/a/b", False),
        ("octo/*", "octo/", False),
        ("octo/*", "/octo/a", False),
        ("octo/*", "octo/a/", False),
        ("octo/**", "octo/a/b", True),
        ("octo/**", "octo/app", True),
        ("octo/app", "OCTO/App", True),
        ("OCTO/App", "octo/app", True),
        ("Octo/A*P", "oCTO/aPp", True),
        ("octo/k*", "octo/\u212axx", False),
        ("octo/app", "octo/app\n", False),
        ("octo/app", "octo/app ", False),
        ("octo/app", "octo/a%70p", False),
        ("**", "octo/app", True),
        ("**", "octo/a/b/c", True),
        ("*/app", "octo/app", True),
        ("**/app", "octo/group/app", True),
    ],
)
def test_repositories_are_named_by_globs_in_any_case(pattern: str, slug: str, expected: bool) -> None:
    assert granted(Build(slug, event="push"), rule("r", pattern)) == (("prod",) if expected else ())


def test_one_pattern_of_several_is_enough() -> None:
    assert granted(PUSH, rule("r", "team-b/*", "*/app")) == ("prod",)


# Forks


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        pytest.param(PUSH, False, id="a push of its own"),
        pytest.param(replace(PUSH, source_repo=""), False, id="a push without source"),
        pytest.param(PULL, False, id="a pull request from the repository itself"),
        pytest.param(replace(PULL, source_repo="Team-A/APP"), False, id="the same repository in other case"),
        pytest.param(FORK, True, id="a fork's pull request"),
        pytest.param(replace(FORK, event="push", ref="refs/heads/main"), True, id="a source elsewhere, whatever else"),
        pytest.param(replace(FORK, event="promote"), True, id="promoted"),
        pytest.param(replace(FORK, event=""), True, id="without an event"),
        pytest.param(replace(PULL, source_repo=""), True, id="a pull request without source"),
        pytest.param(replace(PULL, source_repo="", ref="refs/heads/main"), True, id="the event alone"),
        pytest.param(replace(PUSH, source_repo="", ref="refs/pull/1/head"), True, id="GitHub's ref alone"),
        pytest.param(replace(PUSH, source_repo="", ref="refs/pull-requests/1/from"), True, id="Bitbucket's ref alone"),
        pytest.param(replace(PUSH, source_repo="", ref="refs/merge-requests/1/head"), True, id="GitLab's ref alone"),
        pytest.param(replace(PUSH, source_repo="", ref="refs/heads/refs/pull/1"), False, id="a branch named so"),
        pytest.param(replace(PULL, source_repo=" "), True, id="a blank source"),
        pytest.param(replace(PULL, slug="kim/app", source_repo="\u212aim/app"), True, id="no ASCII letter, like one"),
    ],
)
def test_a_fork_build_is_known_by_its_source(build: Build, expected: bool) -> None:
    assert is_fork(build) == expected
    decision = decide([rule("r", "**")], build)
    assert decision.accounts == (() if expected else ("prod",))
    assert decision.reason == ("fork" if expected else "granted")
    assert granted(build, rule("r", "**", forks="allow")) == ("prod",)


def test_a_branch_of_the_repository_is_not_enough_for_a_fork() -> None:
    """A pull request's target is main: that its ref may be main too changes nothing."""
    assert granted(replace(FORK, ref="refs/heads/main"), rule(refs=["refs/heads/main"])) == ()


# Several rules


@pytest.mark.parametrize(
    ("rules", "build", "expected"),
    [
        pytest.param([], PUSH, ((), (), "no_rule"), id="no rules: denied"),
        pytest.param([rule("b", "team-b/*")], PUSH, ((), (), "no_rule"), id="no rule for it: denied"),
        pytest.param(
            [rule("all", "**", accounts=["hub"]), rule("a", accounts=["prod", "gar"])],
            PUSH,
            (("hub", "prod", "gar"), ("all", "a"), "granted"),
            id="every matching rule adds its accounts, in order",
        ),
        pytest.param(
            [rule("1", accounts=["x", "y"]), rule("2", accounts=["z", "x"]), rule("3", accounts=["y"])],
            PUSH,
            (("x", "y", "z"), ("1", "2", "3"), "granted"),
            id="an account has the place of its first mention",
        ),
        pytest.param(
            [rule("a", accounts=["x", "y"]), rule("no", effect="deny", accounts=["x"])],
            PUSH,
            (("y",), ("a", "no"), "granted"),
            id="deny takes away the accounts that it names",
        ),
        pytest.param(
            [rule("a", accounts=["x", "y"]), rule("no", "team-a/app", effect="deny")],
            PUSH,
            ((), ("a", "no"), "denied"),
            id="deny takes away everything where it names none",
        ),
        pytest.param(
            [rule("no", effect="deny"), rule("a")], PUSH, ((), ("no", "a"), "denied"), id="allow after deny: denied"
        ),
        pytest.param(
            [rule("no", effect="deny", accounts=["x"]), rule("1", accounts=["x"]), rule("2", accounts=["x", "y"])],
            PUSH,
            (("y",), ("no", "1", "2"), "granted"),
            id="deny takes an account away from every rule",
        ),
        pytest.param(
            [rule("a", accounts=["x"]), rule("no", effect="deny", accounts=["x"])],
            PUSH,
            ((), ("a", "no"), "denied"),
            id="deny of the only account",
        ),
        pytest.param(
            [rule("a"), rule("no", effect="deny", events=["tag"])],
            PUSH,
            (("prod",), ("a",), "granted"),
            id="a deny that does not match",
        ),
        pytest.param(
            [rule("a"), rule("no", effect="deny", accounts=["other"])],
            PUSH,
            (("prod",), ("a", "no"), "granted"),
            id="deny of what is not granted",
        ),
        pytest.param([rule("no", effect="deny")], PUSH, ((), ("no",), "denied"), id="nothing but a deny"),
        pytest.param([rule("a")], FORK, ((), (), "fork"), id="a fork gets nothing"),
        pytest.param(
            [rule("a", accounts=["x"]), rule("open", accounts=["hub"], forks="allow")],
            FORK,
            (("hub",), ("open",), "granted"),
            id="a fork gets what says forks: allow, and no more",
        ),
        pytest.param(
            [rule("open", forks="allow"), rule("no", effect="deny")],
            FORK,
            ((), ("open", "no"), "denied"),
            id="deny is over fork builds too",
        ),
        pytest.param(
            [rule("open", forks="allow"), rule("no", effect="deny", forks="allow")],
            FORK,
            ((), ("open", "no"), "denied"),
            id="deny is over fork builds whatever its forks says",
        ),
        pytest.param(
            [rule("open", forks="allow"), rule("no", effect="deny", forks="allow")],
            PUSH,
            ((), ("open", "no"), "denied"),
            id="forks does not keep a deny to forks",
        ),
        pytest.param(
            [rule("a"), rule("no", effect="deny")],
            FORK,
            ((), ("no",), "denied"),
            id="a fork that forks: allow would not help",
        ),
        pytest.param(
            [rule("a", accounts=["x", "y"]), rule("no", effect="deny", accounts=["x"])],
            FORK,
            ((), ("no",), "fork"),
            id="a fork that forks: allow would help",
        ),
        pytest.param([rule("b", "team-b/*")], FORK, ((), (), "no_rule"), id="a fork of what no rule is for"),
    ],
)
def test_rules_together(
    rules: list[Rule], build: Build, expected: tuple[tuple[str, ...], tuple[str, ...], Reason]
) -> None:
    accounts, names, reason = expected
    assert decide(rules, build) == Decision(accounts, names, is_fork(build), reason)


def test_hundreds_of_matching_rules_keep_their_order() -> None:
    names = [f"r{index}" for index in range(500)]
    decision = decide([rule(name, "**", accounts=[f"a-{name}", "shared"]) for name in names], PUSH)
    assert decision.rules == tuple(names)
    assert decision.accounts == ("a-r0", "shared", *(f"a-{name}" for name in names[1:]))


def test_what_the_signer_may_have_is_not_what_another_may() -> None:
    rules = [rule("a", secrets=["pool-a"], accounts=["x"]), rule("b", secrets=["pool-b"], accounts=["y"])]
    assert granted(PUSH, *rules, secret="pool-a") == ("x",)
    assert granted(PUSH, *rules, secret="pool-b") == ("y",)
    assert granted(PUSH, *rules, secret="pool-c") == ()


# Why


@pytest.mark.parametrize(
    ("given", "build", "failed", "text"),
    [
        pytest.param(rule(accounts=["x", "y"]), PUSH, None, "grants x, y", id="grants"),
        pytest.param(rule(effect="deny", accounts=["x", "y"]), PUSH, None, "takes away x, y", id="takes away"),
        pytest.param(rule(effect="deny"), PUSH, None, "takes away every account", id="takes away all"),
        pytest.param(
            rule("r", "team-b/*", "*/Lib"),
            replace(PUSH, slug="Team-A/App"),
            "repos",
            "repos: found Team-A/App, allowed team-b/*, */Lib",
            id="repos",
        ),
        pytest.param(
            rule(events=["push", "tag"]), PULL, "events", "events: found pull_request, allowed push, tag", id="events"
        ),
        pytest.param(
            rule(refs=["refs/tags/v*"]), PUSH, "refs", "refs: found refs/heads/main, allowed refs/tags/v*", id="refs"
        ),
        pytest.param(
            rule(refs=["refs/tags/v*"]),
            replace(PUSH, ref="refs/heads/\u202eevil"),
            "refs",
            r"refs: found 'refs/heads/\u202eevil', allowed refs/tags/v*",
            id="a ref that a terminal would turn round",
        ),
        pytest.param(
            rule(uids=[8, 9]), replace(PUSH, uid=""), "uids", "uids: found nothing, allowed 8, 9", id="uids, absent"
        ),
        pytest.param(rule(trusted=True), PUSH, "trusted", "trusted: found false, allowed true", id="trusted"),
        pytest.param(
            rule(private=False),
            replace(PUSH, private=True),
            "private",
            "private: found true, allowed false",
            id="private",
        ),
        pytest.param(
            rule(deploy_to=["production"]),
            replace(PUSH, deploy_to="staging"),
            "deploy_to",
            "deploy_to: found staging, allowed production",
            id="deploy_to",
        ),
        pytest.param(rule(secrets=["pool-a"]), PUSH, "secrets", "secrets: found main, allowed pool-a", id="secrets"),
        pytest.param(
            rule("r", *(f"team-b/{index}" for index in range(10))),
            PUSH,
            "repos",
            f"repos: found team-a/app, allowed {', '.join(f'team-b/{index}' for index in range(10))}",
            id="a list is shown",
        ),
        pytest.param(
            rule("r", *(f"team-b/{index}" for index in range(12))),
            PUSH,
            "repos",
            f"repos: found team-a/app, allowed {', '.join(f'team-b/{index}' for index in range(10))}, 2 more",
            id="a long list is cut",
        ),
        pytest.param(
            rule(),
            FORK,
            "forks",
            "forks: this is a fork build (source_repo stranger/app) and the rule does not say forks: allow",
            id="forks",
        ),
        pytest.param(
            rule(),
            replace(PULL, source_repo=""),
            "forks",
            "forks: this is a fork build (a pull request without source_repo) and the rule does not say forks: allow",
            id="forks, no source",
        ),
        pytest.param(
            rule(events=["push"]), FORK, "events", "events: found pull_request, allowed push", id="forks come last"
        ),
    ],
)
def test_a_verdict_says_found_and_allowed(given: Rule, build: Build, failed: str | None, text: str) -> None:
    (verdict,) = Policy([given]).explain(build, secret="main")
    assert verdict == RuleVerdict("r", given.effect, failed is None, verdict.failed, text)
    assert verdict.failed == failed


# What a rule may not be


@pytest.mark.parametrize(
    ("keys", "place", "expected"),
    [
        ({"repos": ["octocat"]}, ("repos", 0), "a / in it, such as octocat/*"),
        ({"repos": ["a/b", "octo*"]}, ("repos", 1), "a / in it"),
        ({"repos": ["*"]}, ("repos", 0), "a / in it"),
        ({"repos": ["a/[ab]"]}, ("repos", 0), "without ? [ ] { } \\, not '[' in it"),
        ({"repos": ["a/b\t"]}, ("repos", 0), r"not '\t' in it"),
        ({"repos": ["a/b\0"]}, ("repos", 0), r"not '\x00' in it"),
        ({"repos": ["a/**b"]}, ("repos", 0), "** as a whole segment"),
        ({"repos": []}, ("repos",), "at least one entry"),
        ({"repos": [7]}, ("repos", 0), "valid string"),
        ({"repos": "a/b"}, ("repos",), "valid tuple"),
        ({"repos": None}, ("repos",), "valid tuple"),
        ({"accounts": []}, ("accounts",), "at least one entry"),
        ({"accounts": [], "effect": "deny"}, ("accounts",), "at least one entry"),
        ({"accounts": None, "effect": "deny"}, ("accounts",), "valid tuple"),
        (
            {"events": ["pull"]},
            ("events", 0),
            "'push', 'pull_request', 'tag', 'promote', 'rollback', 'cron' or 'custom'",
        ),
        ({"events": []}, ("events",), "at least one entry"),
        ({"events": None}, ("events",), "valid tuple"),
        ({"repos": ["größe/app"]}, ("repos", 0), "which no repository's slug has"),
        ({"repos": ["a/b@c"]}, ("repos", 0), "which no repository's slug has"),
        ({"refs": ["main"]}, ("refs", 0), "starts with refs/, such as refs/heads/main"),
        ({"refs": ["*/heads/main"]}, ("refs", 0), "starts with refs/"),
        ({"refs": ["refs/heads/"]}, ("refs", 0), "without empty segments"),
        ({"refs": ["refs/heads/v?"]}, ("refs", 0), "not '?' in it"),
        ({"uids": [True]}, ("uids", 0), "valid string"),
        ({"uids": [""]}, ("uids", 0), "not empty"),
        ({"uids": [1.0]}, ("uids", 0), "valid string"),
        ({"deploy_to": [""]}, ("deploy_to", 0), "not empty"),
        ({"trusted": "yes"}, ("trusted",), "valid boolean"),
        ({"trusted": None}, ("trusted",), "expected a value"),
        ({"private": None}, ("private",), "expected a value"),
        ({"forks": "deny"}, ("forks",), "'allow'"),
        ({"forks": None}, ("forks",), "expected a value"),
        ({"effect": "drop"}, ("effect",), "'allow' or 'deny'"),
        ({"name": "two words"}, ("name",), "expected a name"),
        ({"repo": ["a/b"]}, ("repo",), "not permitted"),
    ],
    ids=repr,
)
def test_what_can_never_match_or_mean_anything_is_refused(
    keys: dict[str, object], place: tuple[str | int, ...], expected: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        Rule.model_validate({"name": "r", "repos": ["a/b"], "accounts": ["prod"]} | keys)
    (problem,) = caught.value.errors(include_url=False, include_input=False)
    assert problem["loc"] == place
    assert expected in problem["msg"]


def test_a_list_is_as_good_as_a_tuple() -> None:
    keys = {"name": "r", "accounts": ["x"], "events": ["push"], "refs": ["**"], "uids": [7], "deploy_to": ["a"]}
    as_lists = keys | {"repos": ["a/b"], "secrets": ["main"]}
    as_tuples = {key: tuple(value) if isinstance(value, list) else value for key, value in as_lists.items()}
    assert Rule.model_validate(as_lists) == Rule.model_validate(as_tuples)


def test_an_allow_rule_without_accounts_is_refused() -> None:
    with pytest.raises(ValidationError, match="without them this rule grants nothing"):
        Rule.model_validate({"name": "r", "repos": ["a/b"]})


# Any rules, any builds: a second reading of the design, rule by rule, with sets and loops


def folded(text: str) -> str:
    return "".join(chr(ord(char) + 32) if "A" <= char <= "Z" else char for char in text)


def glob_matches(pattern: str, text: str) -> bool:
    return _glob(pattern.split("/"), text.split("/")) if all(text.split("/")) else False


def _glob(pattern: list[str], text: list[str]) -> bool:
    if not pattern or not text:
        return pattern == text
    if pattern[0] == "**":
        return _glob(pattern[1:], text[1:]) or _glob(pattern, text[1:])
    return _segment(pattern[0], text[0]) and _glob(pattern[1:], text[1:])


def _segment(pattern: str, text: str) -> bool:
    if not pattern or (not text and pattern[0] != "*"):
        return pattern == text
    if pattern[0] == "*":
        return _segment(pattern[1:], text) or (text != "" and _segment(pattern, text[1:]))
    return pattern[0] == text[0] and _segment(pattern[1:], text[1:])


def reference_fork(build: Build) -> bool:
    if build.source_repo != "":
        return folded(build.source_repo) != folded(build.slug)
    kinds = ("pull", "pull-requests", "merge-requests")
    return build.event == "pull_request" or any(build.ref.startswith(f"refs/{kind}/") for kind in kinds)


def reference_matches(given: Rule, build: Build, secret: str) -> bool:
    if not any(glob_matches(folded(pattern), folded(build.slug)) for pattern in given.repos):
        return False
    if given.refs and not any(glob_matches(pattern, build.ref) for pattern in given.refs):
        return False
    listed = (
        (given.events, build.event),
        (given.uids, build.uid),
        (given.deploy_to, build.deploy_to),
        (given.secrets, secret),
    )
    if any(allowed and found not in allowed for allowed, found in listed):
        return False
    if given.trusted not in (None, build.trusted) or given.private not in (None, build.private):
        return False
    return given.effect == "deny" or given.forks == "allow" or not reference_fork(build)


def reference_accounts(rules: Sequence[Rule], build: Build, secret: str) -> list[str]:
    matching = [each for each in rules if reference_matches(each, build, secret)]
    accounts: list[str] = []
    for each in matching:
        if each.effect == "allow":
            accounts += [account for account in each.accounts if account not in accounts]
    for each in matching:
        if each.effect == "deny":
            accounts = [account for account in accounts if each.accounts and account not in each.accounts]
    return accounts


def some(*values: object) -> st.SearchStrategy[list[object]]:
    return st.lists(st.sampled_from(values), min_size=1, max_size=3, unique=True)


RESTRICTIONS: Mapping[str, st.SearchStrategy[object]] = {
    "events": some("push", "pull_request", "tag"),
    "refs": some("**", "refs/heads/*", "refs/heads/a", "refs/heads/A", "refs/*/a", "refs/heads/**", "refs/pull/**"),
    "uids": some("1", 2),
    "trusted": st.booleans(),
    "private": st.booleans(),
    "deploy_to": some("prod", "test"),
    "secrets": some("main", "spare"),
    "forks": st.just("allow"),
}
REPOS = some("**", "a/*", "A/b", "a/**", "*/b", "**/b", "*/*b*", "a/b/**", "**/*/b", "b/a*b", "*B/*")
ACCOUNTS = some("x", "y", "z")


@st.composite
def some_rule(draw: st.DrawFn, effects: Sequence[str] = ("allow", "allow", "deny")) -> Rule:
    # Few keys each: with all of them next to nothing would match.
    chosen = draw(st.lists(st.sampled_from(sorted(RESTRICTIONS)), max_size=2, unique=True))
    keys = {key: draw(RESTRICTIONS[key]) for key in chosen} | {"effect": draw(st.sampled_from(effects))}
    if keys["effect"] == "allow" or draw(st.booleans()):
        keys["accounts"] = draw(ACCOUNTS)
    name = f"r{draw(st.integers(0, 999))}"
    return Rule.model_validate({"name": name, "repos": draw(REPOS), **keys})


some_rules = st.lists(some_rule(), max_size=8)
slugs = st.sampled_from(["a/b", "A/B", "a/ab", "b/a", "b/AxB", "a/b/c", "a/c/b", "ab/c", "a/", "/b", "a//b", "a"])
builds = st.builds(
    Build,
    slug=slugs,
    uid=st.sampled_from(["", "1", "2"]),
    event=st.sampled_from(["", "push", "pull_request", "tag", "deploy"]),
    ref=st.sampled_from(["", "refs/heads/a", "refs/heads/A", "refs/heads/a/b", "refs/tags/a", "refs/pull/1/head"]),
    source_repo=st.just("") | slugs,
    deploy_to=st.sampled_from(["", "prod", "other"]),
    trusted=st.booleans(),
    private=st.booleans(),
)
signers = st.sampled_from(["main", "spare", "unheard-of"])


@given(rules=some_rules, build=builds, secret=signers)
def test_every_decision_agrees_with_the_reference(rules: list[Rule], build: Build, secret: str) -> None:
    decision = decide(rules, build, secret)
    assert list(decision.accounts) == reference_accounts(rules, build, secret)
    assert list(decision.rules) == [each.name for each in rules if reference_matches(each, build, secret)]
    assert (decision.reason == "granted") == bool(decision.accounts)


@given(rules=st.lists(some_rule(effects=["deny"])), build=builds)
def test_without_an_allow_rule_there_is_no_account(rules: list[Rule], build: Build) -> None:
    assert granted(build, *rules) == ()


@given(rules=some_rules, more=some_rule(effects=["deny"]), place=st.integers(0, 8), build=builds)
def test_another_deny_never_adds_an_account(rules: list[Rule], more: Rule, place: int, build: Build) -> None:
    before = granted(build, *rules)
    after = granted(build, *rules[:place], more, *rules[place:])
    assert after == tuple(account for account in before if account in after)


@given(rules=some_rules, build=builds)
def test_a_fork_never_gets_more_than_the_repository_itself(rules: list[Rule], build: Build) -> None:
    own, fork = replace(build, source_repo=build.slug), replace(build, source_repo="stranger/b")
    assert set(granted(fork, *rules)) <= set(granted(own, *rules))


@given(rules=some_rules, build=builds)
def test_the_case_of_a_slug_changes_nothing(rules: list[Rule], build: Build) -> None:
    upper = replace(build, slug=build.slug.upper(), source_repo=build.source_repo.upper())
    assert granted(upper, *rules) == granted(build, *rules)


@given(rules=some_rules, build=builds)
def test_the_order_of_rules_decides_the_order_alone(rules: list[Rule], build: Build) -> None:
    assert set(granted(build, *rules)) == set(granted(build, *reversed(rules)))
