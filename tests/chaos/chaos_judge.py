"""Whether every event is accounted for, by the logs of all processes. Pure.

An event is due to a subscriber

- from the start of its stream, if the subscriber asked for the history and the
  publisher was still running when the subscriber was ready;
- otherwise from the first one published after the subscriber was ready, if the
  publisher waits for its subscribers;
- in any case from the first one that it accounted for (received, or reported lost);

up to the last one published. If more events are unknowable, up to the last one
accounted for: the subscriber was killed or left meanwhile, or the publisher was killed
(its undelivered events are lost with it, and counted separately).

On owned topics, an event is due if its publisher certainly owned the topic at the time
(`chaos_owners`). An event published while another publisher certainly did must be
neither delivered nor reported lost.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

from chaos_logs import PublisherLog, Run, Stream, SubscriberLog
from chaos_owners import Owners, Range

# A subscriber that leaves earlier than this after a publisher may not have finished its
# account.
ACCOUNTED_NS = 15_000_000_000
_MAX_PROBLEMS = 20


@dataclasses.dataclass(slots=True)
class Verdict:
    """Counts of deliveries, one for each event and each subscriber to which it was due,
    and all violations."""

    published: int = 0
    due: int = 0
    received: int = 0  # recovered ones included
    recovered: int = 0  # by subscribers that lived long enough to report it
    lost: int = 0  # as reported
    died: int = 0  # with a publisher that was killed
    unexplained: int = 0
    problems: list[str] = dataclasses.field(default_factory=list)

    def say(self, problem: str) -> None:
        if len(self.problems) < _MAX_PROBLEMS:
            self.problems.append(problem)


def judge(
    publishers: Sequence[PublisherLog],
    subscribers: Sequence[SubscriberLog],
    owners: Owners,
) -> Verdict:
    """The verdict on one system."""
    verdict = Verdict(published=sum(log.published for log in publishers))
    by_session = {log.session: log for log in publishers}
    for subscriber in subscribers:
        for mismatch in subscriber.mismatches:
            verdict.say(mismatch)
        for session, topic in subscriber.runs:
            if session not in by_session:
                verdict.say(f"{subscriber.name}: unknown session {session} on {topic}")
            if not subscriber.wants(topic):
                verdict.say(
                    f"{subscriber.name}: {topic}, to which it has not subscribed"
                )
        for publisher in publishers:
            for topic in publisher.event_ranges:
                _judge_stream(publisher, topic, subscriber, owners, verdict)
        _check_counts(subscriber, verdict)
    return verdict


def _judge_stream(
    publisher: PublisherLog,
    topic: str,
    subscriber: SubscriberLog,
    owners: Owners,
    verdict: Verdict,
) -> None:
    where = f"{subscriber.name} of {publisher.name} on {topic}"
    runs = subscriber.runs.get((publisher.session, topic), [])
    _check_order(runs, where, verdict)
    delivered = _union(run for run in runs if run.kind != "lost")
    lost = _union(run for run in runs if run.kind == "lost")
    if both := _overlap(delivered, lost):
        verdict.say(f"{where}: {both} events both delivered and reported lost")
    due = _due(publisher, topic, subscriber, owners)
    first = min((first for first, _ in due), default=publisher.last(topic) + 1)
    accounted = max((run.last for run in runs), default=-1)
    end = publisher.last(topic)
    if accounted > end and not publisher.killed:
        verdict.say(f"{where}: event {accounted} accounted for, {end} was the last")
    last = max(accounted, end)
    known = accounted if _ends_early(publisher, subscriber) else last
    due = [(first, min(last, known)) for first, last in due if first <= known]
    missing = [hole for each in due for hole in _holes(_union(runs), *each)]
    verdict.due += _total(_merge([*due, *delivered, *lost]))
    if publisher.killed and _was_there(subscriber, publisher):
        died = max(0, end - max(known, first - 1))
        verdict.died += died
        verdict.due += died
    verdict.received += _total(delivered)
    verdict.lost += _total(lost)
    for gap_first, gap_last in missing:
        verdict.unexplained += gap_last - gap_first + 1
        verdict.say(f"{where}: no word of {gap_first} to {gap_last}")
    forbidden = _merge(owners.forbidden(publisher, topic, subscriber))
    for what, ranges in (("delivered", delivered), ("reported lost", lost)):
        if number := _overlap(forbidden, ranges):
            verdict.say(f"{where}: {number} events {what}, of {forbidden} of no owner")


def _due(
    publisher: PublisherLog, topic: str, subscriber: SubscriberLog, owners: Owners
) -> list[Range]:
    """The part of a stream that a subscriber must account for, if it lives long enough."""
    if not subscriber.wants(topic):
        return []
    if topic in owners.topics:
        return owners.due(publisher, topic, subscriber)
    runs = subscriber.runs.get((publisher.session, topic), [])
    first = _due_from(publisher, topic, subscriber, runs)
    last = max((run.last for run in runs), default=-1)
    return [(first, max(last, publisher.last(topic)))]


def _due_from(
    publisher: PublisherLog, topic: str, subscriber: SubscriberLog, runs: list[Run]
) -> int:
    accounted = min((run.first for run in runs), default=publisher.last(topic) + 1)
    ready_ns = subscriber.ready_ns
    if ready_ns is None or not publisher.waited:
        return accounted
    since = publisher.first_since(topic, ready_ns)
    if subscriber.history and since <= publisher.last(topic):
        return 0
    return min(accounted, since)


def _ends_early(publisher: PublisherLog, subscriber: SubscriberLog) -> bool:
    """Whether the subscriber cannot know the publisher's last event."""
    if publisher.killed or publisher.left_ns is None or subscriber.left_ns is None:
        return publisher.killed or subscriber.left_ns is None
    return subscriber.left_ns - publisher.left_ns < ACCOUNTED_NS


