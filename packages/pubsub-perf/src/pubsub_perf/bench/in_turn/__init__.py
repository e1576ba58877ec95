"""Many systems and kinds of call in turn, cell by cell: `cells` says what runs, `results` what it
came to, `bars` what is asked for.

Core, except `rounds`.
"""
