# SPDX-License-Identifier: Apache-2.0
"""Bad input on the real API server: a condition that names field and value, an Event, a ledger row, nothing made."""
import copy
import json
import unittest

import stand_in_programs as programs
from api_client import ApiError
from harness import IMAGE, SOURCE, Case, clone_spec, condition, new_service, repository, run_spec, until

OTHER_IMAGE = 'docker.io/stranger/postgres:15'


def service(**changes):
    return run_spec('orders', {**new_service('orders'), **changes})


def from_source(source):
    return {**run_spec('orders'), 'source': source}


def scan(role, **fields):
    return {role: {'fingerprint': None, **fields}}


def listed(**changes):
    return scan('scan-source', listing=programs.listing(**changes))


def at(moment):
    return {**run_spec('orders'), 'mode': 'PointInTime', 'recoveryTarget': {'kind': 'Time', 'time': moment}}


# Segment 6 is missing, and more than could still be on their way come after it.
GAP = [{'first': '000000010000000000000001', 'last': '000000010000000000000005',
        'firstModified': '2026-05-20T03:00:00Z', 'lastModified': '2026-05-27T03:10:00Z'},
       {'first': '000000010000000000000007', 'last': '000000010000000000000029',
        'firstModified': '2026-05-27T03:30:00Z', 'lastModified': '2026-05-27T03:59:00Z'}]

# name: (reason, what the message names, spec, results of scans)
REFUSED = {
    'no-backups': ('NoBackupsFound', ['s3://backups/orders/15', 'spec.source'], service(),
                   scan('scan-source', listing=None, majors=[], objects=0)),
    'unreachable': ('RepositoryUnreachable', ['BackupRepository source', 's3://backups/orders', 'no route'], service(),
                    scan('scan-source', code='RepositoryUnreachable', message='no route to host')),
    'wrong-credentials': ('WrongCredentials', ['BackupRepository source', 'check its Secret'], service(),
                          scan('scan-source', code='WrongCredentials', message='not accepted; check its Secret')),
    'own-unreachable': ('RepositoryUnreachable', ['BackupRepository own', 'no route'], service(),
                        scan('scan-archive', code='RepositoryUnreachable', message='no route to host')),
    'major': ('MajorMismatch', ['spec.target.newService.major 15', '14'], service(),
              scan('scan-source', listing=None, majors=[14])),
    'major-of-backup': ('MajorMismatch', ['spec.target.newService.major 15', '14'], service(),
                        listed(backups=[programs.scanned_backup(pgVersion=140011)])),
    'unusable': ('BackupUnusable', [programs.BACKUP, 'pg_control'], service(),
                 listed(backups=[programs.scanned_backup(problem='it lacks pg_control')])),
    'image': ('ImageNotAllowed', ['spec.target.newService.image ' + OTHER_IMAGE, 'BackupRepository source'],
              service(image=OTHER_IMAGE), {}),
    'too-small': ('VolumeTooSmall', ['spec.target.newService.storage.size 10Mi', '30000000'],
                  service(storage={'size': '10Mi'}), {}),
    'no-alternative': ('InvalidSpec', ['spec.source', 'exactly one of'], from_source({}), {}),
    'both-alternatives': ('InvalidSpec', ['spec.source', 'exactly one of'],
                          from_source({**SOURCE, 'service': {'name': 'billing'}}), {}),
    'no-archive': ('InvalidSpec', ['spec.target.newService.archive', 'mode: Disabled'], service(archive=None), {}),
    'archive-not-empty': ('ArchiveNotEmpty', ['spec.target.newService.archive.path orders', 'orders/15/wal_005'],
                          service(), scan('scan-archive', objects=3, sampleKeys=['orders/15/wal_005'])),
    'future': ('TargetOutsideWindow', ['spec.recoveryTarget.time 2100-01-01T00:00:00Z', 'future'],
               at('2100-01-01T00:00:00Z'), {}),
    'too-early': ('TargetOutsideWindow', ['spec.recoveryTarget.time 2026-05-27T03:00:04Z', '2026-05-27T03:00:04Z'],
                  at('2026-05-27T03:00:04Z'), {}),
    'past-the-end': ('TargetOutsideWindow', ['spec.recoveryTarget.time 2026-05-27T04:30:00Z', '2026-05-27T03:59:00Z'],
                     at('2026-05-27T04:30:00Z'), {}),
    'in-a-gap': ('TargetInGap', ['000000010000000000000006'], at('2026-05-27T03:20:00Z'), listed(ranges=GAP)),
    'end-after-a-gap': ('WALGap', ['000000010000000000000006'], service(), listed(ranges=GAP)),
    'no-version': ('PrefixWithoutVersion', ['s3://backups/orders/15'], service(),
                   scan('scan-source', listing=None, majors=[], lacksVersion=True)),
    'overlap': ('PrefixOverlap', ['spec.target.newService.archive', 'source'], service(
        archive={'repository': {'name': 'source'}, 'path': 'orders/clone'}), {}),
    'overlap-of-repositories': ('PrefixOverlap', ['spec.target.newService.archive', 's3://backups/orders/below'],
                                service(archive={'repository': {'name': 'same-bucket'}, 'path': 'below'}), {}),
    'loopback': ('EndpointNotAllowed', ['BackupRepository local', 'spec.s3.endpoint'], from_source(
        {'archive': {'repository': {'name': 'local'}, 'path': 'orders'}}), {}),
    'stranger-statefulset': ('TargetNotEmpty', ['StatefulSet orders', 'spec.target.newService.name orders'],
                             service(), {}),
    'stranger-claim': ('TargetNotEmpty', ['PersistentVolumeClaim data-orders-0'], service(), {}),
    'stranger-service': ('TargetNotEmpty', ['Service orders'], service(), {}),
}
# Not there yet is no refusal at once: Git may apply it a moment later.
WAITING = {
    'repository-missing': ('RepositoryNotFound', ['BackupRepository nowhere'], from_source(
        {'archive': {'repository': {'name': 'nowhere'}, 'path': 'orders'}})),
    'own-repository-missing': ('RepositoryNotFound', ['BackupRepository nowhere'], service(
        archive={'repository': {'name': 'nowhere'}, 'path': 'orders'})),
    'service-missing': ('ServiceNotFound', ['ManagedService billing'], from_source({'service': {'name': 'billing'}})),
    'secret-missing': ('ContainerNotCreated', ['secret "gone" not found'], from_source(
        {'archive': {'repository': {'name': 'without-secret'}, 'path': 'orders'}})),
}
LABELS = {'labels': {'stranger': 'yes'}}
BAD_NAMES = {'of 53 characters': 'a' * 53, 'with dots': 'orders.staging', 'in upper case': 'Orders', 'empty': '',
             'ending with a dash': 'orders-', 'beginning with a digit': '1orders'}


