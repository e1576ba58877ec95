"""The report of a sweep: content, figures, pages.

Shell, except `svg_for_page`.
"""
