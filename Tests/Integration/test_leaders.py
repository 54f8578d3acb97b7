# SPDX-License-Identifier: Apache-2.0
"""Two controllers: one leads. The leader is ended, killed, and frozen for a minute, with the election's real times."""
import signal
import time
import unittest

from harness import SYSTEM, Case, condition, until


class LeaderTests(Case):
    def lease(self):
        return self.api.get('Lease', SYSTEM, 'reprise-controller')['spec']

    def test_one_leads_and_a_standby_touches_nothing(self):
        first = self.environment.controller('first').wait_leading()
        second = self.environment.controller('second')
        until('the second stands by', 20, lambda: second.probe('/readyz') == (200, 'standing by\n'))
        space = self.namespace('two')
        self.make_clone(space)
        self.wait_ready(space)
        self.assert_one_of_each(space)
        self.assertTrue(self.lease()['holderIdentity'].startswith('first_'))
        self.assertGreater(len(first.said('effect done')), 5)
        self.assertEqual([line for line in second.lines() if line['message'] in (
            'kind listed', 'effect done', 'status written')], [])

    def test_sigterm_stops_within_a_second_and_gives_the_lease_back(self):
        """In the middle of work; the standby leads at once and finishes it."""
        first = self.environment.controller('first').wait_leading()
        second = self.environment.controller('second')
        until('the second stands by', 20, lambda: second.probe('/readyz') == (200, 'standing by\n'))
        space = self.namespace('term')
        self.make_clone(space)
        until('the run is under way', 30, lambda: self.the_run(space))
        began = time.monotonic()
        first.send(signal.SIGTERM)
        self.assertEqual(first.process.wait(10), 0)
        took = time.monotonic() - began
        self.assertLess(took, 1.0)
        self.assertEqual(len(first.said('lease released')), 1)
        second.wait_leading(6)
        self.assertLess(time.monotonic() - began, 6, 'a released lease is not waited for')
        self.wait_ready(space)
        self.assert_one_of_each(space)
        second.send(signal.SIGTERM)
        self.assertEqual(second.process.wait(10), 0)
        self.assertEqual(self.lease()['holderIdentity'], '')

    def test_a_killed_leader_is_waited_out(self):
        """Nobody gives its lease back: the next one leads when it has been silent for 15 s, and not before."""
        first = self.environment.controller('first').wait_leading()
        second = self.environment.controller('second')
        until('the second stands by', 20, lambda: second.probe('/readyz') == (200, 'standing by\n'))
        space = self.namespace('killed')
        self.node.behave(space, hold={'fetch'})
        self.make_clone(space)
        until(lambda: self.describe(space), 30, lambda: condition(self.the_run(space), 'Reconciling').get('reason')
              == 'Restore')
        first.kill()
        began = time.monotonic()
        second.wait_leading(30)
        waited = time.monotonic() - began
        self.assertTrue(10 < waited < 25, waited)
        self.node.behave(space, hold=set())
        self.wait_ready(space)
        self.assert_one_of_each(space)

    def test_a_leader_frozen_for_a_minute(self):
        """It wakes up with work in hand, sends nothing any more, and steps down; the other has done the work."""
        first = self.environment.controller('frozen').wait_leading()
        second = self.environment.controller('successor')
        until('the second stands by', 20, lambda: second.probe('/readyz') == (200, 'standing by\n'))
        spaces = [self.namespace(f'frozen-{number}') for number in range(3)]
        for pause, space in zip((0.0, 0.6, 0.9), spaces):
            time.sleep(pause)
            self.make_clone(space)
        until('something is under way', 30, lambda: self.api.items('PersistentVolumeClaim', spaces[0]))
        first.send(signal.SIGSTOP)
        began = time.monotonic()
        second.wait_leading(30)
        for space in spaces:
            self.wait_ready(space)
            self.assert_one_of_each(space)
        seen = self.marks(spaces)
        time.sleep(max(0.0, 60 - (time.monotonic() - began)))  # the length of the freeze is what is tested
        first.send(signal.SIGCONT)
        until('the thawed one steps down', 20, lambda: first.process.poll() is not None or not first.leads())
        until('it says why', 10, lambda: first.process.poll() is not None or first.said('leadership lost'))
        time.sleep(3)  # that it writes nothing takes time
        self.assertEqual(self.marks(spaces), seen)
        self.assertTrue(second.leads())
        for space in spaces:
            self.assert_one_of_each(space)

    def marks(self, spaces):
        """What a late write would change."""
        kinds = ('ServiceClone', 'RestoreRun', 'StatefulSet', 'PersistentVolumeClaim', 'Job', 'Service', 'Secret')
        found = {(space, kind, item['metadata']['name']): item['metadata']['resourceVersion']
                 for space in spaces for kind in kinds for item in self.api.items(kind, space)}
        for uid, *row in self.environment.sql('select run_uid, epoch, updated_at from reprise.restore_runs'):
            found[uid] = row
        return found


if __name__ == '__main__':
    unittest.main()