class RefusalTests(Case):
    def strangers(self, case, space):
        """What stands in the way before the run."""
        claim = {'accessModes': ['ReadWriteOnce'], 'resources': {'requests': {'storage': '1Mi'}}}
        pod = {'metadata': {'labels': {'app': 'x'}}, 'spec': {'containers': [{'name': 'x', 'image': 'x'}]}}
        if case == 'stranger-statefulset':
            self.api.create('StatefulSet', space, {'metadata': {'name': 'orders', **LABELS}, 'spec': {
                'serviceName': 'x', 'replicas': 0, 'selector': {'matchLabels': {'app': 'x'}}, 'template': pod}})
        if case == 'stranger-claim':
            self.api.create('PersistentVolumeClaim', space, {
                'metadata': {'name': 'data-orders-0', **LABELS}, 'spec': claim})
        if case == 'stranger-service':
            self.api.create('Service', space, {'metadata': {'name': 'orders', **LABELS}, 'spec': {
                'ports': [{'port': 80}]}})
        others = {'same-bucket': repository(prefix='orders'), 'local': repository(endpoint='https://127.0.0.1:9000'),
                  'without-secret': repository(secret='gone')}
        for name, spec in others.items():
            self.api.create('BackupRepository', space, {'metadata': {'name': name}, 'spec': spec})

    def begin(self, cases):
        """All at once; a case that the API server's own schema refuses already is left out, and named."""
        begun = {}
        for case, told in cases.items():
            space = self.namespace(case)
            self.strangers(case, space)
            if len(told) > 3:
                self.node.behave(space, results=told[3])
            spec = {key: value for key, value in copy.deepcopy(told[2]).items() if value is not None}
            archive = spec['target']['newService'].get('archive', 1)
            if archive is None:
                del spec['target']['newService']['archive']
            self.api.create('RestoreRun', space, {'metadata': {'name': 'orders'}, 'spec': spec})
            begun[case] = space
        return begun

    def test_refused_with_reason_and_nothing_made(self):
        self.environment.controller().wait_leading()
        for case, space in self.begin(REFUSED).items():
            reason, words = REFUSED[case][:2]
            with self.subTest(case):
                run = self.wait_state(space, 'Failed')
                planned, finished = condition(run, 'Planned'), condition(run, 'Finished')
                self.assertEqual((planned['status'], planned['reason'], finished['reason']), ('False', reason, reason))
                for word in words:
                    self.assertIn(word, planned['message'])
                self.check_told(space, run, reason, words)
                self.assert_nothing_made(space)

    def check_told(self, space, run, reason, words):
        until(f'Event {reason} with {words[0]}', 10, lambda: [
            event for event in self.events(space, type='Warning', reason=reason) if words[0] in event['message']])
        row = until('the row is terminal', 10, lambda: [
            row for row in self.environment.rows(run['metadata']['uid']) if row['status'] == 'failed'])[0]
        self.assertEqual(row['failed_phase'], 'prepare')
        self.assertIn(words[0], row['error_message'])
        self.assertEqual(self.environment.audit(run['metadata']['uid']), ['accepted', 'refused'])

    def test_what_is_not_there_yet_is_waited_for(self):
        self.environment.controller().wait_leading()
        begun = self.begin(WAITING)
        for case, space in begun.items():
            reason, words = WAITING[case][:2]
            with self.subTest(case):
                def look():
                    run = self.api.get('RestoreRun', space, 'orders')
                    return run if condition(run, 'Stalled').get('reason') == reason else None
                run = until(lambda: self.describe(space), 30, look)
                for word in words:
                    self.assertIn(word, condition(run, 'Stalled')['message'])
                self.assertEqual(run['status']['state'], 'Pending')
                until(f'Event {reason}', 10, lambda: self.events(space, type='Warning', reason=reason))
                self.assertEqual(self.environment.rows(run['metadata']['uid'])[0]['status'], 'pending')
                self.assert_nothing_made(space)
        for case in ('repository-missing', 'own-repository-missing'):
            path = {'prefix': 'elsewhere'} if case.startswith('own') else {}
            self.api.create('BackupRepository', begun[case], {
                'metadata': {'name': 'nowhere'}, 'spec': repository(**path)})
        self.api.create('Secret', begun['secret-missing'], {'metadata': {'name': 'gone'}, 'stringData': {
            'AWS_ACCESS_KEY_ID': 'key', 'AWS_SECRET_ACCESS_KEY': 'secret'}})
        for case in ('repository-missing', 'own-repository-missing', 'secret-missing'):
            with self.subTest(case + ', and then it comes'):
                self.wait_state(begun[case], 'Completed')

    def test_a_bad_name_is_refused_by_the_api_server(self):
        """Its schema names field and value. What a schema without CEL lets through is in the other table."""
        space = self.namespace('names')
        for what, name in BAD_NAMES.items():
            for kind, spec in (('RestoreRun', run_spec('x', new_service(name))), ('ServiceClone', clone_spec(name))):
                with self.subTest(what, kind=kind), self.assertRaises(ApiError) as refused:
                    self.api.create(kind, space, {'metadata': {'name': 'orders'}, 'spec': spec})
                self.assertEqual(refused.exception.status, 422)
                self.assertRegex(refused.exception.message, r'spec\.(target\.newService|service)\.name')
                self.assertIn(name or '""', refused.exception.message)
        text = json.dumps({'apiVersion': 'reprise.dev/v1alpha1', 'kind': 'ServiceClone', 'spec': clone_spec('Orders'),
                           'metadata': {'name': 'orders', 'namespace': space}})
        done = self.environment.kubectl('apply', '-f', '-', stdin=text, check=False)
        self.assertIn('spec.service.name', done.stderr)
        self.assert_nothing_made(space)

    def test_a_moment_without_a_zone_is_refused_by_the_api_server(self):
        space = self.namespace('zone')
        for moment in ('2026-05-27T18:30:00', '2026-05-27 18:30:00 UTC', '2026-05-27'):
            with self.subTest(moment), self.assertRaises(ApiError) as refused:
                self.api.create('RestoreRun', space, {'metadata': {'name': 'orders'}, 'spec': at(moment)})
            self.assertEqual(refused.exception.status, 422)
            self.assertIn('spec.recoveryTarget.time', refused.exception.message)
        self.assert_nothing_made(space)

    def test_a_clone_shows_its_run_s_refusal_and_does_not_try_again(self):
        self.environment.controller().wait_leading()
        space = self.namespace('clone-refused')
        self.make_clone(space, service=new_service('orders', image=OTHER_IMAGE))

        def look():
            clone = self.api.get('ServiceClone', space, 'orders')
            return clone if condition(clone, 'Stalled').get('status') == 'True' else None
        clone = until(lambda: self.describe(space), 30, look)
        self.assertEqual(condition(clone, 'Ready')['reason'], 'ImageNotAllowed')
        self.assertIn(OTHER_IMAGE, condition(clone, 'Ready')['message'])
        self.assertEqual(len(self.api.items('RestoreRun', space)), 1)
        self.assert_nothing_made(space)
        self.api.patch('ServiceClone', space, 'orders', {'spec': {'requestID': 'again', 'service': {'image': IMAGE}}})
        self.wait_ready(space)


if __name__ == '__main__':
    unittest.main()
