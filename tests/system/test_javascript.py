"""The example in JavaScript with the roles in Python: each of ten thousand events is
received or counted as lost, also when the broker is replaced meanwhile."""

from __future__ import annotations

import collections
import itertools
import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from support import documents, javascript
from support.paths import DOCS
from support.ports import free_port
from support.running_roles import Receiver

from pubsub_common.testing import wait_for
from pubsub_publisher import Publisher
from pubsub_subscriber import Subscriber

from .conftest import WAIT_S, Run

EVENTS: Final = 10_000
TOPICS: Final = ("A", "B", "x/1", "y/2/3")
FILTERS: Final = ("A", "B", "x/+", "y/#")
MODELS: Final = {
    "decentralized": (),
    "centralized": ("-c",),
    "three-forwarders": ("-c", "--forwarders", "3"),
}
# Seconds between two events, if the broker is replaced meanwhile.
INTERVAL_S: Final = 0.001
RESTARTS: Final = pytest.mark.parametrize(
    "by", [signal.SIGKILL, signal.SIGTERM], ids=lambda by: by.name
)


@pytest.fixture(scope="session", autouse=True)
def node() -> None:
    why = javascript.missing_for_javascript()
    if why is not None:
        pytest.skip(why)


class Example:
    """The programs of the example, each in a process of its own, which ends with the test."""

    def __init__(self, folder: Path) -> None:
        self.folder = javascript.copy_example(folder)
        self.started: list[subprocess.Popen[bytes]] = []

    def start(self, program: str, *words: object) -> subprocess.Popen[bytes]:
        """Its output goes to a file with its name."""
        with (
            (self.folder / f"{program}.out").open("wb") as out,
            (self.folder / f"{program}.err").open("wb") as err,
        ):
            process = subprocess.Popen(
                ["node", program, *map(str, words)],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
            )
        self.started.append(process)
        return process

    def subscribe(self, port: int) -> subprocess.Popen[bytes]:
        return self.start("subscriber.js", f"127.0.0.1:{port}", EVENTS, *FILTERS)

    def publish(self, port: int, interval_s: float = 0) -> subprocess.Popen[bytes]:
        each = EVENTS // len(TOPICS)
        words = f"127.0.0.1:{port}", each, interval_s, 1, *TOPICS
        return self.start("publisher.js", *words)

    def printed(self, program: str) -> str:
        return (self.folder / f"{program}.out").read_text()

    def said(self, program: str) -> str:
        return (self.folder / f"{program}.err").read_text()

    def received(self) -> int:
        return self.printed("subscriber.js").count("\n")


@pytest.fixture
def example(tmp_path: Path) -> Iterator[Example]:
    example = Example(tmp_path)
    yield example
    for process in example.started:
        process.kill()
        process.wait()


class Broker:
    """A broker in its own process, and perhaps later another one at its port."""

    def __init__(self, run: Run, model: str) -> None:
        self.port = free_port()
        self._run = run
        self._words = "--port", str(self.port), *MODELS[model]
        self.start()

    def start(self) -> None:
        self._process = self._run("pubsub-broker", *self._words)

    def end(self, by: signal.Signals) -> None:
        self._process.send_signal(by)
        self._process.wait(WAIT_S)


@pytest.fixture(params=MODELS)
def broker(request: pytest.FixtureRequest, run: Run) -> Broker:
    return Broker(run, request.param)


@pytest.fixture
def receiver(broker: Broker) -> Iterator[Receiver]:
    """A subscriber in Python."""
    subscriber = Subscriber(
        topics=FILTERS, broker_port=broker.port, indefinite=True, queue_limit=EVENTS
    )
    with subscriber:
        receiver = Receiver(subscriber)
        yield receiver
        receiver.stop()


def check_all_counted(example: Example) -> dict[str, Any]:
    """The subscriber in JavaScript, which has ended, has received each event once and
    in order, or counted it as lost. Returns its last output."""
    counts: dict[str, Any] = json.loads(example.said("subscriber.js"))
    events = [
        json.loads(line) for line in example.printed("subscriber.js").splitlines()
    ]
    assert len(events) == counts["received"]
    numbers = collections.defaultdict(list)
    for event in events:
        numbers[event["topic"]].append(event["sequence"])
    assert set(numbers) == set(TOPICS)
    for topic, received in numbers.items():
        assert received == sorted(set(received)), f"{topic}: in order, none twice"
        lost = counts["lost"].get(topic, 0)
        assert len(received) + lost == EVENTS // len(TOPICS), topic
    assert counts["malformed"] == 0
    return counts


