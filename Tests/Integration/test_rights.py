# SPDX-License-Identifier: Apache-2.0
"""Who may preview, start and approve a restore: the roles of deploy/rbac.yaml, as the real API server takes them."""
import json
import unittest

from harness import SOURCE, Case, condition, new_service, run_spec, until

SEE = {'get', 'list', 'watch'}
MAKE = SEE | {'create', 'delete'}
CHANGE = MAKE | {'update', 'patch'}
VERBS = sorted(CHANGE)
KINDS = ['backuprepositories', 'managedservices', 'restoreapprovals', 'restoreplans', 'restoreruns', 'servicebackups',
         'serviceclones']
# What each role may do with each kind; SEE where nothing is said.
ROLES = {
    'view': {},
    'reprise-viewer': {'restoreplans': MAKE},
    'reprise-operator': {'restoreplans': CHANGE, 'restoreruns': CHANGE, 'serviceclones': CHANGE,
                         'restoreapprovals': set()},
    'reprise-approver': {'restoreapprovals': MAKE, 'backuprepositories': set(), 'restoreplans': set(),
                         'servicebackups': set(), 'serviceclones': set()},
    'reprise-admin': dict.fromkeys(KINDS, CHANGE),
}


class RightsTests(Case):
    def grant(self, space):
        """A person for each role, with the role's name."""
        for role in ROLES:
            self.environment.kubectl('-n', space, 'create', 'rolebinding', role, f'--clusterrole={role}',
                                     f'--user=somebody-{role}')

    def allows(self, role, verb, kind, space):
        answer = self.api.call('POST', '/apis/authorization.k8s.io/v1/subjectaccessreviews', {
            'apiVersion': 'authorization.k8s.io/v1', 'kind': 'SubjectAccessReview',
            'spec': {'user': f'somebody-{role}', 'resourceAttributes': {
                'namespace': space, 'group': 'reprise.dev', 'resource': kind, 'verb': verb}}})
        return answer['status']['allowed']

    def test_each_role_may_what_it_says_and_no_more(self):
        space = self.namespace('rights')
        self.grant(space)
        until('the roles are aggregated', 20, lambda: self.allows('view', 'get', 'restoreruns', space))
        for role, rights in ROLES.items():
            for kind in KINDS:
                found = {verb for verb in VERBS if self.allows(role, verb, kind, space)}
                self.assertEqual(found, rights.get(kind, SEE), f'{role} with {kind}')
            for kind in KINDS if role != 'reprise-admin' else []:
                self.assertFalse(self.allows(role, 'update', f'{kind}/status', space), f'{role} with {kind}/status')

    def create(self, role, space, kind, name, spec, *options):
        document = {'apiVersion': 'reprise.dev/v1alpha1', 'kind': kind, 'metadata': {'name': name}, 'spec': spec}
        return self.environment.kubectl('-n', space, '--as', f'somebody-{role}', 'create', '--validate=false', '-f', '-',
                                        *options, stdin=json.dumps(document), check=False)

    def test_who_may_only_see_can_preview_and_not_start(self):
        self.environment.controller().wait_leading()
        space = self.namespace('preview')
        self.grant(space)
        spec = run_spec('orders', service=new_service('orders'))
        before = self.environment.sql('select count(*) from reprise.restore_runs') if self.has_ledger() else [['0']]
        made = self.create('reprise-viewer', space, 'RestorePlan', 'what-if', spec)
        self.assertEqual(made.returncode, 0, made.stderr)
        until('the plan is told', 40, lambda: condition(self.api.get('RestorePlan', space, 'what-if'), 'Ready').get('status'))
        refused = self.create('reprise-viewer', space, 'RestoreRun', 'orders', spec)
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn('cannot create resource "restoreruns"', refused.stderr)
        dry = self.create('reprise-operator', space, 'RestoreRun', 'orders', spec, '--dry-run=server')
        self.assertEqual(dry.returncode, 0, dry.stderr)
        self.assert_nothing_made(space)
        self.assertEqual(self.api.items('RestoreRun', space), [], 'a preview leaves no record')
        if self.has_ledger():
            self.assertEqual(self.environment.sql('select count(*) from reprise.restore_runs'), before)

    def has_ledger(self):
        return self.environment.sql("select to_regclass('reprise.restore_runs') is not null")[0][0] == 't'

    def test_who_starts_does_not_approve_and_who_approves_does_not_start(self):
        space = self.namespace('two-people')
        self.grant(space)
        spec = {'run': {'name': 'orders', 'uid': '11111111-1111-4111-8111-111111111111'}, 'planHash': 'v1:' + 'a' * 64,
                'decision': 'Approve', 'approver': 'bob', 'reason': 'orders were lost at noon'}
        refused = self.create('reprise-operator', space, 'RestoreApproval', 'yes', spec)
        self.assertIn('cannot create resource "restoreapprovals"', refused.stderr)
        made = self.create('reprise-approver', space, 'RestoreApproval', 'yes', spec)
        self.assertEqual(made.returncode, 0, made.stderr)
        refused = self.create('reprise-approver', space, 'RestoreRun', 'orders', run_spec('orders'))
        self.assertIn('cannot create resource "restoreruns"', refused.stderr)
        made = self.create('reprise-operator', space, 'RestoreRun', 'orders', run_spec('orders'))
        self.assertEqual(made.returncode, 0, made.stderr)

    def test_a_copy_waits_for_a_yes_where_the_owner_of_the_data_asks_for_it(self):
        self.environment.controller().wait_leading()
        space = self.namespace('asked')
        self.grant(space)
        archive = SOURCE['archive']
        self.api.create('ManagedService', space, {'metadata': {'name': 'shop'}, 'spec': {
            'engine': 'Postgres', 'workload': {'name': 'shop'}, 'major': 15, 'archive': archive,
            'protection': {'approval': ['NewService']}}})
        made = self.create('reprise-operator', space, 'RestoreRun', 'orders', run_spec('orders'))
        self.assertEqual(made.returncode, 0, made.stderr)
        until(lambda: self.describe(space), 40,
              lambda: condition(self.the_run(space), 'Approved').get('reason') == 'ApprovalRequired')
        self.assert_nothing_made(space)
        text = condition(self.the_run(space), 'Approved')['message']
        self.assertIn('ManagedService shop asks for a RestoreApproval', text)
        manifest = text.split('for instance with\n')[1].replace('# your user name', 'bob').replace(
            '# why, in 12 to 280 characters', 'for the audit of May')
        refused = self.environment.kubectl('--as', 'somebody-reprise-operator', 'create', '--validate=false', '-f', '-',
                                           stdin=manifest, check=False)
        self.assertIn('cannot create resource "restoreapprovals"', refused.stderr)
        self.environment.kubectl('--as', 'somebody-reprise-approver', 'create', '--validate=false', '-f', '-', stdin=manifest)
        self.wait_state(space, 'Completed')
        self.assertEqual(self.the_run(space)['status']['approvedBy'], 'bob')
        uid = self.the_run(space)['metadata']['uid']
        until('the audit is whole', 20, lambda: self.environment.audit(uid) == [
            'accepted', 'approved', 'started', 'finished'])


if __name__ == '__main__':
    unittest.main()
