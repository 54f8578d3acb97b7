# SPDX-License-Identifier: Apache-2.0
"""The ledger away at the start, in the middle and at the end of a run."""
import time
import unittest

from harness import SYSTEM, Case, condition, state, until


class LedgerTests(Case):
    def setUp(self):
        super().setUp()
        self.away = False
        self.addCleanup(self.bring_back)

    def take_away(self, how='--crash'):
        self.environment.hack('ledger-down.sh', how)
        self.away = True

    def bring_back(self):
        if self.away:
            self.environment.hack('ledger-up.sh')
            self.away = False

    def wait_condition(self, space, kind, value, reason, seconds=40):
        def look():
            run = self.the_run(space)
            found = condition(run, kind)
            return run if (found.get('status'), found.get('reason')) == (value, reason) else None
        return until(lambda: f'{kind}={value} {reason}: {self.describe(space)}', seconds, look)

    def test_away_at_the_start(self):
        """Nothing is made before the ledger has the run's row, and nothing needs a hand when it is back."""
        self.environment.controller().wait_leading()
        space = self.namespace('ledger-start')
        self.take_away()
        self.make_clone(space)
        run = self.wait_condition(space, 'Stalled', 'True', 'WaitingForLedger')
        self.assertEqual(state(run), 'Pending')
        self.assertEqual(condition(run, 'Recorded')['reason'], 'LedgerUnavailable')
        self.assertNotIn('password', condition(run, 'Recorded')['message'])
        time.sleep(2)  # that nothing happens takes time
        self.assert_nothing_made(space)
        until('an Event says so', 10, lambda: self.events(space, reason='LedgerUnavailable', type='Warning'))
        self.bring_back()
        self.wait_ready(space, seconds=90)
        self.assert_one_of_each(space)

    def test_away_in_the_middle(self):
        """What is under way goes on; the row is right as soon as there is a ledger again."""
        self.environment.controller().wait_leading()
        space = self.namespace('ledger-middle')
        self.node.behave(space, hold={'fetch'})
        self.make_clone(space)
        until(lambda: self.describe(space), 40, lambda: condition(self.the_run(space), 'Reconciling').get('reason')
              == 'Restore')
        self.take_away('--keep')
        self.node.behave(space, hold={'backup'})
        until(lambda: self.describe(space), 40, lambda: condition(self.the_run(space), 'Reconciling').get('reason')
              == 'Backup')
        self.wait_condition(space, 'Recorded', 'False', 'LedgerUnavailable')
        self.bring_back()
        self.node.behave(space, hold=set())
        self.wait_ready(space, seconds=90)
        self.assert_one_of_each(space)

    def test_away_at_the_end(self):
        """The outcome waits in a ConfigMap, so that a deletion does not wait for the ledger; then it is written."""
        controller = self.environment.controller().wait_leading()
        space = self.namespace('ledger-end')
        self.node.behave(space, hold={'compare'})
        self.make_clone(space)
        until(lambda: self.describe(space), 60, lambda: condition(self.the_run(space), 'Reconciling').get('reason')
              == 'CompareSource')
        self.take_away()
        self.node.behave(space, hold=set())
        run = self.wait_condition(space, 'Recorded', 'False', 'Spooled')
        self.assertEqual(state(run), 'Completed')
        uid = run['metadata']['uid']
        spool = f'reprise-spool-{uid}'
        self.assertIsNotNone(self.api.get('ConfigMap', SYSTEM, spool))
        until('the finalizer is off', 10, lambda: not self.the_run(space)['metadata'].get('finalizers'))
        self.wait_ready(space)
        controller.restart_after_kill()  # what was spooled survives its controller
        self.environment.kubectl('-n', space, 'delete', 'sclone', 'orders', '--timeout=30s')
        until('the run is gone', 30, lambda: not self.api.items('RestoreRun', space))
        self.bring_back()
        until('the spool is drained', 60, lambda: self.api.get('ConfigMap', SYSTEM, spool) is None)
        rows = self.environment.rows(uid)
        self.assertEqual([row['status'] for row in rows], ['completed'])
        self.assertEqual(self.environment.audit(uid), ['accepted', 'started', 'finished'])
        self.assertEqual(len(self.api.items('StatefulSet', space)), 1, 'the data of a deleted clone stays')

    def test_away_when_the_controller_starts(self):
        """A controller that finds no ledger is no dead one."""
        self.take_away()
        controller = self.environment.controller().wait_leading()
        space = self.namespace('ledger-never')
        self.make_run(space)
        self.wait_condition(space, 'Recorded', 'False', 'LedgerUnavailable')
        self.assertGreater(len(controller.said('ledger unavailable')), 0)
        self.bring_back()
        self.wait_state(space, 'Completed', seconds=90)


if __name__ == '__main__':
    unittest.main()
