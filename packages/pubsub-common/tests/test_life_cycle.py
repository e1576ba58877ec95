"""The life cycle: its order, forks, and the end of objects without `disconnect`."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest
from support.threads import ended, in_thread

from pubsub_common.errors import PubSubError
from pubsub_common.life_cycle import LifeCycle
from pubsub_common.testing import WAIT_S, wait_for


class Runtime:
    """An object with a life cycle, which must be closed."""

    def __init__(self) -> None:
        self.life = LifeCycle("publisher", self.cut)
        self.closed_in: list[str] = []
        self.cuts = 0
        self.may_close = threading.Event()
        self.may_close.set()

    def cut(self) -> None:
        self.cuts += 1

    def close(self) -> None:
        if self.life.close():
            self.may_close.wait(WAIT_S)
            self.closed_in.append(threading.current_thread().name)


class Public:
    """What the user holds."""

    def __init__(self) -> None:
        self.runtime = Runtime()
        self.runtime.life.close_when_dropped(self, self.runtime.close)

    def configure(self) -> Public:
        self.runtime.life.begin()
        self.runtime.life.configured()
        return self


def text_of(call: Callable[[], object]) -> str:
    with pytest.raises(PubSubError) as error:
        call()
    return str(error.value)


def test_the_states_follow_each_other() -> None:
    life = LifeCycle("publisher")
    states = [life.state]
    life.begin()
    states.append(life.state)
    life.configured()
    states.append(life.state)
    life.check_usable()
    assert life.close()
    states.append(life.state)
    assert states == ["made", "configuring", "configured", "closed"]


def test_what_comes_in_the_wrong_state_says_so() -> None:
    life = LifeCycle("subscriber")
    not_yet = "this subscriber is not connected: call configure first"
    assert text_of(life.check_usable) == not_yet
    life.begin()
    assert text_of(life.check_usable) == not_yet
    again = "this subscriber has been configured already"
    assert text_of(life.begin) == again
    life.configured()
    assert text_of(life.begin) == again
    life.close()
    over = "this subscriber was disconnected; make a new one"
    assert text_of(life.check_usable) == over
    assert text_of(life.begin) == over


def test_the_first_closer_is_the_only_one() -> None:
    life = LifeCycle("broker")
    assert [life.close(), life.close(), life.close()] == [True, False, False]


def test_closed_before_or_while_it_is_configured_stays_closed() -> None:
    life = LifeCycle("broker")
    life.close()
    assert text_of(life.begin) == "this broker was disconnected; make a new one"
    life = LifeCycle("broker")
    life.begin()
    life.close()
    life.configured()
    assert life.state == "closed"


def test_of_many_threads_one_begins_and_one_closes() -> None:
    for _ in range(50):
        life = LifeCycle("publisher")
        together = threading.Barrier(4)
        begun: list[bool] = []
        closed: list[bool] = []

        def compete(
            life: LifeCycle = life,
            together: threading.Barrier = together,
            begun: list[bool] = begun,
            closed: list[bool] = closed,
        ) -> None:
            together.wait(WAIT_S)
            try:
                life.begin()
                begun.append(True)
            except PubSubError:
                pass
            together.wait(WAIT_S)
            closed.append(life.close())

        threads = [in_thread(compete) for _ in range(4)]
        assert all(ended(thread) for thread in threads)
        assert len(begun) == 1
        assert sorted(closed) == [False, False, False, True]


def in_child(work: Callable[[], object]) -> str:
    """What ``work`` returns or raises in a forked child."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            text = repr(work())
        except BaseException as error:
            text = repr(error)
        os.write(write, text.encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as answers:
        answer = answers.read()
    os.waitpid(child, 0)
    return answer


ELSEWHERE = (
    "PubSubError('this publisher was made in another process (fork); "
    "make one in this process')"
)


def test_a_forked_child_cannot_use_it() -> None:
    runtime = Runtime()
    assert in_child(runtime.life.begin) == ELSEWHERE
    runtime.life.begin()
    runtime.life.configured()
    assert in_child(runtime.life.check_usable) == ELSEWHERE
    assert in_child(lambda: (runtime.life.forked, runtime.cuts)) == "(True, 1)"
    assert in_child(runtime.life.close) == "False"
    assert not runtime.life.forked
    assert runtime.cuts == 0
    runtime.life.check_usable()
    assert runtime.life.close()
    assert in_child(runtime.life.check_usable) == ELSEWHERE


def test_what_a_child_makes_itself_works_there() -> None:
    def live() -> object:
        life = LifeCycle("publisher")
        life.begin()
        life.configured()
        life.check_usable()
        return life.close()

    assert in_child(live) == "True"


def test_a_callback_that_raises_in_the_child_does_not_stop_the_others() -> None:
    def fails() -> None:
        raise ValueError("a fault")

    first = LifeCycle("publisher", fails)
    runtime = Runtime()
    assert in_child(lambda: (first.forked, runtime.cuts)) == "(True, 1)"


def test_nothing_is_closed_in_the_child() -> None:
    public = Public().configure()
    runtime = public.runtime
    kept = [public]
    del public

    def drop() -> object:
        kept.clear()
        gc.collect()
        return runtime.closed_in

    assert in_child(drop) == "[]"
    assert kept[0].runtime.life.close()


def test_a_dropped_object_is_closed_in_a_thread_of_its_own() -> None:
    public: Any = Public().configure()
    runtime = public.runtime
    runtime.may_close.clear()
    with pytest.warns(ResourceWarning, match="^a publisher was not disconnected: "):
        public = None  # does not wait for it
    assert runtime.closed_in == []
    runtime.may_close.set()
    wait_for(lambda: bool(runtime.closed_in))
    assert runtime.closed_in == ["pubsub-close-publisher"]


def test_a_dropped_object_in_a_cycle_is_closed_too() -> None:
    public: Any = Public().configure()
    runtime = public.runtime
    public.itself = public
    del public
    with pytest.warns(ResourceWarning):
        gc.collect()
    wait_for(lambda: bool(runtime.closed_in))


@pytest.mark.parametrize("closed", [True, False])
def test_an_object_with_nothing_to_close_is_dropped_in_silence(closed: bool) -> None:
    public: Any = Public()
    runtime = public.runtime
    if closed:
        public.configure()
        runtime.close()
    before = list(runtime.closed_in)
    public = None
    gc.collect()
    assert runtime.closed_in == before


PROGRAM = """
import sys, threading, time
from pubsub_common.life_cycle import LifeCycle

class Runtime:
    def __init__(self, name):
        self.name = name
        self.life = LifeCycle("publisher")

    def close(self):
        if self.life.close():
            print(self.name, "begins", flush=True)
            time.sleep(0.2)
            print(self.name, "closed", flush=True)

class Public:
    def __init__(self, name):
        self.runtime = Runtime(name)
        self.runtime.life.close_when_dropped(self, self.runtime.close)
        self.runtime.life.begin()
        self.runtime.life.configured()

%s
"""


def run_program(code: str, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *options, "-c", PROGRAM % code],
        capture_output=True,
        text=True,
        timeout=WAIT_S,
    )


