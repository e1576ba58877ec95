"""The report of a sweep: content, figures, pages.

Shell, except `content`, `finding_tables`, `findings` and `svg_for_page`.
"""
