"""The brokers that `status` and `check` ask, from the options of both commands."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from pubsub_common import defaults
from pubsub_common.cli import console_script, option_texts
from pubsub_common.cli.settings import Source
from pubsub_common.errors import BrokerUnreachable, PubSubError

if TYPE_CHECKING:
    from pubsub_common.protocol.messages import Status
    from pubsub_common.security.keys import ClientKeys

# How soon a broker that is not running yet is asked again.
_AGAIN_S: Final = 0.1
_QUESTION: Final = re.compile(r"; [^;]*\?$")

ASK_OPTIONS: Final = f"""\
  -b HOST, --broker-address HOST  the broker: an IP address or a name, or HOST:PORT; of
                                  several brokers with commas, the first that answers
                                  [default: {defaults.LOOPBACK}]
  --timeout SECONDS               how long to wait for an answer [default: 5]
{option_texts.CONTEXT_OPTION}
  --wait                          wait so long also for a broker that is not running yet
{option_texts.KEYS_OPTION}
  --secure DIR                    instead of --keys: the folder of the broker's keys"""


def parse(usage: str, program: str, argv: Sequence[str]) -> console_script.Options:
    """Parse the options of a command that asks brokers; exits like
    `console_script.parse`."""
    from pubsub_broker import __version__

    command = program.partition(" ")[2]  # is part of the usage
    return console_script.parse(usage, [command, *argv], program, __version__)


class AskedBrokers:
    """The brokers that the options name. For one thread, except `ask_at`."""

    def __init__(self, options: console_script.Options) -> None:
        """Raises:
        ConfigError: the options are inconsistent.
        """
        self._timeout_s = console_script.seconds(options, "--timeout")
        self._wait = options["--wait"]
        self._places = places_of(options)
        self._keys = keys_of(options)

    def ask(self, *, whole: bool = True) -> tuple[str, Status]:
        """The address of the first broker that answers, and its status, complete or the
        first page. The next call asks this broker first. With ``--wait`` the brokers are
        asked again until the timeout.

        Raises:
            PubSubError: no broker answers, or one rejects the request.
        """
        deadline = time.monotonic() + self._timeout_s
        while True:
            failures: list[PubSubError] = []
            answer = self._first_answer(failures, whole=whole)
            if answer is not None:
                return answer
            starting = all(isinstance(each, BrokerUnreachable) for each in failures)
            late = time.monotonic() + _AGAIN_S >= deadline
            if not self._wait or not starting or late:
                break
            time.sleep(_AGAIN_S)
        if len(failures) == 1:
            raise failures[0]
        raise PubSubError(_joined(list(map(str, failures))))

    def _first_answer(
        self, failures: list[PubSubError], *, whole: bool
    ) -> tuple[str, Status] | None:
        """What `ask` returns; None, and the ``failures``, if no broker answers."""
        for host, port in list(self._places):
            try:
                where, status = self._ask(host, port, whole=whole)
            except PubSubError as error:
                failures.append(error)
                continue
            self._places.remove((host, port))
            self._places.insert(0, (host, port))
            return where, status
        return None

    def ask_at(self, place: str) -> Status:
        """The status of another broker of the group at ``HOST:PORT``.

        Raises:
            PubSubError: it does not answer.
        """
        from pubsub_common.protocol.endpoints import host_of, port_of

        return self._ask(host_of(place), port_of(place), whole=True)[1]

    def _ask(self, host: str, port: int, *, whole: bool) -> tuple[str, Status]:
        from pubsub_common.client.status_client import ask
        from pubsub_common.net.addresses import resolve

        # Look up the name each time: the broker may have moved.
        address = resolve(host)
        status = ask(address, port, self._timeout_s, self._keys, whole=whole)
        return f"{address}:{port}", status


def _joined(texts: Sequence[str]) -> str:
    """Several errors as one text; the question at the end of one is asked only once."""
    asked_once = [_QUESTION.sub("", text) for text in texts[:-1]]
    return "; ".join((*asked_once, texts[-1]))


def places_of(options: console_script.Options) -> list[tuple[str, int]]:
    """Hosts and ports of the brokers that the options name. A wildcard, as a broker may have
    for ``--bind``, is a broker of this machine.

    Raises:
        ConfigError: an address is invalid.
    """
    from pubsub_common.protocol.endpoints import broker_endpoints
    from pubsub_common.protocol.listening import is_wildcard, near_host

    port = console_script.port_number(options, "--broker-port")
    address = options["--broker-address"]
    if is_wildcard(address):
        address = near_host(address)
    return list(broker_endpoints(address, port))


def keys_of(options: console_script.Options) -> ClientKeys | None:
    """The keys for asking a secure broker; None without keys.

    Raises:
        ConfigError: both kinds of keys are given, or the given keys cannot be used.
    """
    named = [name for name in ("--keys", "--secure") if options[name]]
    if not named:
        return None
    if all(console_script.source_of(options, name) == Source.FILE for name in named):
        chosen = named[0]  # both variables may be set for different programs
    else:
        chosen = console_script.chosen_option(options, *named) or named[0]
    from pubsub_common.security.keys import load_client_keys

    if chosen == "--keys":
        return load_client_keys(options["--keys"])
    from pubsub_broker.security.key_store import KeyStore

    return KeyStore(options["--secure"]).own_keys()
