# SPDX-License-Identifier: Apache-2.0
"""A namespace that gets no pods any more: who waits for one says so in the quota's own words, and goes on by itself."""
import unittest

from harness import condition, state, until
from in_place import InPlaceCase

UNDONE = ['accepted', 'approved', 'started', 'rolled_back', 'cancelled']


class QuotaTests(InPlaceCase):
    def refuse_pods(self, space):
        self.api.create('ResourceQuota', space, {'metadata': {'name': 'none'}, 'spec': {'hard': {'pods': '0'}}})
        until('the quota is in force', 20, lambda: self.api.get('ResourceQuota', space, 'none').get(
            'status', {}).get('hard'))

    def wait_told(self, kind, space, name, reason, type='Stalled'):
        def look():
            thing = self.api.get(kind, space, name)
            return thing if condition(thing, type).get('reason') == reason else None
        thing = until(lambda: f'{type} {reason}: {self.describe(space)}', 90, look)
        message = condition(thing, type)['message']
        for words in ('exceeded quota: none', 'requested: pods=1', 'limited: pods=0'):
            self.assertIn(words, message)
        return thing

    def test_who_gets_no_pod_says_why(self):
        """A run that begins, a clone whose service loses its pod, and a run in place that has to put the data back."""
        fresh, served, undone = self.namespace('fresh'), self.namespace('served'), self.service('undone')
        self.make_clone(served)
        self.node.behave(undone, hold={'swap'})
        self.ask(undone)
        self.approve(undone)
        self.wait_ready(served)
        self.wait_held(undone)
        for space in (fresh, served, undone):
            self.refuse_pods(space)
        self.api.patch('BackupRepository', fresh, 'source', {'spec': {'scan': {'requestID': 'again'}}})
        self.make_clone(fresh)
        self.api.delete('Pod', served, 'orders-0')
        self.cancel(undone)

        run = until('the clone has a run', 20, lambda: self.the_run(fresh))['metadata']['name']
        self.assertEqual(state(self.wait_told('RestoreRun', fresh, run, 'JobPodsForbidden')), 'Pending')
        self.wait_told('ServiceClone', served, 'orders', 'PodsForbidden', 'Ready')
        self.assertEqual(state(self.wait_told('RestoreRun', undone, 'back', 'JobPodsForbidden')), 'Running')
        self.wait_told('BackupRepository', fresh, 'source', 'JobPodsForbidden')

        for space in (fresh, served, undone):
            self.api.delete('ResourceQuota', space, 'none')
        # Kubernetes tries again after a time that grows with each attempt.
        self.ended(undone, 'Cancelled', UNDONE, seconds=180)
        self.assert_served(undone)
        for space in (served, fresh):
            self.wait_ready(space, seconds=180)
            self.assert_one_of_each(space)
        self.assertEqual(condition(self.the_run(fresh), 'Stalled')['status'], 'False')


if __name__ == '__main__':
    unittest.main()
