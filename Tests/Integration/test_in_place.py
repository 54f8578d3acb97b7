# SPDX-License-Identifier: Apache-2.0
"""Restores in place on the real API server: what a user's service and its run say, and what is left behind.

The service's pod and the pods of Jobs are played by a stand-in, with volumes that are dictionaries (stand_in_inplace.py).
"""
import calendar
import time
import unittest

from api_client import ApiError
from harness import condition, until
from in_place import FINISHED, OWN_ROWS, STEPS, WHY, InPlaceCase

UNDONE = ['accepted', 'approved', 'started', 'rolled_back', 'cancelled']


class StoryTests(InPlaceCase):
    def test_a_service_has_its_data_replaced_and_is_as_it_was_in_all_else(self):
        space, stopped = self.service('back'), self.service('stopped', replicas=0)
        for one in (space, stopped):
            self.ask(one, verification={'checks': ['holds']})
        waiting = self.wait_reason(space, 'Approved', 'ApprovalRequired')
        self.assertEqual(waiting['status']['state'], 'Pending')
        self.assertEqual(self.workload(space)['metadata']['annotations'], {'owner': 'team-a'}, 'nothing is held meanwhile')
        for one in (space, stopped):
            self.approve(one)
        run = self.ended(space, 'Completed', FINISHED)
        self.assert_served(space, self.restored(run))
        self.assertEqual(self.job_names(space, run['metadata']['uid']),
                         ['inspect-1', 'recheck-1', 'replace-1', 'scan-source-1'])
        status = run['status']
        self.assertEqual(status['restore']['completedSteps'], STEPS)
        self.assertEqual((status['approvedBy'], status['destructive']), ('bob', True))
        self.assertEqual([(one['name'], one['passed']) for one in status['verification']], [('holds', True)])
        for kind in ('Planned', 'Approved', 'Locked', 'PointOfNoReturn', 'DataRestored', 'Verified', 'Promoted', 'Succeeded'):
            self.assertEqual(condition(run, kind).get('status'), 'True', kind)
        row = self.environment.rows(run['metadata']['uid'])[0]
        self.assertEqual(
            (row['phase'], row['target_service_name'], row['source_backup'], row['bytes_restored'], row['target_uid']),
            ('completed', 'orders', status['plan']['baseBackup'], '31000000', self.workload(space)['metadata']['uid']))
        until('Events say it', 10, lambda: {'Planned', 'RestoreRunStarted', 'Completed'} <= {
            item['reason'] for item in self.events(space)})
        run = self.ended(stopped, 'Completed', FINISHED)
        self.assert_served(stopped, self.restored(run), replicas=0)

    def test_what_was_replaced_comes_back_by_a_run_of_its_own_and_goes_when_its_time_is_over(self):
        space = self.start('rollback')
        first = self.ended(space, 'Completed', FINISHED)
        self.ask(space, 'undo', rollbackOf={'name': 'back'}, preRestore={'keepFor': '1s'})
        self.approve(space, 'undo')
        self.ended(space, 'Completed', FINISHED, name='undo')
        self.assert_served(space, OWN_ROWS)
        self.wait_reason(space, 'CleanedUp', 'Removed', 'undo')
        self.assertNotIn(self.api.get('RestoreRun', space, 'undo')['metadata']['uid'], self.volume(space)['kept'])
        self.assert_served(space, OWN_ROWS)
        self.assertEqual(first['status']['state'], 'Completed')


class CancelTests(InPlaceCase):
    def test_before_anything_was_touched(self):
        """While it waits for somebody's yes, and while it has the lock and looks at the volume once more."""
        waiting, looking = self.service('cancel-first'), self.service('cancel-locked', hold={'recheck'})
        pods = {space: self.serves(space)['metadata']['uid'] for space in (waiting, looking)}
        self.ask(waiting)
        self.ask(looking)
        self.approve(looking)
        self.wait_reason(waiting, 'Approved', 'ApprovalRequired')
        self.reach(looking, 'LookingAgain')
        self.assertIn('reprise.dev/run', self.workload(looking)['metadata']['annotations'])
        for space in (waiting, looking):
            self.cancel(space)
        self.ended(waiting, 'Cancelled', ['accepted', 'cancelled'])
        self.ended(looking, 'Cancelled', ['accepted', 'approved', 'cancelled'])
        for space in (waiting, looking):
            self.assert_served(space)
            self.assertEqual(self.serves(space)['metadata']['uid'], pods[space], 'its pod was left alone')

    def test_after_it_was_stopped_the_old_data_is_served_again(self):
        """While the server stops, before the Job begins, and while that has the data: told to leave, or killed."""
        cases = {'stop': ('Stop', {'hold': {'stop'}}), 'begin': ('Replace', {'hold': {'replace'}}),
                 'swap': ('Replace', {'hold': {'swap'}}), 'killed': ('Replace', {'hold': {'swap'}, 'killed': {'replace'}})}
        spaces = {name: self.service('cancel-' + name) for name in cases}
        for name, space in spaces.items():
            self.node.behave(space, **cases[name][1])
            self.ask(space)
            self.approve(space)
        for name, space in spaces.items():
            self.reach(space, cases[name][0])
            if name in ('swap', 'killed'):
                self.wait_held(space)
            self.cancel(space)
            if name == 'stop':  # a server that takes its time is waited for
                self.node.behave(space, hold=set())
        for name, space in spaces.items():
            with self.subTest(name):
                run = self.ended(
                    space, 'Cancelled', ['accepted', 'approved', 'started', 'cancelled'] if name == 'stop' else UNDONE)
                self.assert_served(space)
                if name != 'stop':
                    self.assertEqual(condition(run, 'RolledBack')['reason'], 'PutBack')

    def test_after_the_swap_the_new_data_stays_and_says_how_to_go_back(self):
        space = self.service('cancel-late')
        self.node.behave(space, hold={'serve'})
        self.ask(space)
        self.approve(space)
        self.reach(space, 'Serve')
        self.cancel(space)
        self.node.behave(space, hold=set())
        run = self.ended(space, 'Cancelled', ['accepted', 'approved', 'started', 'cancelled'])
        self.assert_served(space, self.restored(run))
        self.assertIn('rollbackOf', run['status']['message'])


