# SPDX-License-Identifier: Apache-2.0
"""The story without faults: a ServiceClone becomes Ready, and everything that should say so says so."""
import json
import os
import pathlib
import shlex
import threading
import time
import unittest
import urllib.parse

from harness import SYSTEM, Case, clone_spec, condition, until


class Reached(threading.Thread):
    """Whom a process has spoken with over TCP, as addresses and ports, looked at many times a second."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.seen, self.over = pid, set(), threading.Event()
        self.start()

    def run(self):
        while not self.over.wait(0.02):
            self.seen |= set(self.look())

    def look(self):
        own = set()
        for entry in os.scandir(f'/proc/{self.pid}/fd'):
            try:
                own.add(os.readlink(entry.path))
            except OSError:
                continue
        for table in ('tcp', 'tcp6'):
            text = pathlib.Path(f'/proc/{self.pid}/net/{table}').read_text()
            lines = [line.split() for line in text.splitlines()[1:]]
            listening = {line[1].split(':')[1] for line in lines if line[3] == '0A'}
            for line in lines:
                address, port = line[2].split(':')
                # Not those who have come to its own port, for probes and metrics.
                if f'socket:[{line[9]}]' in own and int(port, 16) and line[1].split(':')[1] not in listening:
                    yield address, int(port, 16)

    def stop(self):
        self.over.set()
        self.join(10)
        return self.seen


class CloneTests(Case):
    def test_a_clone_becomes_ready_and_is_recorded(self):
        controller = self.environment.controller().wait_leading()
        space = self.namespace('clone')
        self.make_clone(space)
        reached = Reached(controller.process.pid)
        clone = self.wait_ready(space)
        self.check_reached(reached)
        run = self.assert_one_of_each(space)
        self.assertEqual(clone['status']['completedRunUID'], run['metadata']['uid'])
        for kind in ('OwnArchive', 'CredentialsRotated', 'CloneEnvRemoved', 'FreshBackup', 'SourceUntouched'):
            self.assertEqual(condition(clone, kind).get('status'), 'True', kind)
        self.check_service(space)
        row = self.environment.rows(run['metadata']['uid'])[0]
        self.assertEqual((row['phase'], row['bytes_restored'], row['source_backup'], row['target_service_name']),
                         ('completed', '31000000', 'base_000000010000000000000004', 'orders'))
        self.assertEqual(condition(run, 'Recorded').get('status'), 'True')
        self.check_events(space)
        self.check_printed(space)
        self.check_run(space, run)
        self.check_logs(controller)

    def check_service(self, space):
        """Open: clone variables, quarantine and the source's keys are gone."""
        container = self.api.get('StatefulSet', space, 'orders')['spec']['template']['spec']['containers'][0]
        names = {item['name'] for item in container['env']}
        self.assertNotIn('WALG_CLONE_FROM', names)
        self.assertLessEqual({'WALG_S3_PREFIX', 'BACKUP_SCHEDULE', 'POSTGRES_PASSWORD'}, names)
        self.assertNotIn('args', container)
        self.assertEqual({item['metadata']['name'] for item in self.api.items('Service', space)},
                         {'orders', 'orders-pods'})

    def check_events(self, space):
        wanted = {'Planned', 'RestoreRunStarted', 'Provisioned', 'DataRestored', 'Sealed', 'FreshBackup', 'Completed',
                  'Serving'}
        until('Events ' + ', '.join(wanted), 10, lambda: wanted <= {item['reason'] for item in self.events(space)})
        self.assertEqual([item['message'] for item in self.events(space, type='Warning')
                          if item['involvedObject']['kind'] in ('RestoreRun', 'ServiceClone')], [])

    def check_printed(self, space):
        kubectl = self.environment.kubectl
        for short, kind in (('sclone', 'serviceclone'), ('rr', 'restorerun'), ('brepo', 'backuprepository')):
            self.assertIn(f'{kind}.reprise.dev/', kubectl('-n', space, 'get', short, '-o', 'name').stdout)
        head, line = kubectl('-n', space, 'get', 'sclone').stdout.splitlines()
        self.assertEqual(head.split()[:6], ['NAME', 'SOURCE', 'SERVICE', 'PHASE', 'PROGRESS', 'READY'])
        self.assertIn('Ready', line)
        self.assertIn('orders', kubectl('-n', space, 'get', 'reprise').stdout)
        kubectl('-n', space, 'wait', '--for=condition=Ready', '--timeout=5s', 'sclone/orders')

    def check_reached(self, reached):
        """The controller has spoken with the API server and with the ledger, and with nobody else."""
        server = urllib.parse.urlparse(json.loads(self.environment.rights.read_text())['clusters'][0]['cluster']['server'])
        wanted = {server.port, int(dict(self.parameter())['port'])}
        self.assertEqual({port for _, port in reached.stop()}, wanted)

    def parameter(self):
        return (word.split('=', 1) for word in shlex.split(self.environment.conninfo))

    def check_run(self, space, run):
        """It can be waited for, has the id of its row, and is listed with its service: also in the ledger when it is gone."""
        kubectl, name, uid = self.environment.kubectl, run['metadata']['name'], run['metadata']['uid']
        kubectl('-n', space, 'wait', '--for=condition=Finished', '--timeout=5s', f'rr/{name}')
        listed = kubectl('-n', space, 'get', 'rr', '--sort-by=.metadata.creationTimestamp', '-o',
                         'jsonpath={range .items[?(@.spec.target.newService.name=="orders")]}{.metadata.name} {end}')
        self.assertEqual(listed.stdout.split(), [name])
        rows = ("select id, name, recovery_target ->> 'kind' from reprise.restore_runs where target_service_name = 'orders' "
                f"and namespace = '{space}' order by created_at")
        self.assertEqual(self.environment.sql(rows), [[run['status']['ledgerID'], name, 'Latest']])
        self.assertRegex(run['status']['finishedAt'], r'^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$')
        kubectl('-n', space, 'delete', 'sclone', 'orders', '--timeout=20s')
        # The garbage collector looks for new kinds every 30 s, and these have just been made.
        until('the run is gone', 90, lambda: self.api.get('RestoreRun', space, name) is None)
        self.assertEqual(self.environment.sql(rows)[0][1], name)
        self.assertEqual(self.environment.rows(uid)[0]['status'], 'completed')

    def check_logs(self, controller):
        """Every line is JSON, and what belongs to a pass says which."""
        text = controller.log.read_text().splitlines()
        lines = [json.loads(line) for line in text]
        self.assertTrue(all({'time', 'level', 'message'} <= set(line) for line in lines))
        passes = [line for line in lines if line['message'] in ('effect done', 'status written', 'pass ended')]
        self.assertGreater(len(passes), 10)
        self.assertTrue(all(line.get('pass') and line.get('object') for line in passes))

    def test_probes_and_metrics(self):
        controller = self.environment.controller().wait_leading()
        self.assertEqual(controller.probe('/healthz'), (200, 'ok\n'))
        self.assertEqual(controller.probe('/readyz'), (200, 'leading\n'))
        self.assertEqual(controller.probe('/nothing')[0], 404)
        self.assertEqual(controller.metric('reprise_leading'), 1)
        self.assertEqual(controller.metric('reprise_synced'), 1)
        self.assertEqual(controller.metric('reprise_undecodable_objects'), 0)
        standby = self.environment.controller('standby')
        until('the standby is ready', 20, lambda: standby.probe('/readyz') == (200, 'standing by\n'))
        self.assertEqual(standby.metric('reprise_leading'), 0)


