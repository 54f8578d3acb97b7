# SPDX-License-Identifier: Apache-2.0
"""What the ledger says when objects or the ledger itself are lost."""
import os
import signal
import subprocess
import unittest

from harness import Case, condition, new_service, state, until

ROW = '''select to_jsonb(r) - 'id' - 'epoch' - 'updated_at' from reprise.restore_runs r where namespace = '{}'
         order by created_at, run_uid'''
AUDIT = '''select run_uid, sequence, operation, attempt, actor, detail, at from reprise.restore_audit
           where namespace = '{}' order by run_uid, sequence'''


class RecordTests(Case):
    def rebuild(self, *options, kubeconfig=None):
        command = [self.environment.binary, 'ledger', 'rebuild', *options, '--kubeconfig',
                   str(kubeconfig or self.environment.rights)]
        return subprocess.run(command, env={**os.environ, 'REPRISE_LEDGER': self.environment.conninfo}, text=True,
                              capture_output=True, timeout=60)

    def test_a_lost_ledger_is_filled_again(self):
        """From the objects that are there: the same rows with the same audit, and never over a row that is there."""
        self.environment.controller().wait_leading()
        space = self.namespace('rebuild')
        row, audited = ROW.format(space), AUDIT.format(space)
        self.make_run(space)
        self.wait_state(space, 'Completed')
        self.make_run(space, 'second', service=new_service('orders'))  # the name is taken: refused
        until('the second is refused', 60, lambda: state(self.api.get('RestoreRun', space, 'second')) == 'Failed')
        until('both are recorded', 20, lambda: all(
            condition(run, 'Recorded').get('status') == 'True' and not run['metadata'].get('finalizers')
            for run in self.api.items('RestoreRun', space)))
        rows, audit = self.environment.sql(row), self.environment.sql(audited)
        self.assertEqual(len(rows), 2)
        self.environment.sql('drop schema reprise cascade')

        said = self.rebuild('--dry-run')
        self.assertEqual(said.returncode, 0, said.stderr)
        self.assertIn(f'RestoreRun {space}/orders: completed, would be written', said.stdout)
        self.assertEqual(self.environment.sql(row), [])

        said = self.rebuild()
        self.assertEqual(said.returncode, 0, said.stderr)
        self.assertIn(f'RestoreRun {space}/second: failed', said.stdout)
        self.assertEqual(self.environment.sql(row), rows)
        self.assertEqual(self.environment.sql(audited), audit)
        self.assertEqual(self.environment.sql('select count(*) from reprise.audit_breaks')[0][0], '0')

        said = self.rebuild()
        self.assertIn('written: 0, there already:', said.stdout)

    def test_what_is_wrong_with_the_command_is_said(self):
        said = self.rebuild('--force')
        self.assertEqual(said.returncode, 2)
        self.assertIn('unknown option --force', said.stderr)
        self.assertIn('usage: controller ledger rebuild', said.stderr)
        said = self.rebuild(kubeconfig='/nowhere')
        self.assertEqual(said.returncode, 2)
        self.assertIn('/nowhere', said.stderr)

    def remove_by_force(self, space, name='orders'):
        """The object goes without its finalizer having done its work."""
        self.environment.kubectl('-n', space, 'delete', 'restorerun', name, '--wait=false')
        self.api.patch('RestoreRun', space, name, {'metadata': {'finalizers': []}})
        self.assertIsNone(self.api.get('RestoreRun', space, name))

    def begun(self, hint):
        space = self.namespace(hint)
        self.node.behave(space, hold={'fetch'})
        self.make_run(space)
        until(lambda: self.describe(space), 40, lambda: condition(self.the_run(space), 'Reconciling').get('reason')
              == 'Restore')
        uid = self.the_run(space)['metadata']['uid']
        # The status is written first, and whoever dies in between leaves the ledger one phase behind.
        ask = f"select status, phase from reprise.restore_runs where run_uid = '{uid}'"
        until(lambda: f'{uid}: {self.environment.sql(ask)}', 20,
              lambda: [tuple(row) for row in self.environment.sql(ask)] == [('running', 'restore')])
        return space, uid

    def wait_inferred(self, uid, seconds=30):
        ask = f"select status, inferred, failed_phase from reprise.restore_runs where run_uid = '{uid}'"
        until(lambda: f'{uid}: {self.environment.sql(ask)}', seconds,
              lambda: self.environment.sql(ask) in ([['interrupted', 't', 'restore']], [('interrupted', 't', 'restore')]))
        self.assertEqual(self.environment.audit(uid), ['accepted', 'started', 'finished'])

    def test_a_run_that_was_removed_by_force_does_not_run_for_ever(self):
        controller = self.environment.controller().wait_leading()
        space, uid = self.begun('lost')
        controller.send(signal.SIGSTOP)  # so that it hears of the end, and not of the deletion
        try:
            self.remove_by_force(space)
        finally:
            controller.send(signal.SIGCONT)
        self.wait_inferred(uid)
        until('it is in the log', 5, lambda: controller.said('run lost', uid=uid))

    def test_one_that_goes_while_no_controller_runs_is_found_by_the_next(self):
        controller = self.environment.controller().wait_leading()
        space, uid = self.begun('lost-unseen')
        controller.kill()
        self.remove_by_force(space)
        self.environment.free_lease()
        self.environment.controller('next').wait_leading()
        self.wait_inferred(uid)


if __name__ == '__main__':
    unittest.main()
