"""
The end of a client in every state and inside every callback: closed, closed twice, stopped, stopped
and started.  life.c does it and checks what it sees; a sanitizer or valgrind sees the rest.
"""

import os
import subprocess

import pytest

from cli import BUILD, PATIENCE, WRAP, environment
from wstserver import Server

LIFE = os.path.join(BUILD, "tests", "e2e", "life")

STATES = ["idle", "token", "ticket", "connecting", "open", "closing", "backoff", "failed"]
CALLBACKS = ["attempt", "attempt_failed", "open", "message", "chunk", "closed", "unsent", "ended", "pong",
             "drained", "verdict", "log", "post", "token_cb", "ticket_cb", "store_load",
             "store_save", "store_clear"]
MOMENTS = ([f"state:{name}" for name in STATES] + [f"in:{name}" for name in STATES]
           + [f"progress:{number}" for number in range(1, 8)] + CALLBACKS)

UNAVAILABLE = {"ticket": {"status": 503}}
NOT_FOUND = {"ticket": {"status": 404}}
# So that a state lasts long enough to be seen from outside.
SLOW = {"delayMs": 50}
FAULTS = {"in:token": {"token": SLOW}, "in:ticket": {"ticket": SLOW},
          "in:connecting": {"upgrade": SLOW},
          "state:backoff": UNAVAILABLE, "in:backoff": UNAVAILABLE, "attempt_failed": UNAVAILABLE,
          "verdict": UNAVAILABLE, "state:failed": NOT_FOUND, "in:failed": NOT_FOUND,
          "store_clear": {"ticket": {"status": 401}},
          "unsent": {"open": {"stopReading": True}}}


@pytest.fixture(scope="module")
def server():
    with Server("--open", tls=True) as running:
        yield running


@pytest.mark.parametrize("moment", MOMENTS)
def test_ended(server, moment):
    server.faults(reset=True, **FAULTS.get(moment, {}))
    done = subprocess.run([*WRAP, LIFE, moment, server.url, server.ca_file], capture_output=True,
                          text=True, timeout=PATIENCE, env=environment())
    assert (done.returncode, done.stdout, done.stderr) == (0, "ok\n", "")
