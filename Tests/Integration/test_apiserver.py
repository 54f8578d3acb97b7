# SPDX-License-Identifier: Apache-2.0
"""An API server that forgets, that goes away, that refuses, and that holds what can't be read."""
import copy
import time
import unittest

from api_client import ApiError
from harness import SYSTEM, Case, condition, state, until
from proxy import Proxy


class ApiServerTests(Case):
    def restart_apiserver(self, extra='', seconds=0):
        self.environment.hack('kube-down.sh', '--only', 'kube-apiserver')
        time.sleep(seconds)
        self.environment.hack('kube-up.sh', WITH_SCHEDULER='0', APISERVER_EXTRA=extra)

    def reach(self, space, step):
        until(lambda: self.describe(space), 60, lambda: condition(self.the_run(space), 'Reconciling').get('reason')
              == step)

    def test_stopped_and_started_in_the_middle(self):
        """Three runs in different steps. A leader that can't renew its lease for 10 s ends, and is started again."""
        controller = self.environment.controller().wait_leading().supervise()
        first = controller.process
        spaces = {'fetch': 'Restore', 'seal': 'Seal', 'backup': 'Backup'}
        names = {}
        for hold, step in spaces.items():
            names[hold] = self.namespace(f'away-{hold}')
            self.node.behave(names[hold], hold={hold})
            self.make_clone(names[hold])
        for hold, step in spaces.items():
            self.reach(names[hold], step)
        self.restart_apiserver(seconds=9)
        for space in names.values():
            self.node.behave(space, hold=set())
        for space in names.values():
            self.wait_ready(space, seconds=120)
            self.assert_one_of_each(space)
        self.assertNotEqual(first.poll(), None, 'without its lease it does not go on')

    def test_a_watch_that_expires(self):
        """Without its own cache the API server asks etcd, and etcd has forgotten: 410, a new list, and on it goes."""
        self.restart_apiserver('--watch-cache=false')
        self.addCleanup(self.restart_apiserver)
        proxy = Proxy(self.api.port)
        self.addCleanup(proxy.close)
        rights = self.environment.account(SYSTEM, 'reprise-controller', proxy.port)
        controller = self.environment.controller(kubeconfig=rights).wait_leading()
        space = self.namespace('expired')
        self.node.behave(space, hold={'fetch'})
        self.make_clone(space)
        self.reach(space, 'Restore')
        lists = len(controller.said('kind listed'))
        proxy.cut()  # the watches must resume from a position that is older than the compaction
        for number in range(5):
            self.api.create('ConfigMap', space, {'metadata': {'name': f'noise-{number}'}})
        self.environment.hack('etcd-compact.sh')
        self.node.behave(space, hold=set())  # and the world goes on unseen
        proxy.mend()
        until('a watch expired and was listed anew', 30, lambda: controller.said('watch expired')
              and len(controller.said('kind listed')) > lists)
        self.assertIsNone(controller.process.poll(), 'the same controller goes on')
        self.wait_ready(space, seconds=90)
        self.assert_one_of_each(space)

    def test_an_object_that_cannot_be_decoded(self):
        """It gets a log line and a metric, and every other one is reconciled."""
        controller = self.environment.controller().wait_leading()
        name = 'restoreruns.reprise.dev'
        crd = self.api.get('CustomResourceDefinition', None, name)
        loose = copy.deepcopy(crd['spec'])
        loose['versions'][0]['schema'] = {'openAPIV3Schema': {
            'type': 'object', 'x-kubernetes-preserve-unknown-fields': True}}
        self.api.patch('CustomResourceDefinition', None, name, {'spec': {'versions': loose['versions']}})
        self.addCleanup(self.api.patch, 'CustomResourceDefinition', None, name, {'spec': {
            'versions': crd['spec']['versions']}})
        space = self.namespace('undecodable')

        def make():
            try:
                return self.api.create('RestoreRun', space, {'metadata': {'name': 'odd'}, 'spec': {
                    'mode': ['NewService'], 'source': 7}})
            except ApiError:
                return None  # the old schema is still served for a moment
        until('the loose schema is served', 20, make, every=0.3)
        until('the metric', 20, lambda: controller.metric('reprise_undecodable_objects') == 1)
        lines = controller.said('object can\'t be decoded')
        self.assertTrue(any(f'{space}/odd' in line['object'] for line in lines), lines)
        self.make_clone(space)
        self.wait_ready(space)
        self.assertNotIn('status', self.api.get('RestoreRun', space, 'odd'))
        self.api.delete('RestoreRun', space, 'odd')
        until('the metric is back at 0', 20, lambda: controller.metric('reprise_undecodable_objects') == 0)

    def test_what_the_role_does_not_allow_is_shown(self):
        """A controller that may not create Jobs says so where people look, and goes on when it may."""
        group = '/apis/rbac.authorization.k8s.io/v1'
        role = self.api.call('GET', f'{group}/clusterroles/reprise-controller')
        rules = copy.deepcopy(role['rules'])
        for rule in rules:
            if 'jobs' in rule['resources']:
                rule['verbs'] = [verb for verb in rule['verbs'] if verb != 'create']
        path = f'{group}/clusterroles/reprise-controller'
        self.api.call('PATCH', path, {'rules': rules}, 'application/merge-patch+json')
        restore = (self.api.call, 'PATCH', path, {'rules': role['rules']}, 'application/merge-patch+json')
        self.addCleanup(*restore)
        self.environment.controller().wait_leading()
        space = self.namespace('forbidden')
        self.make_clone(space)
        until(lambda: self.describe(space), 30, lambda: condition(self.the_run(space), 'Stalled').get('reason')
              == 'Forbidden')
        run = self.the_run(space)
        message = condition(run, 'Stalled')['message']
        self.assertIn('create Job', message)
        self.assertIn('cannot create resource "jobs"', message)
        clone = self.api.get('ServiceClone', space, 'orders')
        self.assertEqual((state(run), condition(clone, 'Ready')['status']), ('Pending', 'False'))
        until('an Event says so', 10, lambda: self.events(space, reason='Forbidden', type='Warning'))
        self.assert_nothing_made(space)
        restore[0](*restore[1:])
        self.wait_ready(space, seconds=60)
        self.assert_one_of_each(space)


if __name__ == '__main__':
    unittest.main()
