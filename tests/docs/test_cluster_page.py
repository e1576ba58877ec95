"""Every command of docs/cluster.md is executed: for three machines, one block after the other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support import documents, three_machines
from support.etcd_servers import needs_etcd
from support.paths import ROOT

PAGE = ROOT / "docs/cluster.md"
TRY_OUT, *SET_UP = documents.blocks("sh", PAGE)


# Two clients that continue while brokers are restarted, and etcd is restored and gets a new member.
LOAD = """
pubsub-publisher -t load -b 10.0.0.1,10.0.0.2 --rate 100 -m 1000000 --history 100000 &
publisher=$!
pubsub-subscriber -t load -b 10.0.0.3 --raw -i --recover > /dev/null 2> load &
subscriber=$!
"""
LOAD_ENDS = """
kill -INT $publisher
wait $publisher
kill -INT $subscriber
wait $subscriber
(echo LOAD; cat load) >&2
"""


def test_a_group_on_one_machine_can_be_tried_out(tmp_path: Path) -> None:
    needs_etcd()
    done = documents.run(["bash", "-eu", "-c", TRY_OUT], tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert "\nsunny\n" in f"\n{done.stdout}"
    assert "centralized broker of group local" in done.stdout
    assert "brokers: 3\n" in done.stdout


@pytest.mark.timeout(540)
def test_the_commands_for_three_machines_work(tmp_path: Path) -> None:
    three_machines.needs_machines(tmp_path)
    upgrade = next(n for n, block in enumerate(SET_UP) if "restart pubsub-bro" in block)
    script = [*SET_UP[:upgrade], LOAD, *SET_UP[upgrade:], LOAD_ENDS]
    done = three_machines.run("\n".join(script), tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout.count("brokers: 3\n") == 3
    assert "\nsunny\n" in done.stdout
    received = re.search(
        r"(\d+) events received,.* (\d+) lost", done.stderr.split("LOAD")[-1]
    )
    assert received, done.stderr
    assert int(received[1]) > 100
    assert received[2] == "0"


def test_the_lines_of_the_log_that_it_names_are_in_the_code() -> None:
    _, _, section = PAGE.read_text().partition("## Troubleshooting")
    told = re.findall(r"^\| `([^`]+)` \|", section, re.M)
    assert len(told) > 7
    sources = "".join(
        path.read_text() for path in (ROOT / "packages/pubsub-broker/src").rglob("*.py")
    )
    sources = re.sub(r'"\s*\n\s*f?"', "", sources)  # texts over several lines
    for line in told:
        # Without what differs each time.
        for part in re.split(r"…|: <why>|\bN\b|\blab\b|127\.0\.0\.1:|\b15\b", line):
            assert part.strip(" :;") in sources, line


def test_the_page_has_commands() -> None:
    assert len(SET_UP) > 7
