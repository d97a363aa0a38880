"""
The faults.  Each is applied, its effect is awaited, and it is healed; none relies on a time alone.
A fault is a method of Faults whose docstring names it.
"""

from wstserver import wait_until

PATIENCE = 60


class Faults:
    def __init__(self, stage, chance):
        self.stage = stage
        self.fleet = stage.fleet
        self.chance = chance

    # What they wait for

    def _until(self, true, what):
        wait_until(lambda: true(self.fleet.status()), what, PATIENCE)

    def _grows(self, number, by=1):
        """A function that waits until number(status) has grown by so much from what it is now."""
        before = number(self.fleet.status())
        return lambda what: self._until(lambda now: number(now) >= before + by, what)

    @staticmethod
    def _code(name):
        return lambda status: status["codes"].get(name, 0)

    @staticmethod
    def _closed(status):
        return sum(group["closed"] for group in status["groups"].values())

    @staticmethod
    def _failed(status):
        return sum(group["failed"] for group in status["groups"].values())

    def _group(self, name, key):
        return lambda status: status["groups"][name][key]

    def _server(self):
        """One that hears somebody: connections whose clients are long gone are not enough."""
        before = {server: server.stats()["messages"] for server in self.stage.servers}

        def heard():
            self.fleet.say("chat")
            return [server for server in self.stage.servers
                    if server.stats()["messages"] > before[server]]
        return self.chance.choice(wait_until(heard, "a server to hear somebody", PATIENCE))

    def _wait_any(self, name):
        """Waits until somebody of that group is open."""
        self._until(lambda now: now["groups"][name]["open"], f"somebody of {name} to be open")

    def _relay(self):
        name = self.chance.choice(sorted(self.stage.relays))
        self._wait_any(name)
        return name, self.stage.relays[name]

    # Servers

    def server_killed(self):
        """a server is killed, and started again when its clients have noticed"""
        victim, noticed = self._server(), self._grows(self._closed)
        victim.kill()
        noticed("the killed server's clients to notice")
        victim.start()

    def both_servers_killed(self):
        """both servers are killed, and started again when everybody has lost the connection"""
        noticed = self._grows(self._failed, 5)
        for server in self.stage.servers:
            server.kill()
        self._until(lambda now: now["open"] == 0, "everybody to notice")
        noticed("attempts without a server")
        for server in self.stage.servers:
            server.start()

    def server_restarted(self):
        """a server is restarted in good order"""
        victim, noticed = self._server(), self._grows(self._closed)
        victim.restart()
        noticed("the restarted server's clients to notice")

    def server_frozen(self):
        """a server is stopped, half open: its kernel still takes what is sent"""
        victim, noticed = self._server(), self._grows(self._code("PING_TIMEOUT"))
        victim.freeze()
        noticed("a ping without a pong")
        victim.thaw()

    def server_goes_away(self):
        """a server closes all connections with 1012"""
        victim, noticed = self._server(), self._grows(lambda now: now["soft"])
        victim.close_all(1012, "restart")
        noticed("the close code 1012")

    def tickets_come_late(self):
        """tickets are answered when most of their life is over: they are not used"""
        victim, stale = self._server(), self._grows(self._code("TICKET_STALE"), 3)
        for server in self.stage.servers:
            server.faults(ticket={"delayMs": int(850 * self.stage.ticket_life_s)})
        victim.drop_all()
        stale("tickets that are too old")
        for server in self.stage.servers:
            server.reset_faults()

    def upgrades_come_late(self):
        """upgrades take so long to be looked at that their tickets expire on the way"""
        victim = self._server()
        refused = self._grows(lambda now: sum(server.log_count("ticket invalid or expired")
                                              for server in self.stage.servers))
        for server in self.stage.servers:
            server.faults(upgrade={"delayMs": int(1100 * self.stage.ticket_life_s)})
        victim.drop_all()
        refused("tickets that expired on the way")
        for server in self.stage.servers:
            server.reset_faults()

    # Redis

    def redis_restarted(self):
        """Redis is killed and starts again, empty, while clients look for tickets"""
        refused = self._grows(lambda now: now["soft"], 3)
        self.stage.redis.kill()
        for server in self.stage.servers:
            server.drop_all()
        refused("refusals with 503")
        self.stage.redis.start()

    def redis_paused(self):
        """Redis is stopped while clients look for tickets"""
        victim, refused = self._server(), self._grows(lambda now: now["soft"], 3)
        self.stage.redis.pause()
        victim.drop_all()
        refused("refusals with 503")
        self.stage.redis.resume()

    # Proxies

    def _reload(self, proxy, name):
        self._wait_any(name)
        noticed = self._grows(self._group(name, "closed"))
        proxy.reload()
        noticed(f"the clients of {name} to notice the reload")

    def haproxy_reloaded(self):
        """HAProxy reloads, and its old process ends its connections"""
        self._reload(self.stage.haproxy, "haproxy")

    def nginx_reloaded(self):
        """nginx reloads, and its old worker ends its connections"""
        self._reload(self.stage.nginx, "nginx")

    # The cable

    def _cable(self, side):
        noticed = self._grows(self._failed)
        self.stage.far.set_link(side, "down")
        self._until(lambda now: now["open"] == 0, "everybody to notice")
        noticed("an attempt without a network")
        self.stage.far.set_link(side, "up")

    def near_link_down(self):
        """the clients' link goes down"""
        self._cable("there")

    def far_link_down(self):
        """the servers' link goes down"""
        self._cable("here")

    # Relays

    def relay_resets(self):
        """a relay resets every connection, and every new one for a while"""
        name, relay = self._relay()
        failed = self._grows(self._group(name, "failed"), 3)
        relay.cut()
        self._until(lambda now: now["groups"][name]["open"] == 0, "the relay's clients to notice")
        failed("attempts through the cut relay")
        relay.restore()

    def relay_silent(self):
        """a relay takes everything and passes nothing on"""
        name, relay = self._relay()
        failed = self._grows(self._code("PING_TIMEOUT"))
        relay.hold()
        failed("a ping without a pong")
        relay.restore()

    def relay_delays(self):
        """a relay takes its time, and some connect all the same"""
        name, relay = self._relay()
        opened = self._grows(self._group(name, "opens"))
        relay.delay = self.chance.uniform(0.05, 0.3)
        relay.reset_all()
        opened("a connection on a slow way")
        relay.delay = 0.0

    def relay_drips(self):
        """a relay passes on a few bytes at a time, and some connect all the same"""
        name, relay = self._relay()
        opened = self._grows(self._group(name, "opens"))
        relay.drip = lambda: self.chance.randint(1, 120)
        relay.reset_all()
        opened("a connection over a dripping relay")
        relay.drip = None

    def relay_cuts_anywhere(self):
        """a relay resets new connections after any number of bytes"""
        name, relay = self._relay()
        goal = relay.spent + self.fleet.status()["groups"][name]["count"]

        def enough():
            now = self.fleet.status()["groups"][name]
            if now["open"] == now["count"]:  # They had more than they needed: once more.
                relay.reset_all()
            return relay.spent >= goal

        relay.budget = lambda: self.chance.randint(1, 6000)
        relay.reset_all()
        wait_until(enough, "connections to be cut", PATIENCE)
        relay.budget = None
        relay.reset_all()

    def all(self):
        return [getattr(self, name) for name in sorted(vars(Faults))
                if not name.startswith("_") and name != "all"]
