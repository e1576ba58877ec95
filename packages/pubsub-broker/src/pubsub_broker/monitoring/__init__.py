"""Shows the state of the broker: status, page, metrics, event log.

Shell, except `status_text` and `status_view`.
"""
