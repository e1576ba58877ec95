"""Every command of docs/cluster.md is executed: for three machines, one block after the other."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import documents, three_machines
from support.etcd_servers import needs_etcd
from support.paths import ROOT

PAGE = ROOT / "docs/cluster.md"
TRY_OUT, *SET_UP = documents.blocks("sh", PAGE)


def test_a_group_on_one_machine_can_be_tried_out(tmp_path: Path) -> None:
    needs_etcd()
    done = documents.run(["bash", "-eu", "-c", TRY_OUT], tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert "\nsunny\n" in f"\n{done.stdout}"
    assert "centralized broker of group local" in done.stdout
    assert "brokers: 3\n" in done.stdout


@pytest.mark.timeout(300)
def test_the_commands_for_three_machines_work(tmp_path: Path) -> None:
    three_machines.needs_machines()
    marked = [f"echo '== block {n}'\n{block}" for n, block in enumerate(SET_UP, 1)]
    done = three_machines.run("\n".join(marked), tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout.count("brokers: 3\n") == 3
    assert "\nsunny\n" in done.stdout


def test_the_page_has_commands() -> None:
    assert len(SET_UP) > 7
