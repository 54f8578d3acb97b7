# SPDX-License-Identifier: Apache-2.0
"""Restores in place while somebody takes away what they work on, scales it, or kills the controller."""
import queue
import signal
import time
import unittest

import test_kills as kills
from harness import condition, state, until
from in_place import FINISHED, LOCK, STEPS, InPlaceCase, Scaler, stateful_set

KINDS = ('RestoreRun', 'StatefulSet', 'Job', 'ConfigMap', 'RestoreApproval')
INTERRUPTED = ['accepted', 'approved', 'started', 'rolled_back', 'finished']
NOT_UNDONE = ['accepted', 'approved', 'started', 'finished']


class TakenAwayTests(InPlaceCase):
    """Each begins when the run has set the data aside."""

    def begin(self, hint, **behavior):
        space = self.service(hint)
        self.node.behave(space, hold={'swap'}, **behavior)
        self.ask(space)
        self.approve(space)
        self.wait_held(space)
        return space

    def test_the_statefulset_is_made_again_meanwhile(self):
        """While no controller looks. Its volume gets its data back, and the new StatefulSet is left alone."""
        space = self.begin('made-again')
        self.controller.kill()
        self.api.delete('StatefulSet', space, 'orders', {'propagationPolicy': 'Background'})
        until('it is gone', 20, lambda: self.workload(space) is None)
        made = self.api.create('StatefulSet', space, stateful_set('orders', 1))
        self.environment.free_lease()
        self.controller.start()
        run = self.ended(space, 'Interrupted', INTERRUPTED, 'TargetReplaced')
        self.assert_served(space)
        self.assertEqual(self.workload(space)['metadata']['uid'], made['metadata']['uid'])
        self.assertIn('the old data is in its place', run['status']['message'])

    def test_the_statefulset_is_deleted_and_comes_back_later(self):
        """Without it nothing can be put back by a Job: the run says what it waits for, and ends when it is there. Another one
        names it, and the StatefulSet that is there now, and does what it was to do."""
        space = self.begin('deleted', killed={'replace'})
        self.api.delete('StatefulSet', space, 'orders', {'propagationPolicy': 'Background'})

        def waits():
            run = self.api.get('RestoreRun', space, 'back')
            return 'put it back as it was' in run['status'].get('message', '') + condition(run, 'Reconciling')['message']
        until(lambda: self.describe(space), 30, waits)
        self.api.create('StatefulSet', space, stateful_set('orders', 1))
        self.ended(space, 'Interrupted', INTERRUPTED, 'TargetDeleted')
        self.assert_served(space)
        self.node.behave(space, hold=set(), killed=set())
        self.ask(space, 'again', retryOf={'name': 'back'})
        self.approve(space, 'again')
        run = self.ended(space, 'Completed', FINISHED, name='again')
        self.assert_served(space, self.restored(run))
        self.assertEqual(self.environment.sql(
            f"select retry_of from reprise.restore_runs where run_uid = '{run['metadata']['uid']}'"), [['back']])
        self.assertEqual(state(self.api.get('RestoreRun', space, 'back')), 'Interrupted')

    def test_the_claim_is_deleted(self):
        """Its service stays stopped: on a new volume its image would make an empty database."""
        space = self.begin('claim')
        self.api.delete('PersistentVolumeClaim', space, 'data-orders-0')
        run = self.ended(space, 'Interrupted', NOT_UNDONE, 'TargetDeleted')
        self.assertEqual(condition(run, 'CleanedUp')['reason'], 'NotPossible')
        self.assertIn('claim data-orders-0', run['status']['message'])
        found = self.workload(space)
        self.assertEqual((found['spec']['replicas'], found['metadata']['annotations']), (0, {'owner': 'team-a'}))

    def test_the_run_is_deleted(self):
        """It stays, with the reason, until the old data is served again."""
        space = self.begin('run-deleted')
        uid = self.api.get('RestoreRun', space, 'back')['metadata']['uid']
        self.node.behave(space, hold={'swap', 'undo'})
        self.api.delete('RestoreRun', space, 'back')
        run = self.wait_reason(space, 'Reconciling', 'CleaningUp')
        self.assertIn('deleted', condition(run, 'Reconciling')['message'])
        time.sleep(1)
        self.assertIsNotNone(self.api.get('RestoreRun', space, 'back'))
        self.node.behave(space, hold=set())
        until(lambda: self.describe(space), 40, lambda: self.api.get('RestoreRun', space, 'back') is None)
        self.assert_recorded(uid, 'Cancelled', ['accepted', 'approved', 'started', 'rolled_back', 'cancelled'])
        self.assert_served(space)

    def test_the_namespace_is_deleted(self):
        """No Job can start there any more. The namespace goes, and the ledger says what became of the run."""
        spaces = {step: self.service('leaving-' + step.lower()) for step in ('Planned', 'Stop', 'Replace')}
        for step, space in spaces.items():
            self.node.behave(space, hold={'stop', 'swap'} if step == 'Stop' else {'swap'}, killed={'replace'})
            self.ask(space)
            if step != 'Planned':
                self.approve(space)
        uids = {}
        for step, space in spaces.items():
            if step == 'Planned':
                self.wait_reason(space, 'Approved', 'ApprovalRequired')
            else:
                self.reach(space, step)
            if step == 'Replace':
                self.wait_held(space)
            uids[step] = self.api.get('RestoreRun', space, 'back')['metadata']['uid']
            self.api.delete('Namespace', None, space)
            if step == 'Stop':  # a server that takes its time is waited for
                self.node.behave(space, hold={'swap'})
        for step, space in spaces.items():
            with self.subTest(step):
                until(lambda: f'{space} is gone: {self.describe(space)}', 90,
                      lambda: self.api.get('Namespace', None, space) is None)
                if step == 'Planned':  # whether the run or its StatefulSet is seen to go first is chance
                    until('the row is terminal', 20, lambda: self.environment.rows(uids[step])[0]['status'] in (
                        'cancelled', 'failed'))
                    self.assertIn(self.environment.audit(uids[step]), [['accepted', 'cancelled'], ['accepted', 'refused']])
                else:
                    self.assert_recorded(uids[step], 'Interrupted', NOT_UNDONE)
        self.assert_volumes()


