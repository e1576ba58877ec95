from __future__ import annotations

import pytest

from pubsub_common.testing.conformance.command import Run, fill_in

RUN = Run("127.0.0.1", 5555, ("A", "température"), 20, 0.05)


@pytest.mark.parametrize(
    ("words", "filled"),
    [
        (["sub", "-b", "{host}:{port}"], ["sub", "-b", "127.0.0.1:5555"]),
        (["-t", "{topics}", "x"], ["-t", "A", "-t", "température", "x"]),
        (["sub", "{topics}"], ["sub", "A", "température"]),
        (["--topics={topics}"], ["--topics=A,température"]),
        (["{count}", "{total}", "{interval}"], ["20", "40", "0.05"]),
        (["{topic}", "{}", "%s"], ["{topic}", "{}", "%s"]),
    ],
)
def test_placeholders_are_replaced(words: list[str], filled: list[str]) -> None:
    assert fill_in(words, RUN) == filled
