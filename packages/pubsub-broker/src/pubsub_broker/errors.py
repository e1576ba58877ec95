"""The broker's reasons to reject a registration."""

from __future__ import annotations


class Refusal(Exception):
    """A registration is rejected: ``code`` is one of those of
    `pubsub_common.protocol.messages`, ``detail`` is for people."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