class LockTests(InPlaceCase):
    """Somebody takes the lock off the StatefulSet."""

    def unlock(self, space):
        self.api.patch('StatefulSet', space, 'orders', {'metadata': {'annotations': {name: None for name in LOCK}}})

    def test_before_the_service_is_stopped_the_run_ends_and_touches_nothing(self):
        """It has written that it may begin, and is held there. What it has sent by then may have stopped the service."""
        for _ in range(8):
            space = self.service('unlocked-early')
            pod = self.serves(space)['metadata']['uid']
            watcher = kills.Watcher(self.api, space, ('RestoreRun',))
            self.ask(space)
            self.approve(space)
            while not kills.entered('Starting')(*watcher.next(40)):
                pass
            self.controller.send(signal.SIGSTOP)
            try:
                self.unlock(space)
            finally:
                self.controller.send(signal.SIGCONT)
            run = until(lambda: self.describe(space), 60, lambda: next(
                (run for run in self.api.items('RestoreRun', space) if run.get('status', {}).get('finishedAt')), None))
            if state(run) == 'Interrupted':
                self.ended(space, 'Interrupted', ['accepted', 'approved', 'started', 'finished'], 'LockLost')
                self.assert_served(space)
                self.assertEqual(self.serves(space)['metadata']['uid'], pod, 'its pod was left alone')
                return
            self.assertEqual(state(run), 'Completed')
        self.fail('it had stopped the service each time')

    def test_afterwards_it_is_put_on_again_and_the_run_goes_on(self):
        space = self.service('unlocked-late')
        self.node.behave(space, hold={'swap'})
        self.ask(space)
        self.approve(space)
        self.wait_held(space)
        uid = self.workload(space)['metadata']['annotations'][LOCK[0]]
        self.unlock(space)
        until(lambda: f'it is locked again: {self.describe(space)}', 30, lambda: self.workload(space)['metadata'][
            'annotations'].get(LOCK[0]) == uid)
        self.node.behave(space, hold=set())
        run = self.ended(space, 'Completed', FINISHED)
        self.assertEqual(run['metadata']['uid'], uid)
        self.assert_served(space, self.restored(run))


class ScalerTests(InPlaceCase):
    def test_somebody_sets_the_replicas_back_in_every_step(self):
        """In one step of a run each, as long as it is at 0: what was done in one may leave nothing to do in the next."""
        for step in ('Stop', 'Permit', 'Replace', 'Revoke'):
            with self.subTest(step):
                tries = (self.restored_beside([step], f'scaler-{step.lower()}') for _ in range(5))
                self.assertTrue(any(tries), 'the step was over each time')

    def test_somebody_sets_the_replicas_back_in_all_steps_of_one_run(self):
        self.assertIn('Replace', self.restored_beside(STEPS, 'scaler'))

    def restored_beside(self, wanted, hint):
        """The steps in which somebody was at work."""
        space = self.service(hint)
        self.node.behave(space, hold={'swap'} if 'Replace' in wanted else set())
        scaler = Scaler(self, space, kills.Watcher(self.api, space, ('RestoreRun',)), wanted)
        try:
            self.ask(space)
            self.approve(space)
            run = self.ended(space, 'Completed', FINISHED)
        finally:
            scaler.stop()
        self.assert_served(space, self.restored(run))
        return scaler.steps


