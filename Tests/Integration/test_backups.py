# SPDX-License-Identifier: Apache-2.0
"""ServiceBackups on the real API server, made, judged and taken away with the rights of deploy/rbac.yaml."""
import unittest

import stand_in_programs as programs
from harness import Case, condition, run_spec, until


class BackupTests(Case):
    def test_a_backup_is_found_and_restored_by_its_name_and_goes_with_the_policy(self):
        self.environment.controller().wait_leading()
        space = self.namespace('backups')
        self.api.patch('BackupRepository', space, 'source', {'spec': {'discovery': {'createBackups': 'Newest'}}})

        def ready():
            found = self.api.items('ServiceBackup', space)
            return found if found and condition(found[0], 'Ready').get('status') == 'True' else None
        found, = until('the ServiceBackup', 60, ready)
        self.assertEqual(found['spec']['discovered'], {
            'repository': {'name': 'source'}, 'path': 'prod/orders-db', 'major': 15, 'name': programs.BACKUP})
        self.assertEqual((found['status']['state'], found['status']['format']), ('Ready', 'walg'))
        self.assertEqual(found['status']['location'], f's3://backups/prod/orders-db/15/basebackups_005/{programs.BACKUP}')
        printed = self.environment.kubectl('-n', space, 'get', 'sbk').stdout
        self.assertIn('Ready', printed)

        spec = run_spec('orders', source={'backup': {'name': found['metadata']['name']}})
        self.api.create('RestorePlan', space, {'metadata': {'name': 'orders'}, 'spec': spec})
        plan = until('the plan', 30, lambda: (lambda o: o if condition(o, 'Ready').get('status') == 'True' else None)(
            self.api.get('RestorePlan', space, 'orders')))
        self.api.create('RestoreRun', space, {'metadata': {'name': 'orders'}, 'spec': spec})
        planned = until('the run to be planned', 60, lambda: (lambda s: s if s.get('plan', {}).get('hash') else None)(
            self.api.get('RestoreRun', space, 'orders').get('status', {})))
        self.assertEqual((planned['plan']['baseBackup'], planned['plan']['recoveryTarget']), (programs.BACKUP, 'Latest'))
        self.assertEqual(planned['plan']['hash'], plan['status']['hash'])
        self.assertEqual(planned['restore']['discovered'], found['spec']['discovered'])

        self.wait_state(space, 'Completed')
        self.api.patch('BackupRepository', space, 'source', {'spec': {'discovery': {'createBackups': 'None'}}})
        until('the ServiceBackup to go', 60, lambda: not self.api.items('ServiceBackup', space))


if __name__ == '__main__':
    unittest.main()
