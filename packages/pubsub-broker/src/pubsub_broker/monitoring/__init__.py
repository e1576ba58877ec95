"""Shows the state of the broker: status, page, metrics, event log.

Shell, except `group_view`, `rejection_log`, `status_text` and `status_view`.
"""
