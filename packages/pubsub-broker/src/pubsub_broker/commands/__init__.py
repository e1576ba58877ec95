"""The subcommands of `pubsub-broker`.

Shell.
"""
