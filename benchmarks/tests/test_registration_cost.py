"""The registration benchmark: notifications are counted, and figures join a document."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import registration_cost


def test_notifications_go_to_matching_subscribers_only() -> None:
    assert registration_cost.pushes(1000) == (10, 10)


def test_figures_replace_earlier_ones_in_a_document(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = registration_cost.measure(few=10, many=200)
    monkeypatch.setattr(registration_cost, "measure", lambda: measured)
    stale = [fact.document() | {"value": -1.0} for fact in measured]
    file = tmp_path / "bars.json"
    file.write_text(json.dumps({"facts": [{"name": "another"}, *stale]}))

    assert registration_cost.main(["--add-to", str(file)]) == 0

    facts = json.loads(file.read_text())["facts"]
    assert [fact["name"] for fact in facts] == [
        "another",
        "cost of a registration, 200 clients / 10",
        "notifications for 2 matching of 200 subscribers",
    ]
    assert all(fact["value"] > 0 for fact in facts[1:])
    assert facts[2]["met"]


def test_other_words_are_a_wrong_use() -> None:
    assert registration_cost.main(["--help"]) == 2
