"""A client's connection to a broker, one of several perhaps: registration, heartbeats, clock
offset.

Shell, except `broker_choice`, `clock_offset`, `identity`, `open_requests`, `reported_numbers`,
`session` and `session_updates`.
"""
