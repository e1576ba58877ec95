"""Keys, policy and permissions.

Shell, except `authorization`, `enrollment`, `grants` and `policy`.
"""
