"""A client's connection to the broker: registration, heartbeats, clock offset. Core in
`session` and `clock_offset`, shell elsewhere.
"""