class KillTests(InPlaceCase):
    def follow(self, space, watcher, triggers):
        """As in the other kills, with an approval when the run asks for one."""
        approved = []

        def approve(kind, thing):
            if kind == 'RestoreRun' and not approved and condition(thing, 'Approved').get('reason') == 'ApprovalRequired':
                approved.append(self.approve(space))

        def has_ended(kind, thing):
            return kind == 'RestoreRun' and thing.get('status', {}).get('finishedAt')
        return kills.kill_at(self, watcher, triggers, 120, has_ended, approve)

    def begin(self, hint):
        space = self.service(hint)
        watcher = kills.Watcher(self.api, space, KINDS)
        self.ask(space)
        return space, watcher

    def test_in_each_step(self):
        space, watcher = self.begin('kill-steps')
        looks = {step: kills.entered(step) for step in ['Planning', 'Planned', 'Locking', 'LookingAgain', 'Starting', *STEPS]}
        done = set(self.follow(space, watcher, looks))
        # After a kill the next controller may find a short step done.
        self.assertLessEqual({'Planning', 'Planned', 'Stop', 'Permit', 'Replace', 'Revoke', 'Start'}, done)
        run = self.ended(space, 'Completed', FINISHED)
        self.assert_served(space, self.restored(run))

    def test_at_whatever_it_makes_and_changes(self):
        space, watcher = self.begin('kill-made')
        looks = {
            'inspect': kills.appeared('Job', '-inspect-1'), 'scan': kills.appeared('Job', '-scan-source-1'),
            'approval': kills.appeared('RestoreApproval'), 'lock': locked(True), 'recheck': kills.appeared('Job', '-recheck-1'),
            'stopped': kills.scaled_to(0), 'permit': kills.appeared('ConfigMap', '-permit-replace'),
            'replace': kills.appeared('Job', '-replace-1'), 'revoked': gone('ConfigMap', '-permit-replace'),
            'started': started, 'unlocked': unlocked()}
        done = set(self.follow(space, watcher, looks))
        self.assertLessEqual(set(looks) - {'unlocked'}, done, 'its last word may be heard before that')
        run = self.ended(space, 'Completed', FINISHED)
        self.assert_served(space, self.restored(run))
        self.assertEqual(self.job_names(space, run['metadata']['uid']),
                         ['inspect-1', 'recheck-1', 'replace-1', 'scan-source-1'], 'no Job was started twice')

    def test_after_every_status_of_a_run_that_is_cancelled_in_the_middle(self):
        """Killed after each write of its status from the cancel on, and the Job's pod killed without a word."""
        space = self.service('kill-cancel')
        self.node.behave(space, hold={'swap'}, killed={'replace'})
        self.ask(space)
        self.approve(space)
        self.wait_held(space)
        watcher = kills.Watcher(self.api, space, KINDS)
        self.cancel(space)
        count, last, deadline = 0, None, time.monotonic() + 90
        while time.monotonic() < deadline:
            try:
                kind, _, thing = watcher.next(0.5)
            except queue.Empty:
                if state(self.api.get('RestoreRun', space, 'back')) == 'Cancelled':
                    break
                continue
            if kind == 'RestoreRun' and thing.get('status') != last:
                self.controller.restart_after_kill()
                count, last = count + 1, thing['status']
        self.assertGreater(count, 4)
        self.ended(space, 'Cancelled', ['accepted', 'approved', 'started', 'rolled_back', 'cancelled'])
        self.assert_served(space)


def locked(wanted):
    def look(kind, event, thing):
        return kind == 'StatefulSet' and ('reprise.dev/run' in thing['metadata'].get('annotations', {})) is wanted
    return look


def unlocked():
    seen = []

    def look(kind, event, thing):
        if kind != 'StatefulSet':
            return False
        if 'reprise.dev/run' in thing['metadata'].get('annotations', {}):
            seen.append(1)
        return bool(seen) and 'reprise.dev/run' not in thing['metadata'].get('annotations', {})
    return look


def gone(wanted, suffix):
    def look(kind, event, thing):
        return kind == wanted and event == 'DELETED' and thing['metadata']['name'].endswith(suffix)
    return look


def started(kind, event, thing):
    return kind == 'StatefulSet' and thing['spec']['replicas'] == 1 and thing['metadata']['generation'] >= 3


if __name__ == '__main__':
    unittest.main()
