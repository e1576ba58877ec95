"""Keys, policy and permissions.

Shell, except `authorization`, `enrollment`, `grants`, `policy` and `session_signature`.
"""
