"""Keys, policy and permissions. Shell; `authorization`, `enrollment`, `grants` and
`policy` are core.
"""
