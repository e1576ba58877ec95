"""Shows the state of the broker: status, page, metrics, event log.

Shell, except `rejection_log`, `status_text` and `status_view`.
"""
