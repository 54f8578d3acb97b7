# SPDX-License-Identifier: Apache-2.0
"""What the tests of restores in place share: a user's service, asking, approving, and how a service must be left."""
import queue
import signal
import threading

from harness import IMAGE, Case, condition, until

STEPS = ['Stop', 'Permit', 'Replace', 'Revoke', 'Start', 'Serve', 'Unlock']
LOCK = ('reprise.dev/run', 'reprise.dev/run-name')
WHY = 'the table was lost at noon'
OWN_ROWS = 'what the service had'
FINISHED = ['accepted', 'approved', 'started', 'finished']
CHECKS = [{'name': 'holds', 'query': 'select true'}, {'name': 'does-not', 'query': 'select false'}]


def stateful_set(name, replicas):
    container = {
        'name': 'postgres', 'image': IMAGE, 'env': [{'name': 'TZ', 'value': 'UTC'}],
        'volumeMounts': [{'name': 'data', 'mountPath': '/var/lib/postgresql'}]}
    claim = {'metadata': {'name': 'data'}, 'spec': {
        'accessModes': ['ReadWriteOnce'], 'resources': {'requests': {'storage': '100Mi'}}}}
    return {
        'metadata': {'name': name, 'annotations': {'owner': 'team-a'}},
        'spec': {'serviceName': name, 'replicas': replicas, 'selector': {'matchLabels': {'app': name}}, 'template': {
            'metadata': {'labels': {'app': name}}, 'spec': {'containers': [container]}}, 'volumeClaimTemplates': [claim]}}


