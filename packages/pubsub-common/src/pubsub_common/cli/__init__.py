"""What all console scripts share: usage text, options, configuration, signals.

Shell, except `settings`, `usage_text`, `words` and `completion`.
"""
