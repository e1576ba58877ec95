"""Tries whether a client speaks the protocol: a scripted broker and peers, and what they expect
(``pubsub-conformance``, ``docs/conformance.md``).

Shell, except `command`, `findings`, `frame_checks`, `ledger`, `malformed`, `page`,
`request_checks`, `scenario`, `subscription_checks` and `transcript`.
"""
