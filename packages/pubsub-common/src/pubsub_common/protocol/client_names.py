"""The names by which people tell clients apart in status, page, logs and metrics.

A name gives no rights: permissions belong to the user of a client's key. Several clients may
have one name.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from pubsub_common.defaults import MAX_NAME_CHARACTERS
from pubsub_common.errors import ConfigError

# In messages. "" is a client without a name, which is shown by its address.
ClientName = Annotated[str, msgspec.Meta(max_length=MAX_NAME_CHARACTERS)]
_RULE: Final = (
    f"at most {MAX_NAME_CHARACTERS} printable characters, and no spaces among them"
)


def is_client_name(text: str) -> bool:
    """Whether a client may have this name. It has no spaces, so that nobody can add words to
    a log line that look like the broker's."""
    return len(text) <= MAX_NAME_CHARACTERS and text.isprintable() and " " not in text


def check_client_name(text: str) -> None:
    """Raises:
    ConfigError: no client may have this name.
    """
    if not is_client_name(text):
        raise ConfigError(f"name must have {_RULE}: {text!r:.200}")