def _was_there(subscriber: SubscriberLog, publisher: PublisherLog) -> bool:
    """Whether the subscriber was ready, and outlived the publisher."""
    end_ns = max((c[-1].at_ns for c in publisher.event_ranges.values()), default=0)
    return subscriber.ready_ns is not None and (
        subscriber.left_ns is not None and subscriber.left_ns > end_ns
    )


def _check_order(runs: list[Run], where: str, verdict: Verdict) -> None:
    """Events are delivered once, with rising numbers."""
    highest = -1
    seen: list[tuple[int, int]] = []
    for run in runs:
        if run.kind == "lost":
            continue
        if run.first <= highest:
            again = _overlap([(run.first, run.last)], seen)
            what = f"{again} events twice" if again else "out of order"
            verdict.say(f"{where}: {what}, {run.first} to {run.last} after {highest}")
        highest = max(highest, run.last)
        seen = _merge([*seen, (run.first, run.last)])


def _check_counts(subscriber: SubscriberLog, verdict: Verdict) -> None:
    """A subscriber's own counts match its deliveries."""
    counts = subscriber.counts
    if counts is None:
        return  # it was killed, and the number of recovered events is unknown
    verdict.recovered += counts.get("recovered", 0)
    runs = [run for stream in subscriber.runs.values() for run in stream]
    found = {
        "received": sum(run.count for run in runs if run.kind != "lost"),
        "lost": sum(run.count for run in runs if run.kind == "lost"),
        "reordered": 0,
        "malformed": 0,
    }
    for name, number in found.items():
        if counts[name] != number:
            verdict.say(f"{subscriber.name} counts {counts[name]} {name}, not {number}")


def _union(runs: Iterable[Run]) -> list[tuple[int, int]]:
    return _merge([(run.first, run.last) for run in runs])


def _merge(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], last))
        else:
            merged.append((first, last))
    return merged


def _total(ranges: list[tuple[int, int]]) -> int:
    return sum(last - first + 1 for first, last in ranges)


def _overlap(one: list[tuple[int, int]], other: list[tuple[int, int]]) -> int:
    return _total(one) + _total(other) - _total(_merge([*one, *other]))


def _holes(
    ranges: list[tuple[int, int]], first: int, last: int
) -> list[tuple[int, int]]:
    """The part of ``first`` to ``last`` that is in none of ``ranges``, which are
    merged."""
    holes = []
    for begin, end in ranges:
        if first < begin:
            holes.append((first, min(begin - 1, last)))
        first = max(first, end + 1)
        if first > last:
            break
    if first <= last:
        holes.append((first, last))
    return [hole for hole in holes if hole[0] <= hole[1]]


def unaccounted(
    publishers: Sequence[PublisherLog],
    subscribers: Sequence[SubscriberLog],
    owners: Owners,
) -> list[str]:
    """Streams of publishers that have left, with an end that a running subscriber must
    account for and has not yet, in words."""
    missing = []
    for subscriber in subscribers:
        for publisher in publishers:
            if publisher.killed or publisher.left_ns is None:
                continue
            for topic in publisher.event_ranges:
                stream: Stream = (publisher.session, topic)
                union = _union(subscriber.runs.get(stream, []))
                missing += [
                    f"{subscriber.name} of {publisher.name} on {topic}: {hole}"
                    for each in _due(publisher, topic, subscriber, owners)
                    for hole in _holes(union, *each)
                ]
    return missing
