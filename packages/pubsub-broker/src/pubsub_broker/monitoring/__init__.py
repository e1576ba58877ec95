"""Shows the state of the broker: status, page, metrics, event log. Shell;
`status_view` and `status_text` are core.
"""