class ApprovalTests(InPlaceCase):
    def test_the_manifest_that_it_shows_is_all_that_somebody_needs(self):
        space = self.service('approval')
        self.ask(space)
        run = self.wait_reason(space, 'Approved', 'ApprovalRequired')
        self.assertIn('somebody who may create RestoreApprovals', condition(run, 'Approved')['message'])
        self.assertEqual(condition(run, 'Stalled')['status'], 'True')
        text = condition(run, 'Approved')['message'].split('for instance with\n')[1]
        text = text.replace('# your user name', 'bob').replace('# why, in 12 to 280 characters', 'the table was lost at noon')
        self.environment.kubectl('apply', '-f', '-', stdin=text)
        run = self.ended(space, 'Completed', FINISHED)
        self.assertEqual(run['status']['approvedBy'], 'bob')
        self.assertEqual(self.environment.sql(
            f"select approved_by from reprise.restore_runs where run_uid = '{run['metadata']['uid']}'"), [['bob']])

    def test_who_does_not_count_is_told_why_and_nothing_is_touched(self):
        space = self.service('not-approved')
        pod = self.serves(space)['metadata']['uid']
        self.ask(space, requested_by='bob')
        self.approve(space)  # by bob himself
        self.wait_reason(space, 'Approved', 'SelfApproval')
        self.api.delete('RestoreApproval', space, 'back-approve')
        self.approve(space, planHash='v1:' + '0' * 64, approver='eve')
        self.wait_reason(space, 'Approved', 'ApprovalOfAnotherPlan')
        for bad in ({'reason': 'too short'}, {'planHash': 'x'}, {'run': {'name': 'back', 'uid': 'x'}}):
            with self.subTest(bad), self.assertRaises(ApiError) as refused:
                self.approve_again(space, **bad)
            self.assertEqual(refused.exception.status, 422)
        self.approve_again(space, decision='Reject', approver='carol')
        run = self.ended(space, 'Failed', ['accepted', 'refused'], 'Rejected')
        self.assertIn('carol', run['status']['message'])
        self.assert_served(space)
        self.assertEqual(self.serves(space)['metadata']['uid'], pod)

    def test_one_that_runs_out_while_the_run_waits_is_asked_for_again(self):
        """The run says so while the other one is still at work; it starts on a new approval only."""
        space = self.service('expired', hold={'swap'})
        self.ask(space)
        self.ask(space, 'waits', requestID='again')
        self.wait_reason(space, 'Approved', 'ApprovalRequired', 'waits')
        self.approve(space)
        self.wait_held(space)
        self.approve(space, 'waits')
        self.wait_reason(space, 'Locked', 'TargetBusy', 'waits')
        self.make_old(space, 'waits-approve')
        run = self.wait_reason(space, 'Approved', 'ApprovalExpired', 'waits')
        self.assertIn('waits-approve is older than 7h', run['status']['message'])
        self.assertIn('kind: RestoreApproval', condition(run, 'Approved')['message'])
        self.cancel(space)  # it comes to nothing, so what was planned for the other one still holds
        self.ended(space, 'Cancelled', UNDONE)
        self.assert_served(space)
        pod = self.serves(space)['metadata']['uid']
        time.sleep(2)
        run = self.wait_reason(space, 'Approved', 'ApprovalExpired', 'waits')
        self.assertEqual(run['status']['state'], 'Pending')
        self.assert_served(space)
        self.assertEqual(self.serves(space)['metadata']['uid'], pod)
        self.node.behave(space, hold=set())
        self.approve_again(space, 'waits')
        run = self.ended(space, 'Completed', FINISHED, name='waits')
        self.assert_served(space, self.restored(run))
        self.assertEqual(self.environment.sql(
            f"select approved_by from reprise.restore_runs where run_uid = '{run['metadata']['uid']}'"), [['carol']])

    def test_one_that_runs_out_under_the_lock_ends_the_run_and_nothing_is_held(self):
        space = self.service('expired-late', hold={'recheck'})
        pod = self.serves(space)['metadata']['uid']
        self.ask(space)
        self.approve(space)
        self.reach(space, 'LookingAgain')
        self.assertIn('reprise.dev/run', self.workload(space)['metadata']['annotations'])
        self.make_old(space, 'back-approve')
        run = self.ended(space, 'Failed', ['accepted', 'approved', 'refused'], 'ApprovalExpired')
        self.assertIn('make a new RestoreRun', run['status']['message'])
        self.assert_served(space)
        self.assertEqual(self.serves(space)['metadata']['uid'], pod)

    def make_old(self, space, name):
        """An API server says itself when something was made, so this is done behind its back."""
        self.environment.hack('etcd-edit.sh', f'restoreapprovals/{space}/{name}',
                              '.metadata.creationTimestamp = (now - 7 * 3600 - 1 | floor | todate)')
        made = self.api.get('RestoreApproval', space, name)['metadata']['creationTimestamp']
        self.assertLess(calendar.timegm(time.strptime(made, '%Y-%m-%dT%H:%M:%SZ')), time.time() - 7 * 3600)

    def approve_again(self, space, name='back', **changes):
        found = self.api.get('RestoreRun', space, name)
        spec = {'run': {'name': name, 'uid': found['metadata']['uid']}, 'planHash': found['status']['plan']['hash'],
                'decision': 'Approve', 'approver': 'carol', 'reason': WHY, **changes}
        self.api.create('RestoreApproval', space, {'metadata': {'name': 'another'}, 'spec': spec})


