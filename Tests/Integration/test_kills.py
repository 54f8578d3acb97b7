# SPDX-License-Identifier: Apache-2.0
"""The controller killed with SIGKILL, everywhere: the next one goes on from what stands in the API server.

A kill is set off by what a watch shows: the run's own status (a step has been entered, its effects are under way) or
the appearance of what a step makes (its effect is done, and nobody noted that yet).
"""
import queue
import threading
import time
import unittest

from api_client import ApiError
from harness import STEPS, Case, condition, state

KINDS = ('RestoreRun', 'StatefulSet', 'PersistentVolumeClaim', 'Service', 'Job', 'Secret', 'ServiceClone')


class Watcher:
    """Everything that happens to some kinds in a namespace, in one queue."""

    def __init__(self, api, namespace, kinds=KINDS):
        self.heard = queue.Queue()
        self.namespace = namespace
        for kind in kinds:
            version = api.list(kind, namespace)['metadata']['resourceVersion']
            threading.Thread(target=self.follow, args=(api, kind, namespace, version), daemon=True).start()

    def follow(self, api, kind, namespace, version):
        try:
            for event, thing in api.watch(kind, namespace, version, seconds=240):
                if event != 'BOOKMARK':
                    self.heard.put((kind, event, thing))
        except ApiError:
            pass  # the end of the test, or of its API server

    def next(self, seconds):
        return self.heard.get(timeout=seconds)


def entered(step):
    """The run says that it is in this step."""
    def look(kind, event, thing):
        return kind == 'RestoreRun' and condition(thing, 'Reconciling').get('reason') == step
    return look


def appeared(wanted, suffix=''):
    def look(kind, event, thing):
        return kind == wanted and event == 'ADDED' and thing['metadata']['name'].endswith(suffix)
    return look


def scaled_to(count):
    def look(kind, event, thing):
        return kind == 'StatefulSet' and event == 'MODIFIED' and thing['spec']['replicas'] == count
    return look


MADE = {
    'RestoreRun': appeared('RestoreRun'), 'scan of the source': appeared('Job', '-scan-source-1'),
    'scan of the archive': appeared('Job', '-scan-archive-1'), 'claim': appeared('PersistentVolumeClaim'),
    'credentials': appeared('Secret', 'orders-credentials'), 'headless Service': appeared('Service', 'orders-pods'),
    'StatefulSet': appeared('StatefulSet'), 'scaled to 0': scaled_to(0), 'seal': appeared('Job', '-seal-1'),
    'opened': scaled_to(1), 'Service': appeared('Service', 'orders'), 'backup': appeared('Job', '-backup-1'),
    'comparison': appeared('Job', '-compare-1'),
}


def kill_at(case, watcher, triggers, seconds, is_over, also=lambda kind, thing: None):
    """Kills at the first event of each trigger, until it is over. Gives the names of those that were set off."""
    waiting, done = dict(triggers), []
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            kind, event, thing = watcher.next(0.5)
        except queue.Empty:
            continue
        if is_over(kind, thing):
            return done
        for name in [name for name, look in waiting.items() if look(kind, event, thing)]:
            case.controller.restart_after_kill()
            done.append(name)
            del waiting[name]
        also(kind, thing)
    case.fail(f'not over within {seconds} s after kills at {done}: {case.describe(watcher.namespace)}')


class KillTests(Case):
    def setUp(self):
        super().setUp()
        self.controller = self.environment.controller().wait_leading()

    def begin(self, hint):
        space = self.namespace(hint)
        watcher = Watcher(self.api, space)
        self.make_clone(space)
        return space, watcher

    def follow(self, watcher, triggers):
        def is_ready(kind, thing):
            return kind == 'ServiceClone' and condition(thing, 'Ready').get('status') == 'True'
        return kill_at(self, watcher, triggers, 90, is_ready)

    def test_in_each_step_and_the_world_goes_on_without_it(self):
        """Killed in a step; pods and Jobs go on meanwhile; the next controller finds the step done or half done."""
        for step in STEPS:
            with self.subTest(step):
                space, watcher = self.begin('step-' + step.lower())
                trigger = entered(step)
                while not trigger(*watcher.next(30)):
                    pass
                self.controller.kill()
                time.sleep(0.7)  # longer than the stand-in's pods take for anything
                self.environment.free_lease()
                self.controller.start()
                self.wait_ready(space)
                self.assert_one_of_each(space)

    def test_in_prepare(self):
        """Before anything was planned, and between the plan and the first write."""
        looks = {
            'Preparing': lambda kind, event, thing: kind == 'RestoreRun' and thing['metadata'].get('finalizers'),
            'Planning': entered('Planning'), 'Planned': entered('Planned'),
            'Pending in the ledger': entered('WaitingForLedger'), 'Starting': entered('Starting')}
        space, watcher = self.begin('prepare')
        done = self.follow(watcher, looks)
        self.assertLessEqual({'Preparing', 'Planning', 'Planned'}, set(done))
        self.assert_one_of_each(space)

    def test_at_whatever_it_makes(self):
        """One run, and a kill at the appearance of every single object."""
        space, watcher = self.begin('made')
        self.assertEqual(set(self.follow(watcher, MADE)), set(MADE))
        self.assert_one_of_each(space)
        jobs = [job for job in self.api.items('Job', space) if '-catalog-' not in job['metadata']['name']]
        self.assertEqual(len(jobs), 5, 'no Job was started twice')

    def test_after_every_status_that_it_writes(self):
        """Killed after each write of the run's status: every pass is a controller's last one."""
        space, watcher = self.begin('status')
        kills, last = 0, None
        deadline = time.monotonic() + 150
        while time.monotonic() < deadline:
            try:
                kind, _, thing = watcher.next(0.5)
            except queue.Empty:
                if state(self.the_run(space)) == 'Completed':
                    break
                continue
            status = thing.get('status')
            if kind == 'RestoreRun' and status and status != last:
                self.controller.restart_after_kill()
                kills, last = kills + 1, status
        self.wait_ready(space)
        self.assertGreater(kills, 8)
        self.assert_one_of_each(space)

    def test_several_runs_while_it_keeps_dying(self):
        """Six clones at once, and a controller that is killed again and again, at no particular moment."""
        spaces = [self.begin(f'storm-{number}')[0] for number in range(6)]
        for pause in (0.9, 1.3, 0.7, 1.1, 1.7, 0.5, 1.5, 0.8):
            time.sleep(pause)
            self.controller.restart_after_kill()
        for space in spaces:
            self.wait_ready(space, seconds=90)
            self.assert_one_of_each(space)


if __name__ == '__main__':
    unittest.main()
