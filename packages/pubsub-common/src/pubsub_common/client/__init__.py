"""A client's connection to the broker: registration, heartbeats, clock offset.

Shell, except `clock_offset`, `identity`, `open_requests`, `reported_numbers`, `session` and
`session_updates`.
"""