def wait_until_all_counted(receiver: Receiver) -> None:
    """The subscriber in Python has received each event, or counted it as lost."""
    counts = receiver.subscriber.counts
    wait_for(
        lambda: counts().received + counts().lost >= EVENTS,
        "the last event, or its loss",
        WAIT_S,
    )
    assert counts().received + counts().lost == EVENTS
    assert counts().duplicated == 0


def test_a_subscriber_in_javascript(broker: Broker, example: Example, run: Run) -> None:
    subscriber = example.subscribe(broker.port)
    topics = [word for topic in TOPICS for word in ("-t", topic)]
    publisher = run(  # as fast as it can, so in batches
        "pubsub-publisher",
        *("-b", f"127.0.0.1:{broker.port}", "--bind-port", "0", *topics),
        *("-m", str(EVENTS), "-s", "0", "--wait-for", "1"),
    )
    assert publisher.wait(WAIT_S) == 0
    assert subscriber.wait(WAIT_S) == 0
    check_all_counted(example)


def test_a_publisher_in_javascript(
    broker: Broker, example: Example, receiver: Receiver
) -> None:
    publisher = example.publish(broker.port)
    assert publisher.wait(WAIT_S) == 0, example.said("publisher.js")
    wait_until_all_counted(receiver)
    payloads = collections.defaultdict(list)
    for event in receiver.events:
        payloads[event.topic].append(int(event.payload))
    for topic in TOPICS:
        assert payloads[topic] == sorted(payloads[topic])


@RESTARTS
def test_a_subscriber_in_javascript_and_another_broker(
    broker: Broker, by: signal.Signals, example: Example
) -> None:
    subscriber = example.subscribe(broker.port)
    number = itertools.count()
    with Publisher(topics=TOPICS, broker_port=broker.port, bind_port=0) as publisher:

        def publish(count: int) -> None:
            for _ in range(count):
                topic = TOPICS[next(number) % len(TOPICS)]
                publisher.publish_event(topic, b"payload")

        publisher.wait_for_subscribers(1, WAIT_S)
        publish(2000)
        wait_for(lambda: example.received() == 2000, "the first events")
        broker.end(by)
        publish(1000)
        broker.start()
        received = example.received()

        def goes_on() -> bool:
            publish(len(TOPICS))
            return example.received() > received

        wait_for(goes_on, "events by the new broker")
        publish(EVENTS - next(number))
    assert subscriber.wait(WAIT_S) == 0
    check_all_counted(example)


