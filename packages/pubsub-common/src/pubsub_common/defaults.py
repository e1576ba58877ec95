"""Every default and limit that more than one module relies on, in one place."""

from __future__ import annotations

from typing import Final

# Addresses and ports
LOOPBACK: Final = "127.0.0.1"
CONTROL_PORT: Final = 5555
PUBLISHER_PORT: Final = 5556

# How long roles run when nobody says otherwise
MAX_EVENT_COUNT: Final = 15
SLEEP_PERIOD_S: Final = 1.0
PAYLOAD_BYTES: Final = 64

# Waiting
# Waits go in turns of this length: roles are stopped in signal handlers, which may interrupt a
# thread that holds the lock of whatever they would have to notify.
WAIT_SLICE_S: Final = 0.2
CONNECT_TIMEOUT_S: Final = 30.0
LINGER_S: Final = 5.0
LEASE_S: Final = 6.0
HEARTBEATS_PER_LEASE: Final = 3
# How often an unanswered registration is tried again. Short, because a client
# that was started before its broker should not keep its user waiting after it.
REGISTER_RETRY_S: Final = 0.25
REGISTER_ANSWER_S: Final = 2.0
# How long a client waits that was told that its address asks too often.
REGISTER_LATER_S: Final = 1.0
# How long the broker collects joins and leaves before it tells subscribers, so
# that 128 publishers starting together cost a subscriber a few messages.
NOTIFY_DELAY_S: Final = 0.01

# Queues, in messages per connection. Bounded: a slow subscriber costs memory up
# to here and then its own events, never the others'.
QUEUE_LIMIT: Final = 10_000
# Of a publisher that waits where others drop: it need not be far ahead of who reads, and
# large events that wait cost fresh memory, which takes more time than sending them.
BLOCKING_QUEUE_LIMIT: Final = 1000
# What a publisher keeps of a topic at most, besides the number of events it was told.
HISTORY_BYTES: Final = 64 * 1024 * 1024
# How long a subscriber asks for events that it missed, without an answer.
RECOVER_TIMEOUT_S: Final = 10.0

# Limits on what a peer may send: one broken client must not fill the broker.
MAX_TOPIC_BYTES: Final = 255
MAX_TOPICS_PER_CLIENT: Final = 4096
MAX_CONTROL_BYTES: Final = 4 * 1024 * 1024
MAX_PAYLOAD_BYTES: Final = 1024 * 1024 * 1024

# The broker's limits and habits
MAX_CLIENTS: Final = 10_000
# What one IP address may have of them if nobody says: a share of the whole, so that
# others find room, but never less than this.
CLIENTS_PER_ADDRESS_SHARE: Final = 0.5
MIN_CLIENTS_PER_ADDRESS: Final = 1000
# And how many registrations a second, after ten times as many at once.
REGISTRATIONS_PER_SECOND: Final = 1000.0
# What comes in where subscribers connect are subscriptions. The longest is a topic with
# its marks and numbers (ready, recovery): less than twice MAX_TOPIC_BYTES.
MAX_SUBSCRIPTION_BYTES: Final = 1024
# How often the broker says the same kind of thing (refusals, a subscriber's losses, a
# subscriber that does not read, a state file that cannot be written); the rest is counted.
LOG_INTERVAL_S: Final = 10.0
# How long after a lease a restarted broker still waits for the clients that it knew.
EXPECTED_MARGIN_S: Final = 10.0

CLOCKS: Final = ("realtime", "monotonic")