class BusyTests(InPlaceCase):
    def test_another_run_waits_for_the_first_or_ends_and_names_it(self):
        """Also one that names the same StatefulSet by another ManagedService."""
        space = self.service('busy')
        self.declare(space, 'twin')
        self.node.behave(space, hold={'swap'})
        self.ask(space)
        self.approve(space)
        self.wait_held(space)
        # When its turn comes the service is on a timeline that this archive never has: here nobody archives.
        self.ask(space, 'waits', requestID='again', recoveryTarget={'kind': 'Latest', 'timeline': '1'})
        self.ask(space, 'hurries', onBusy='Fail')
        self.ask(space, 'by-twin', 'twin', onBusy='Fail')
        for name in ('hurries', 'by-twin'):
            run = self.ended(space, 'Failed', ['accepted', 'refused'], 'TargetBusy', name)
            self.assertIn('RestoreRun back works on StatefulSet orders', run['status']['message'])
        run = self.wait_reason(space, 'Stalled', 'TargetBusy', 'waits')
        self.assertIn('RestoreRun back works on StatefulSet orders', condition(run, 'Stalled')['message'])
        self.assertEqual(run['status']['state'], 'Pending')
        self.node.behave(space, hold=set())
        self.ended(space, 'Completed', FINISHED)
        self.approve(space, 'waits')
        run = self.ended(space, 'Completed', FINISHED, name='waits')
        self.assert_served(space, self.restored(run))

    def test_of_two_that_were_planned_at_once_the_second_finds_its_plan_outdated(self):
        """What somebody has approved would replace data that he had not in mind."""
        space = self.service('both')
        self.ask(space)
        self.ask(space, 'other', requestID='again')
        self.wait_reason(space, 'Approved', 'ApprovalRequired', 'other')
        self.node.behave(space, hold={'swap'})
        self.approve(space)
        self.wait_held(space)
        self.approve(space, 'other')
        run = self.wait_reason(space, 'Locked', 'TargetBusy', 'other')
        self.assertIn('RestoreRun back', condition(run, 'Locked')['message'])
        self.node.behave(space, hold=set())
        first = self.ended(space, 'Completed', FINISHED)
        self.ended(space, 'Failed', ['accepted', 'approved', 'refused'], 'PlanOutdated', 'other')
        self.assert_served(space, self.restored(first))


class RetryTests(InPlaceCase):
    def test_a_failed_run_leaves_the_service_as_it_was_and_another_one_may_try_again(self):
        space = self.service('retry')
        self.ask(space, verification={'checks': ['does-not']})
        self.approve(space)
        failed = self.ended(
            space, 'Failed', ['accepted', 'approved', 'started', 'rolled_back', 'finished'], 'VerificationFailed')
        self.assertIn('does-not', failed['status']['message'])
        self.assertEqual([(one['name'], one['passed']) for one in failed['status']['verification']], [('does-not', False)])
        self.assert_served(space)
        self.ask(space, 'again', retryOf={'name': 'back'}, verification={'checks': ['holds']})
        self.approve(space, 'again')
        run = self.ended(space, 'Completed', FINISHED, name='again')
        self.assert_served(space, self.restored(run))
        self.assertEqual(self.environment.sql(
            f"select retry_of from reprise.restore_runs where run_uid = '{run['metadata']['uid']}'"), [['back']])


if __name__ == '__main__':
    unittest.main()
