"""How long rules take to decide one build: 10 of them, 10,000 over many owners, and 10,000 that no index helps with.

``python -m bench.rules``; how to read what it prints: bench/README.md.
"""

import argparse
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from ecrmint.policy import Policy, Rule
from ecrmint.wire import RegistryRequest

FEW: Final = 10
MANY: Final = 10_000


@dataclass(frozen=True, slots=True)
class Case:
    """Rules, and builds of many repositories that they decide in turn."""

    name: str
    rules: Sequence[Rule]
    builds: Sequence[RegistryRequest]


def rules(count: int, pattern: str, **keys: object) -> list[Rule]:
    """Return that many rules; ``{}`` in the pattern, and in those of refs, is the rule's number."""
    return [_rule(number, pattern, keys) for number in range(count)]


def _rule(number: int, pattern: str, keys: dict[str, object]) -> Rule:
    numbered = {key: [value.format(number)] if isinstance(value, str) else value for key, value in keys.items()}
    usual = {"accounts": [f"account-{number % 50}", "hub"], "events": ["push", "tag"]}
    return Rule.model_validate({"name": f"rule-{number}", "repos": [pattern.format(number)], **usual, **numbered})


def builds(count: int, slug: str) -> list[RegistryRequest]:
    """Return builds of that many repositories; ``{}`` in the slug is the number of each."""
    return [
        RegistryRequest(slug.format(number), uid=str(number), event="push", ref="refs/heads/main", trusted=True)
        for number in range(count)
    ]


def cases() -> Iterator[Case]:
    """Yield the cases; the first one is what the others are compared with."""
    yield Case("10, an owner each", rules(FEW, "owner-{}/*"), builds(FEW, "owner-{}/app"))
    yield Case("10,000, an owner each", rules(MANY, "owner-{}/*"), builds(MANY, "owner-{}/app"))
    yield Case("10,000, a repository each", rules(MANY, "owner-{}/app"), builds(MANY, "Owner-{}/App"))
    yield Case("10,000 of one owner: acme/app-N*", rules(MANY, "acme/app-{}*"), builds(MANY, "acme/app-{}-x"))
    yield Case("10,000 of any owner: */app-N*", rules(MANY, "*/app-{}*"), builds(MANY, "acme/app-{}-x"))
    yield Case("10,000 alike at their end: */tN*-service", rules(MANY, "*/t{}*-service"), builds(MANY, "a/t{}-service"))
    yield Case("10,000 at any depth: **/N-*/**", rules(MANY, "**/{}-*/**"), builds(MANY, "a/b/c/{}-x/e/f"))
    yield Case(
        "10,000 of one pattern, told apart by refs",
        rules(MANY, "*/*", refs="refs/*/main-{}*"),
        builds(MANY, "owner-{}/app"),
    )
    yield Case("10,000 that all match: **", rules(MANY, "**"), builds(MANY, "owner-{}/app"))


def microseconds(case: Case, *, rounds: int, decisions: int) -> float:
    """Return the time of one decision, the median of several rounds over as many builds."""
    policy = Policy(case.rules)
    step = max(1, len(case.builds) // decisions)
    chosen = [case.builds[number * step % len(case.builds)] for number in range(decisions)]
    times = [_seconds(policy, chosen) for _ in range(rounds)]
    return statistics.median(times) / decisions * 1e6


def _seconds(policy: Policy, chosen: Sequence[RegistryRequest]) -> float:
    began = time.process_time()
    for build in chosen:
        policy.decide(build, secret="main")
    return time.process_time() - began


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=9)
    options.add_argument("--decisions", type=int, default=200, help="in each round")
    chosen = options.parse_args()
    base = 0.0
    print("| rules | µs for a decision | ratio |", "|---|---|---|", sep="\n")
    for case in cases():
        took = microseconds(case, rounds=chosen.rounds, decisions=chosen.decisions)
        base = base or took
        print(f"| {case.name} | {took:,.1f} | {took / base:,.1f} |")


if __name__ == "__main__":
    main()
