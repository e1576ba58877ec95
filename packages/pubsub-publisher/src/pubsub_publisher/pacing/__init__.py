"""When to publish: schedules, rate limits, precise sleeps. Shell; `schedule` is core."""
