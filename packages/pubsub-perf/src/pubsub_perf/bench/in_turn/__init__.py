"""Many systems and kinds of call in turn, cell by cell. `cells` lists them, `results` has medians
and ratios, and `bars` the ratios that are asked for.

Core, except `rounds`.
"""