def test_the_end_of_the_program_closes_what_is_left_newest_first() -> None:
    done = run_program("first, second = Public('first'), Public('second')", "-Wdefault")
    assert done.stdout.split() == (
        ["second", "begins", "second", "closed", "first", "begins", "first", "closed"]
    )
    assert "ResourceWarning: a publisher was not disconnected" in done.stderr
    assert done.returncode == 0


def test_the_end_of_the_program_waits_for_what_was_dropped_before() -> None:
    done = run_program("def main():\n    p = Public('one')\nmain()")
    assert done.stdout.split() == ["one", "begins", "one", "closed"]
    assert done.stderr == ""


def test_the_end_after_an_error_closes_too() -> None:
    done = run_program("one = Public('one')\nraise ValueError")
    assert done.stdout.split() == ["one", "begins", "one", "closed"]
    assert done.returncode == 1


def test_a_warning_that_is_an_error_does_not_keep_it_from_closing() -> None:
    done = run_program("one = Public('one')\ndel one", "-Werror::ResourceWarning")
    assert done.stdout.split() == ["one", "begins", "one", "closed"]
    assert "a publisher was not disconnected" in done.stderr


def test_a_child_that_ends_properly_closes_nothing_of_its_parent() -> None:
    code = "import os\none = Public('one')\n"
    code += "child = os.fork()\nif child: os.waitpid(child, 0)"
    done = run_program(code)
    assert done.stdout.split() == ["one", "begins", "one", "closed"]
