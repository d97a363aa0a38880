"""Makes tests/lib importable; a server with a real Redis behind it."""

import os
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "lib"))

from audit import Monitor  # noqa: E402  (the path comes first)
from cli import WRAP  # noqa: E402
from redis_server import RedisServer  # noqa: E402
from wstserver import Server  # noqa: E402


def pytest_collection_modifyitems(config, items):
    """
    Leaves out what is marked so under valgrind, where a second is a minute, and what looks at the
    program from outside, where something else is in the program.
    """
    left_out = [item for item in items
                if WRAP and item.get_closest_marker("unwrapped")
                or (WRAP or "ASAN_OPTIONS" in os.environ) and item.get_closest_marker("bare")]
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=left_out)


@pytest.fixture
def redis():
    """A Redis of this test's own."""
    with RedisServer() as running:
        yield running


@pytest.fixture
def backend(redis):
    """A wsticket-server on that Redis."""
    with Server("--redis-timeout", "500", redis=redis.url) as running:
        running.wait_log("[Redis] Connected")
        yield running


@pytest.fixture
def monitor(redis):
    """What that Redis executes."""
    with Monitor(redis) as running:
        yield running