@RESTARTS
def test_a_publisher_in_javascript_and_another_broker(
    broker: Broker, by: signal.Signals, example: Example, receiver: Receiver
) -> None:
    publisher = example.publish(broker.port, INTERVAL_S)
    receiver.wait_for_events(EVENTS // 10)
    broker.end(by)
    broker.start()
    assert publisher.wait(WAIT_S) == 0
    wait_until_all_counted(receiver)
    assert receiver.events[-1].sequence > EVENTS // len(TOPICS) // 2


def test_both_in_javascript(broker: Broker, example: Example) -> None:
    subscriber = example.subscribe(broker.port)
    assert example.publish(broker.port).wait(WAIT_S) == 0
    assert subscriber.wait(WAIT_S) == 0
    check_all_counted(example)


@pytest.mark.parametrize("program", ["subscriber.js", "publisher.js"])
def test_a_secure_broker_is_refused_with_a_message(
    program: str, example: Example, run: Run, tmp_path: Path
) -> None:
    keygen = [str(documents.PROGRAMS / "pubsub-broker"), "keygen", "keys"]
    subprocess.run(keygen, cwd=tmp_path, check=True, capture_output=True)
    port = free_port()
    run("pubsub-broker", "--port", str(port), "--secure", "keys")
    words = {"subscriber.js": (1, "A"), "publisher.js": (1, 0, 0, "A")}[program]
    process = example.start(program, f"127.0.0.1:{port}", *words)
    assert process.wait(WAIT_S) == 1
    assert "is secure, and we have no keys" in example.said(program)


VECTORS: Final = DOCS / "protocol-vectors.json"
READ_VECTORS: Final = """
import { readFileSync } from "node:fs";
import { READY, decodeFrame, encodeFrame, parsePrivate, readyTopic } from "./wire.js";

const vectors = JSON.parse(readFileSync(process.argv[1]));
const empty = Buffer.alloc(0);
const hex = (text) => Buffer.from(text, "latin1").toString("hex");
const nameOf = (topic) => Buffer.from(topic).toString("latin1");
const read = ({ frame }) => {
  const found = decodeFrame(Buffer.from(frame, "hex"));
  if (!found?.name) return null;
  const payloads = found.payloads.map((payload) => Buffer.from(payload).toString("hex"));
  return { ...found, name: hex(found.name), times: found.times.map(String), payloads };
};
const question = ({ topic, subscriber, topics, attempt }) =>
  readyTopic(topic, subscriber, topics, attempt);
const answer = (each) =>
  encodeFrame(question(each), 1, [each.publisher, each.session, each.next_sequence, 0, empty]);
const lists = ["events", "accepted_events", "batches", "refused_events", "refused_batches"];
console.log(JSON.stringify({
  frames: Object.fromEntries(lists.map((list) => [list, vectors[list].map(read)])),
  questions: vectors.ready.map((each) => hex(question(each))),
  asked: vectors.ready.map((each) => parsePrivate(READY, question(each)).slice(0, 3)),
  answers: vectors.ready.map((each) => read({ frame: answer(each).toString("hex") })),
}));
"""


def test_the_vectors_of_the_page(example: Example) -> None:
    done = subprocess.run(
        ["node", "--input-type=module", "--eval", READ_VECTORS, str(VECTORS)],
        cwd=example.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    vectors = json.loads(VECTORS.read_text(encoding="utf-8"))
    for kind in ("events", "accepted_events", "batches"):
        for vector, frame in zip(vectors[kind], found["frames"][kind], strict=True):
            payloads = vector.get("payloads", [vector.get("payload")])
            offsets = vector.get("offsets_ns", ["0"])
            start_ns = int(vector["published_ns"])
            assert frame == {
                "name": vector["topic"].encode().hex(),
                "publisher": vector["publisher"],
                "session": vector["session"],
                "first": vector["sequence"],
                "times": [str(start_ns + int(offset)) for offset in offsets],
                "payloads": payloads,
            }
    for kind in ("refused_events", "refused_batches"):
        for vector, frame in zip(vectors[kind], found["frames"][kind], strict=True):
            # Frames without a valid topic are dropped, since no client subscribes to
            # them.
            assert frame is None or frame["name"] == "ff", vector["reason"]
    assert found["questions"] == [each["ready_topic"] for each in vectors["ready"]]
    for vector, asked, reply in zip(
        vectors["ready"], found["asked"], found["answers"], strict=True
    ):
        assert asked == [vector["topic"], vector["subscriber"], vector["topics"]]
        assert reply["name"] == vector["ready_topic"]
        assert reply["first"] == vector["next_sequence"]
        assert reply["payloads"] == [""]


# The page of the example

README: Final = javascript.EXAMPLE / "README.md"
SHELL: Final = documents.blocks("sh", README)


def test_the_page_names_every_file() -> None:
    told = set(re.findall(r"\((\w+\.js)\)", README.read_text(encoding="utf-8")))
    assert told == {path.name for path in javascript.EXAMPLE.glob("*.js")}


def test_the_programs_are_small() -> None:
    """Without the shared modules, so that a reader sees the essential code of each."""
    texts = (
        (javascript.EXAMPLE / f"{name}.js").read_text(encoding="utf-8")
        for name in ("subscriber", "publisher")
    )
    assert sum(text.count("\n") for text in texts) <= 250


def test_its_packages_can_be_installed_as_it_says(tmp_path: Path) -> None:
    folder = javascript.copy_example(tmp_path)
    (folder / "node_modules").unlink()
    # They were loaded once already, so no registry need be there.
    offline = {"npm_config_prefer_offline": "true", "npm_config_audit": "false"}
    done = subprocess.run(
        SHELL[0].split(),
        cwd=folder,
        env=os.environ | offline,
        capture_output=True,
        text=True,
        check=False,
    )
    assert SHELL[0] == "npm install\n"
    assert done.returncode == 0, done.stderr
    assert (folder / "node_modules" / "zeromq").is_dir()


HERE: Final = [b for b in SHELL[1:] if not b.startswith("pubsub-conformance")]
TRIED: Final = [b for b in SHELL[1:] if b not in HERE]


@pytest.mark.parametrize("block", HERE, ids=range(len(HERE)))
def test_its_commands_work(block: str, tmp_path: Path) -> None:
    folder = javascript.copy_example(tmp_path)
    done = documents.run(["bash", "-eu", "-c", block], folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.timeout(900)
@pytest.mark.parametrize("role", ["subscriber", "publisher"])
def test_they_pass_every_scenario(role: str, tmp_path: Path) -> None:
    (block,) = TRIED
    line = next(each for each in block.splitlines() if f" {role} " in each)
    program, role, *words = line.split()
    command = [str(documents.PROGRAMS / program), role, "--timeout", "60", *words]
    done = subprocess.run(
        command,
        cwd=javascript.copy_example(tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )
    failures = [each for each in done.stdout.splitlines() if each.startswith("FAIL")]
    assert not failures, "\n".join(failures)
    assert done.returncode == 0, done.stderr
