"""Starts a worker. A machine with another sweep rejects the driver first: loading large modules
would disturb that sweep and delay the driver.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from pubsub_common.errors import PubSubError
from pubsub_perf.experiment import one_sweep
from pubsub_perf.hosts import namespaces
from pubsub_perf.lab import messages
from pubsub_perf.lab.channel import Channel, ChannelEnded


def work(words: Sequence[str]) -> None:
    """Serve one driver on standard input and output, until it ends. ``words`` are those of the
    command, which is run again in private namespaces if the driver chooses Mininet.

    Raises:
        PubSubError: this machine cannot run a task; the driver knows it.
    """
    # The bytes after the first message are for the process in the namespaces.
    channel = Channel(sys.stdin.fileno(), sys.stdout.fileno(), read_ahead=False)
    try:
        if namespaces.inside():
            namespaces.enter([])
            _serve_inside()
        else:
            with one_sweep.alone():
                _introduce(channel, words)
    except ChannelEnded:
        return
    except (PubSubError, OSError) as error:
        channel.send(messages.Refused(str(error)))
        raise


def _introduce(channel: Channel, words: Sequence[str]) -> None:
    from pubsub_perf.lab.worker import introduce

    introduce(channel, words)


def _serve_inside() -> None:
    from pubsub_perf.lab.worker import serve

    serve("mininet")
