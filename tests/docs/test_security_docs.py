"""The security pages: commands that work, and attacks with existing tests."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support import attack_rows, documents
from support.paths import ROOT

PAGE = ROOT / "docs" / "security.md"
SECURITY = ROOT / "SECURITY.md"


def test_the_table_of_attacks_is_what_their_tests_declare() -> None:
    """`make attacks` writes it; the figures in it are of that run."""
    table = attack_rows.table_rows(SECURITY.read_text())
    rows = attack_rows.declared()
    assert len(rows) >= 50
    assert list(table) == [row.test for row in rows]
    for row in rows:
        assert attack_rows.fits(row, table[row.test]), (row, table[row.test])


def test_links_of_security_md_lead_somewhere() -> None:
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", SECURITY.read_text())
    assert links
    for link in links:
        assert (ROOT / link).exists(), link


@pytest.mark.timeout(300)
def test_the_commands_of_the_page_work_one_after_the_other(tmp_path: Path) -> None:
    blocks = documents.blocks("sh", PAGE)
    assert len(blocks) >= 6
    said: list[str] = []
    for block in blocks:
        # Background processes end before the next block begins.
        done = documents.run(["bash", "-eu", "-c", f"{block}\nwait"], tmp_path)
        assert done.returncode == 0, f"{block}\n{done.stdout}{done.stderr}"
        assert "Traceback" not in done.stderr
        said.append(done.stdout + done.stderr)

    assert "3 events received, 0 lost" in said[0]  # two commands
    (listed,) = [text for text in said if "dave is revoked" in text]
    assert re.search(r"^dave +ok .*  until ", listed, re.M)
    assert re.search(r"^carol +ok ", listed, re.M)
    assert "2 events received, 0 lost" in said[-1]  # by the policy


def test_the_python_of_the_page_works(tmp_path: Path) -> None:
    made = documents.run(["pubsub-broker", "keygen", "keys", "alice"], tmp_path)
    assert made.returncode == 0, made.stderr
    (block,) = documents.blocks("python", PAGE)
    assert documents.run_python(block, tmp_path) == []


def test_the_messages_of_the_page_are_in_the_code() -> None:
    sources = "".join(
        path.read_text() for path in (ROOT / "packages").glob("*/src/**/*.py")
    )
    code = re.sub(r'"\s*f?"', "", sources)  # strings that continue on the next line
    table = re.search(r"## Messages, and how.*?(?=^## )", PAGE.read_text(), re.M | re.S)
    assert table
    quoted = re.findall(r"^\| (?:[a-z ]+: )?(`.+`) \|", table[0], re.M)
    assert len(quoted) >= 8
    for line in quoted:
        for cell in re.findall(r"`([^`]+)`", line):
            for part in re.split(r"…|\bbob\b.*|\(.*|(?<=rejected)", cell):
                words = part.strip(" :;,./")
                if len(words) > 12:
                    assert words in code, words
