"""When to publish: schedules, rate limits, precise sleeps.

Shell, except `schedule`.
"""
