"""Networks that fail in part: ways between two hosts while both reach the coordinator, one direction of a way, and links that come
and go. Nobody is blamed for the network longer than it takes to find out, no step is lost, and the run ends with the weights of one
left alone."""

import time
import unittest

from host_runs import HostRuns

STEPS = 250
# Nothing is heard for twice the silence that is borne, a group without the one who goes is formed, and it takes a step.
LONGEST = 8


class Networks(HostRuns):
    def check_one_host_goes(self, at, what, pair):
        """One of the two hosts that do not reach each other has no workers any more, and the group is complete without it."""
        gone = self.wait_for_complete_group(pair)
        self.check_exact(at, what, LONGEST)
        self.assertEqual({loss["host"] for loss in self.lost()}, {gone}, "nobody else is blamed")
        self.assertIn("cannot reach each other", self.lost()[0]["reason"])
        self.assertIn(f"{gone} is left out from now on", self.log())
        self.assertLessEqual(len(self.generations()), 3, "the first, without it, with another for it")

    def wait_for_complete_group(self, pair):
        entry = self.wait_for_generation(lambda hosts: len(hosts) == 3 and not set(pair) <= set(hosts))
        return next(host for host in pair if host not in entry["data"]["hosts"])

    def test_two_hosts_do_not_reach_each_other(self):
        self.begin(3, STEPS)
        self.wait_for_hosts(["alpha", "beta", "gamma"])
        self.wait_for_step(20)
        at = time.time()
        self.hosts.block("beta", "gamma")
        self.hosts.block("gamma", "beta")
        self.check_one_host_goes(at, "two of three hosts do not reach each other", ["beta", "gamma"])

    def test_one_host_does_not_reach_another(self):
        self.begin(3, STEPS)
        self.wait_for_hosts(["alpha", "beta", "gamma"])
        self.wait_for_step(20)
        at = time.time()
        self.hosts.block("beta", "gamma")
        self.check_one_host_goes(at, "what one host sends to another is lost", ["beta", "gamma"])

    def test_a_host_does_not_reach_the_coordinator(self):
        self.begin(3, STEPS, coordinator="head")
        self.wait_for_hosts(["alpha", "beta", "gamma"])
        self.wait_for_step(20)
        at = time.time()
        self.hosts.block("beta", "head")
        self.wait_for_generation(lambda hosts: len(hosts) == 3 and "beta" not in hosts)
        self.check_exact(at, "what one host sends to the coordinator is lost", LONGEST)
        self.assertEqual({loss["host"] for loss in self.lost()}, {"beta"})
        self.assertIn("nothing was heard from it", self.lost()[0]["reason"])
        self.assertIn("beta is left out from now on", self.log())

    def test_a_link_that_flaps_costs_nothing(self):
        self.begin(3, STEPS, silence_ms=2000)
        self.wait_for_hosts(["alpha", "beta", "gamma"])
        self.wait_for_step(20)
        at = time.time()
        for _ in range(4):
            self.hosts.interrupt("beta", 0.5)
            time.sleep(0.7)
        self.assertIsNone(self.child.poll(), "training is over before the link was well again")
        self.check_exact(at, "a link that is down four times for half a second", LONGEST)
        self.assertEqual(self.lost(), [])
        self.assertEqual(len(self.generations()), 1, "nobody noticed")


if __name__ == "__main__":
    unittest.main()
