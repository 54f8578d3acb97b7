# SPDX-License-Identifier: Apache-2.0
"""Runs that end otherwise than completed: cancelled, deleted, failed. What they made is gone, the row says how."""
import json
import unittest

from harness import STEPS, SYSTEM, Case, condition, new_service, state, until

HOLDS = {'Restore': 'fetch', 'Quiesce': 'stop', 'Seal': 'seal', 'Serve': 'serve', 'Backup': 'backup',
         'CompareSource': 'compare'}


class EndingTests(Case):
    def setUp(self):
        super().setUp()
        self.environment.controller().wait_leading()

    def reach(self, space, step):
        until(lambda: f'{step}: {self.describe(space)}', 40, lambda: condition(
            self.api.get('RestoreRun', space, 'orders'), 'Reconciling').get('reason') == step)

    def ended(self, space, wanted, status, operations):
        run = self.wait_state(space, wanted)
        until('the row is terminal', 20, lambda: [row['status'] for row in self.environment.rows(run['metadata']['uid'])] == [status])
        self.assertEqual(self.environment.audit(run['metadata']['uid']), operations)
        self.assert_volumes()
        return run

    def assert_cleaned(self, space):
        for kind in ('StatefulSet', 'PersistentVolumeClaim', 'Service'):
            until(f'no {kind} in {space}', 30, lambda: not self.api.items(kind, space))
        servers = [pod for pod in self.api.items('Pod', space) if pod['metadata']['name'] == 'orders-0']
        self.assertEqual(servers, [])

    def test_cancelled_in_each_step(self):
        """Before the service is open everything is taken away; afterwards it is kept."""
        spaces = {}
        for step, hold in HOLDS.items():
            spaces[step] = self.namespace('cancel-' + step.lower())
            self.node.behave(spaces[step], hold={hold})
            self.make_run(spaces[step])
        for step, space in spaces.items():
            self.reach(space, step)
            self.api.patch('RestoreRun', space, 'orders', {'spec': {'cancel': True}})
            if step == 'Quiesce':  # a server that takes its time to stop is waited for
                self.node.behave(space, hold=set())
        for step, space in spaces.items():
            with self.subTest(step):
                run = self.ended(space, 'Cancelled', 'cancelled', ['accepted', 'started', 'cancelled'])
                self.assertEqual(condition(run, 'Finished')['reason'], 'Cancelled')
                if STEPS.index(step) > STEPS.index('Open'):
                    self.assertEqual(len(self.api.items('PersistentVolumeClaim', space)), 1)
                    self.assertIn('is kept', run['status']['message'])
                else:
                    self.assert_cleaned(space)

    def test_cancelled_before_it_began(self):
        space = self.namespace('cancel-first')
        self.make_run(space, cancel=True)
        self.ended(space, 'Cancelled', 'cancelled', ['accepted', 'cancelled'])
        self.assert_nothing_made(space)

    def test_deleted_while_it_runs(self):
        """The object stays until what the run made is gone and its end is recorded."""
        space = self.namespace('delete')
        self.node.behave(space, hold={'seal'})
        uid = self.make_run(space)['metadata']['uid']
        self.reach(space, 'Seal')
        self.api.delete('RestoreRun', space, 'orders')
        until(lambda: self.describe(space), 40, lambda: self.api.get('RestoreRun', space, 'orders') is None)
        self.assert_cleaned(space)
        self.assertEqual(self.environment.rows(uid)[0]['status'], 'cancelled')
        self.assertEqual(self.environment.audit(uid), ['accepted', 'started', 'cancelled'])

    def test_its_namespace_is_deleted_while_it_runs(self):
        """Nobody has cancelled it, whether the run or what it made is seen to go first: the ledger says that it was
        interrupted."""
        space = self.namespace('namespace-deleted')
        self.node.behave(space, hold={'seal'})
        uid = self.make_run(space)['metadata']['uid']
        self.reach(space, 'Seal')
        self.api.delete('Namespace', None, space)
        until(lambda: f'{space} is gone: {self.describe(space)}', 90, lambda: self.api.get('Namespace', None, space) is None)
        self.assertEqual(self.environment.rows(uid)[0]['status'], 'interrupted')
        self.assertEqual(self.environment.audit(uid), ['accepted', 'started', 'finished'])

    def test_what_may_not_be_read_is_said(self):
        """The rights of an earlier version, say: the run waits, its status has the API server's words, and then it goes on."""
        space = self.namespace('no-right')
        self.node.behave(space, hold={'seal'})
        uid = self.make_run(space)['metadata']['uid']
        self.reach(space, 'Seal')
        kubectl = self.environment.kubectl
        role = json.loads(kubectl('get', 'clusterrole', 'reprise-controller', '-o', 'json').stdout)
        fewer = [rule for rule in role['rules'] if rule.get('resources') != ['namespaces']]
        self.assertEqual(len(fewer), len(role['rules']) - 1)
        try:
            kubectl('patch', 'clusterrole', 'reprise-controller', '--type=merge', '-p', json.dumps({'rules': fewer}))
            until('the right is gone', 20, lambda: kubectl(
                'auth', 'can-i', 'get', 'namespaces', '--as', f'system:serviceaccount:{SYSTEM}:reprise-controller',
                check=False).stdout.strip() == 'no')
            self.api.delete('RestoreRun', space, 'orders')
            run = until(lambda: self.describe(space), 40, lambda: next(
                (run for run in self.api.items('RestoreRun', space) if condition(run, 'Stalled').get('reason') == 'ReadRefused'), None))
            self.assertIn(f'Namespace {space} can\'t be read: namespaces "{space}" is forbidden', run['status']['message'])
            self.assertEqual(state(run), 'Running')
        finally:
            kubectl('patch', 'clusterrole', 'reprise-controller', '--type=merge', '-p', json.dumps({'rules': role['rules']}))
        until(lambda: self.describe(space), 90, lambda: self.api.get('RestoreRun', space, 'orders') is None)
        self.assert_cleaned(space)
        self.assertEqual(self.environment.rows(uid)[0]['status'], 'cancelled')

    def test_an_image_that_runs_initdb(self):
        """Never a green empty database: the clone fails, says why, and does not try again."""
        space = self.namespace('initdb')
        self.make_clone(space, service=new_service('orders', image='docker.io/reprise/postgres-walg:15-initdb'))

        def look():
            clone = self.api.get('ServiceClone', space, 'orders')
            return clone if condition(clone, 'Stalled').get('status') == 'True' else None
        clone = until(lambda: self.describe(space), 60, look)
        self.assertEqual(condition(clone, 'Ready')['reason'], 'RestoreNotPerformed')
        self.assertIn('WALG_CLONE_FROM', condition(clone, 'Ready')['message'])
        run = self.the_run(space)
        self.assertEqual(self.environment.rows(run['metadata']['uid'])[0]['status'], 'failed')
        self.assertEqual(len(self.api.items('RestoreRun', space)), 1)
        self.assert_cleaned(space)

    def test_another_base_backup_is_told_from_the_data(self):
        space = self.namespace('other-backup')
        self.node.behave(space, results={'seal': {'backupLabel': {'startWalLocation': '0/6000028'}}})
        self.make_run(space)
        run = self.wait_state(space, 'Completed')
        self.assertEqual(condition(run, 'Verified')['reason'], 'OtherBaseBackup')
        until('an Event says so', 10, lambda: self.events(space, reason='OtherBaseBackup', type='Warning'))

    def test_results_that_cannot_be_believed(self):
        """Each Job is repeated under the next number, and only as often as it may be."""
        space = self.namespace('spoiled')
        self.node.behave(space, spoil={'scan-source': ['truncated', 'duplicated'], 'scan-archive': ['other-attempt'],
                                       'seal': ['digest', 'no-message'], 'backup': ['truncated']})
        self.make_run(space)
        self.wait_state(space, 'Completed')
        names = sorted(name for job in self.api.items('Job', space)
                       if not (name := job['metadata']['name'].split('-', 3)[3]).startswith('catalog-'))
        self.assertEqual(names, ['backup-1', 'backup-2', 'compare-1', 'scan-archive-1', 'scan-archive-2',
                                 'scan-source-1', 'scan-source-2', 'scan-source-3', 'seal-1', 'seal-2', 'seal-3'])
        never = self.namespace('never-believed')
        self.node.behave(never, spoil={'seal': ['truncated'] * 9})
        self.make_run(never)
        run = self.ended(never, 'Failed', 'failed', ['accepted', 'started', 'finished'])
        self.assertEqual(condition(run, 'Finished')['reason'], 'SealFailed')
        self.assert_cleaned(never)

    def test_a_restore_that_crashes_fails_with_its_reason(self):
        space = self.namespace('crash')
        self.node.behave(space, waiting={'server': ('CrashLoopBackOff', 'back-off')})
        self.make_run(space)
        run = self.ended(space, 'Failed', 'failed', ['accepted', 'started', 'finished'])
        self.assertEqual(condition(run, 'Finished')['reason'], 'RestoreCrashed')
        self.assert_cleaned(space)

    def test_a_deleted_statefulset_is_made_again_around_its_data(self):
        space = self.namespace('again')
        self.make_clone(space)
        self.wait_ready(space)
        before = self.api.get('StatefulSet', space, 'orders')['metadata']['uid']
        self.api.delete('StatefulSet', space, 'orders')

        def look():
            made = self.api.get('StatefulSet', space, 'orders')
            return made if made and made['metadata']['uid'] != before else None
        made = until(lambda: self.describe(space), 30, look)
        names = {item['name'] for item in made['spec']['template']['spec']['containers'][0]['env']}
        self.assertNotIn('WALG_CLONE_FROM', names)
        self.wait_ready(space)
        self.assertEqual(len(self.api.items('RestoreRun', space)), 1)
        self.assert_volumes()

    def test_a_volume_that_is_gone_is_not_restored_again(self):
        space = self.namespace('data-missing')
        self.make_clone(space)
        self.wait_ready(space)
        self.api.patch('StatefulSet', space, 'orders', {'spec': {'replicas': 0}})
        until('the pod is gone', 20, lambda: self.api.get('Pod', space, 'orders-0') is None)
        for job in self.api.items('Job', space):  # a pod that has ended holds its claim
            self.api.delete('Job', space, job['metadata']['name'], {'propagationPolicy': 'Background'})
        self.api.delete('PersistentVolumeClaim', space, 'data-orders-0')

        def look():
            clone = self.api.get('ServiceClone', space, 'orders')
            return condition(clone, 'Ready').get('reason') == 'DataMissing'
        until(lambda: self.describe(space), 60, look)
        self.assertEqual((len(self.api.items('RestoreRun', space)), state(self.the_run(space))), (1, 'Completed'))


if __name__ == '__main__':
    unittest.main()
