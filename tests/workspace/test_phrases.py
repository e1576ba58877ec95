"""The check of words: it finds phrases in prose, also wrapped ones, and not in code."""

from __future__ import annotations

import pytest

import phrases

pytestmark = pytest.mark.core

RULES = phrases.read_rules(
    """
    plain_paths = ["docs", "packages/one"]
    left_out = ["docs/old.md"]
    [everywhere]
    "hung up|hangs up" = "disconnect"
    [plain]
    "whose" = "with"
    """
)


def found(path: str, text: str) -> list[str]:
    return list(phrases.found(path, text, RULES.of(path)))


def test_a_phrase_is_shown_with_its_place_and_better_words() -> None:
    text = "The broker\nhung up on it.\n"
    assert found("README.md", text) == ["README.md:2: 'hung up': disconnect"]


@pytest.mark.parametrize(
    "text",
    [
        "it hung\nup on it",
        "it Hung   up",
        "> it hung\n> up",
        "* hung up",
    ],
)
def test_a_phrase_is_found_where_its_line_is_wrapped(text: str) -> None:
    assert len(found("README.md", text)) == 1


@pytest.mark.parametrize(
    "source",
    [
        "x = 1  # it hung up\n",
        "# it hung\n# up\n",
        '"""It hung\nup."""\n',
        'log("%s hung up", x)\n',
        'log("%s hung "\n    "up", x)\n',
        'f"{x} hung up"\n',
        "#: it hung\n#: up\n",
    ],
)
def test_comments_docstrings_and_strings_of_python_are_read(source: str) -> None:
    assert len(found("a.py", source)) == 1


@pytest.mark.parametrize(
    "source",
    [
        "hung = up\n",
        "whose = 1\n",
        'f("hung", up)\n',
        '"hung"\n"x"\n"up"\n',
        "hung_up = 1\n",
    ],
)
def test_code_is_not_read(source: str) -> None:
    assert found("packages/one/a.py", source) == []


def test_part_of_a_word_is_not_a_phrase() -> None:
    assert found("a.md", "it hung upside down") == []


def test_some_phrases_hold_only_in_the_named_folders() -> None:
    text = "a client whose key"
    assert found("README.md", text) == []
    assert found("packages/two/a.md", text) == []
    assert len(found("docs/tasks.md", text)) == 1
    assert found("docs/old.md", text) == []
    assert found("docsmore/a.md", text) == []


def test_the_committed_list_is_read() -> None:
    rules = phrases.read_rules(phrases.LIST.read_text("utf-8"))
    assert all(each.instead for each in rules.everywhere + rules.plain)
    for path in rules.plain_paths + rules.left_out:
        assert (phrases.ROOT / path).exists(), path
