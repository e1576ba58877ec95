"""Which names a client may have."""

from __future__ import annotations

import pytest

from pubsub_common.defaults import MAX_NAME_CHARACTERS
from pubsub_common.errors import ConfigError
from pubsub_common.protocol.client_names import check_client_name


@pytest.mark.parametrize(
    "name", ["", "kitchen", "app@host:4711#2", "온도", "n" * MAX_NAME_CHARACTERS]
)
def test_a_name_is_printable_and_not_long(name: str) -> None:
    check_client_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "two words",
        "tab\t",
        "line\n",
        "\x1b[31m",
        "no-break\xa0space",
        "right\u202eleft",
        "half\ud800",
        "n" * (MAX_NAME_CHARACTERS + 1),
    ],
)
def test_another_name_is_an_error_that_says_the_rule(name: str) -> None:
    with pytest.raises(ConfigError, match=r"^name must have at most 64 printable"):
        check_client_name(name)
