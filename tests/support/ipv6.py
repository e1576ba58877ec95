"""Tests that need IPv6."""

from __future__ import annotations

import pytest

from pubsub_common.net.addresses import lacks_ipv6

needs_ipv6 = pytest.mark.skipif(lacks_ipv6(), reason="this machine has no IPv6")