class InPlaceCase(Case):
    """In the tests' words a service is a StatefulSet of a user, named orders, and what declares it."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.spaces = []

    def setUp(self):
        super().setUp()
        self.controller = self.environment.controller().wait_leading()

    def namespace(self, hint):
        self.spaces.append(super().namespace(hint))
        return self.spaces[-1]

    def run(self, result=None):
        """A controller that is killed again and again should not look at what earlier tests have left each time; what a
        failed one has left stays for looking around."""
        result = result if result is not None else self.defaultTestResult()
        before = len(result.failures) + len(result.errors)
        super().run(result)
        if len(result.failures) + len(result.errors) == before:
            for space in self.spaces:
                self.api.delete('Namespace', None, space)
        return result

    # ------------------------------------------------------------ the service

    def service(self, hint, replicas=1, **behavior):
        space = self.namespace(hint)
        self.node.behave(space, first=1, **behavior)
        self.api.create('StatefulSet', space, stateful_set('orders', 1))
        self.declare(space, 'orders')
        self.wait_serving(space)
        if replicas == 0:
            self.scale(space, 0)
            until('the pod is gone', 20, lambda: self.api.get('Pod', space, 'orders-0') is None)
        return space

    def declare(self, space, name):
        self.api.create('ManagedService', space, {'metadata': {'name': name}, 'spec': {
            'engine': 'Postgres', 'workload': {'name': 'orders'}, 'major': 15,
            'archive': {'repository': {'name': 'source'}, 'path': 'orders'}, 'protection': {'verification': CHECKS}}})

    def workload(self, space):
        return self.api.get('StatefulSet', space, 'orders')

    def scale(self, space, replicas):
        return self.api.patch('StatefulSet', space, 'orders', {'spec': {'replicas': replicas}})

    def serves(self, space):
        pod = self.api.get('Pod', space, 'orders-0')
        ready = condition(pod, 'Ready').get('status') == 'True' and not pod['metadata'].get('deletionTimestamp')
        return pod if ready else None

    def wait_serving(self, space, seconds=30):
        return until(lambda: f'orders serves: {self.describe(space)}', seconds, lambda: self.serves(space))

    def volume(self, space):
        claim = self.api.get('PersistentVolumeClaim', space, 'data-orders-0')
        return self.node.volumes.content[claim['metadata']['uid']]

    # ------------------------------------------------------------ runs

    def confirmation(self, space, service='orders'):
        return f'{service}/{self.workload(space)["metadata"]["uid"][:8]}'

    def ask(self, space, name='back', service='orders', requested_by=None, **changes):
        spec = {'mode': 'InPlace', 'target': {'service': {'name': service}}, 'confirm': self.confirmation(space, service)}
        if 'rollbackOf' not in changes:
            spec['source'] = {'service': {'name': service}}
        notes = {'annotations': {'reprise.dev/requested-by': requested_by}} if requested_by else {}
        return self.api.create('RestoreRun', space, {'metadata': {'name': name, **notes}, 'spec': {**spec, **changes}})

    def wait_reason(self, space, kind, reason, name='back', seconds=40):
        def look():
            run = self.api.get('RestoreRun', space, name)
            return run if condition(run, kind).get('reason') == reason else None
        return until(lambda: f'{kind} {reason} of {name}: {self.describe(space)}', seconds, look)

    def reach(self, space, step, name='back'):
        return self.wait_reason(space, 'Reconciling', step, name)

    def approve(self, space, name='back', decision='Approve', **changes):
        run = self.wait_reason(space, 'Approved', 'ApprovalRequired', name)
        spec = {'run': {'name': name, 'uid': run['metadata']['uid']}, 'planHash': run['status']['plan']['hash'],
                'decision': decision, 'approver': 'bob', 'reason': WHY, **changes}
        self.api.create('RestoreApproval', space, {'metadata': {'name': f'{name}-{decision.lower()}'}, 'spec': spec})
        return run

    def start(self, hint, **behavior):
        """A service, and a run that may begin."""
        space = self.service(hint, **behavior)
        self.ask(space)
        self.approve(space)
        return space

    def wait_held(self, space):
        until(lambda: f'the data is held: {self.describe(space)}', 30, lambda: 'held' in self.volume(space))

    def cancel(self, space, name='back'):
        self.api.patch('RestoreRun', space, name, {'spec': {'cancel': True}})

    # ------------------------------------------------------------ how it ends

    def ended(self, space, wanted, operations, reason=None, name='back', seconds=60):
        """Its state, its row and its audit agree, nothing holds its object, and none of its permits is left."""
        run = self.wait_state(space, wanted, name, seconds)
        uid = run['metadata']['uid']
        self.assert_recorded(uid, wanted, operations)
        until('the finalizer is off', 20, lambda: not self.api.get('RestoreRun', space, name)['metadata'].get('finalizers'))
        self.assertEqual(condition(run, 'Finished')['reason'], reason or wanted, run['status']['message'])
        self.assertEqual(self.api.items('ConfigMap', space, f'reprise.dev/run-uid={uid}'), [], 'its permits')
        return run

    def assert_recorded(self, uid, wanted, operations):
        until(lambda: f'the row says {wanted}: {self.environment.rows(uid)}', 20, lambda: [
            row['status'] for row in self.environment.rows(uid)] == [wanted.lower()])
        self.assertEqual(self.environment.audit(uid), operations)

    def assert_served(self, space, rows=OWN_ROWS, replicas=1):
        """As its owner left it but for its data: its replicas, its own annotations and no others, one pod, its template."""
        found = self.workload(space)
        self.assertEqual(found['spec']['replicas'], replicas)
        self.assertEqual(found['metadata']['annotations'], {'owner': 'team-a'})
        made = stateful_set('orders', replicas)['spec']['template']['spec']['containers'][0]
        container = found['spec']['template']['spec']['containers'][0]
        self.assertEqual({key: container[key] for key in made}, made)
        if replicas:
            self.wait_serving(space)
        else:
            self.assertIsNone(self.api.get('Pod', space, 'orders-0'))
        volume = self.volume(space)
        self.assertEqual(volume.get('rows'), rows, volume)
        self.assertNotIn('held', volume)
        self.assert_volumes()

    def restored(self, run):
        return f'restored by {run["metadata"]["uid"]}'

    def job_names(self, space, uid):
        return sorted(job['metadata']['name'].split('-', 3)[3]
                      for job in self.api.items('Job', space, f'reprise.dev/run-uid={uid}'))


class Scaler:
    """Sets replicas back to 1 once in each of some steps, as a GitOps tool that owns the field might. The controller is
    frozen meanwhile: so the step is not over by then, however short it is. The Job that replaces the data goes on when the
    run has said what it saw."""

    def __init__(self, case, space, watcher, wanted):
        self.case, self.space, self.watcher, self.wanted = case, space, watcher, wanted
        self.steps, self.over = [], threading.Event()
        self.thread = threading.Thread(target=self.work, daemon=True)
        self.thread.start()

    def work(self):
        while not self.over.is_set():
            try:
                _, _, thing = self.watcher.next(0.2)
            except queue.Empty:
                continue
            step = condition(thing, 'Reconciling').get('reason')
            if step in self.wanted and step not in self.steps and self.is_ripe(step):
                self.case.controller.send(signal.SIGSTOP)
                try:
                    self.scale(step)
                finally:
                    self.case.controller.send(signal.SIGCONT)
                if step == 'Replace':  # it is scaled back at once: only the watch has heard of it
                    while condition(self.watcher.next(20)[2], 'Stalled').get('reason') != 'ReplicasChangedByOther':
                        pass
                    self.case.node.behave(self.space, hold=set())

    def scale(self, step):
        # The one that replaces the data is held, whatever the run says of it.
        if step != 'Replace' and condition(self.case.api.get('RestoreRun', self.space, 'back'), 'Reconciling').get('reason') != step:
            return
        before = self.case.workload(self.space)['metadata']['generation']
        changed = self.case.scale(self.space, 1)['metadata']['generation']
        if changed == before:  # it was not scaled down yet, or is up again
            return
        until('the StatefulSet controller has seen it', 5, lambda: self.case.workload(self.space)['status'].get(
            'observedGeneration') == changed)
        self.steps.append(step)

    def is_ripe(self, step):
        """In the step that replaces the data, once that is under way: before, the run would rightly give up."""
        if step == 'Replace':
            self.case.wait_held(self.space)
        return True

    def stop(self):
        self.over.set()
        self.thread.join(30)