class QuietTests(Case):
    def test_the_same_manifest_again_writes_nothing(self):
        """The same manifest applied again, and a restart: nothing is written for 20 s but the Lease."""
        controller = self.environment.controller().wait_leading()
        space = self.namespace('quiet')
        body = {'apiVersion': 'reprise.dev/v1alpha1', 'kind': 'ServiceClone',
                'metadata': {'name': 'orders', 'namespace': space}}
        text = json.dumps({**body, 'spec': clone_spec('orders')})
        self.environment.kubectl('apply', '-f', '-', stdin=text)
        self.wait_ready(space)
        self.assert_one_of_each(space)
        until('the finalizer is off', 10, lambda: not self.the_run(space)['metadata'].get('finalizers'))
        until('all is written', 20, lambda: self.is_settled(space), every=1)
        before, lease = self.versions(space), self.lease()
        written = self.own_writes(controller)
        self.assertIn('unchanged', self.environment.kubectl('apply', '-f', '-', stdin=text).stdout)
        time.sleep(20)  # the claim is about a time in which nothing happens
        self.assertEqual(self.versions(space), before)
        self.assertEqual(self.own_writes(controller), written)
        self.assertNotEqual(self.lease(), lease)
        controller.kill()
        self.environment.free_lease()
        again = self.environment.controller().wait_leading()
        until('the restarted one has looked at everything', 20, lambda: len(again.said('pass ended')) >= 2)
        time.sleep(3)
        self.assertEqual(self.versions(space), before)
        self.assertEqual(self.own_writes(again), 0)

    def is_settled(self, space):
        before = self.versions(space)
        time.sleep(1)
        return self.versions(space) == before

    def versions(self, space):
        kinds = ('ServiceClone', 'RestoreRun', 'StatefulSet', 'PersistentVolumeClaim', 'Service', 'Secret', 'Job',
                 'Pod', 'ConfigMap', 'Event', 'BackupRepository')
        found = {}
        for place in (space, SYSTEM):
            for kind in kinds:
                for item in self.api.items(kind, place):
                    found[place, kind, item['metadata']['name']] = item['metadata']['resourceVersion']
        return found

    def lease(self):
        return self.api.get('Lease', SYSTEM, 'reprise-controller')['metadata']['resourceVersion']

    @staticmethod
    def own_writes(controller):
        return len(controller.said('status written')) + len(controller.said('effect done'))


if __name__ == '__main__':
    unittest.main()
