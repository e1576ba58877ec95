"""The report of a sweep: content, figures, pages. Shell; `findings` and `svg_for_page`
are core.
"""
