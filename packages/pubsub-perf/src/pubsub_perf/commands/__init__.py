"""The subcommands of `pubsub-perf`.

Shell.
"""
