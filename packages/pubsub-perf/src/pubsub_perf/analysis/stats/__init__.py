"""Statistics: bootstrap, effect sizes, least squares, verdicts. Core."""
