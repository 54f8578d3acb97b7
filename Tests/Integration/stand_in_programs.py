# SPDX-License-Identifier: Apache-2.0
"""What the containers of Reprise's Jobs would have said: framed results, from a volume's imagined content.

A stand-in for the agent's scans and for programs/postgres/*.sh; the real ones have tests of their own.
"""
import base64
import gzip
import hashlib
import json
import re

SYSTEM = '7300000000000000001'
START = '0/4000028'
BACKUP = 'base_000000010000000000000004'
JOB_NAME = re.compile(r'^reprise-[0-9a-f-]+-(scan-source|scan-archive|seal|backup|compare|catalog-\d+|'
                      r'inspect|recheck|replace|undo|tidy)-(\d+)$')
ON_SERVICES_VOLUMES = ('inspect', 'recheck', 'replace', 'undo', 'tidy')  # stand_in_inplace.py
CLONE_FROM = 'WALG_CLONE_FROM'


def scanned_backup(**changes):
    return {
        'name': BACKUP, 'lastModified': '2026-05-27T03:00:05Z', 'startTime': '2026-05-27T03:00:00Z',
        'finishTime': '2026-05-27T03:00:04Z', 'startLSN': START, 'finishLSN': '0/4000138', 'pgVersion': 150015,
        'systemIdentifier': SYSTEM, 'uncompressedSize': 30_000_000, 'compressedSize': 4_000_000, 'isDelta': False,
        'isPermanent': False, 'parts': 4, 'partBytes': 4_000_000, **changes}


def listing(path='prod/orders-db', **changes):
    segments = {'first': '000000010000000000000001', 'last': '000000010000000000000009',
                'firstModified': '2026-05-20T03:00:00Z', 'lastModified': '2026-05-27T03:59:00Z'}
    return {
        'v': 1, 'path': path, 'major': 15, 'segmentSize': 16 << 20, 'backups': [scanned_backup()], 'backupsTotal': 1,
        'ranges': [segments], 'timelines': [], 'objects': 12, 'seenAt': '2026-05-27T04:00:00Z', **changes}


def scan_source(attempt):
    return {
        'v': 1, 'attempt': attempt, 'code': 'OK', 'majors': [15], 'listing': listing(), 'objects': 12, 'sampleKeys': [],
        'fingerprint': {'keys': 12, 'digest': 'ab' * 32, 'at': '2026-05-27T04:00:00Z'}}


def scan_archive(attempt):
    return {**scan_source(attempt), 'majors': [], 'listing': None, 'objects': 0, 'fingerprint': None}


def catalog(attempt):
    """What the agent finds below a repository's prefix."""
    return {'v': 1, 'attempt': attempt, 'code': 'OK', 'archives': [
        {'path': listing()['path'], 'major': 15, 'listing': listing()}],
        'archivesTotal': 1, 'objects': 12, 'isFull': True, 'seconds': 0, 'unversioned': []}


def compare(attempt):
    return {**scan_source(attempt), 'comparison': {'unchanged': True, 'keys': 12, 'newHistories': []}}


def seal(attempt, volume, expected):
    result = {
        'v': 1, 'program': 'seal', 'attempt': attempt, 'code': 'OK', 'step': 'stop', 'reasons': [],
        'systemIdentifier': volume.get('system'), 'timeline': volume.get('timeline'), 'controlState': 'shut down',
        'inRecovery': False, 'serverVersionNum': 150015, 'dataBytes': 31_000_000, 'subscriptionsDisabled': 1,
        'rolesReset': 2, 'inheritedRecoverySettings': [], 'historyReason': 'no recovery target specified',
        'parentTimeline': 1, 'switchLsn': '0/90001B0'}
    if volume.get('start'):
        result['backupLabel'] = {'startWalLocation': volume['start'], 'startWalFile': '000000010000000000000004'}
    if volume.get('system') != expected:
        result.update(code='RestoreNotPerformed', step='inspect')
    return result


def backup(attempt):
    return {
        'v': 1, 'program': 'backup', 'attempt': attempt, 'code': 'OK', 'step': 'prove', 'reasons': [], 'backup': {
            'name': 'base_00000002000000000000000B', 'startLsn': '0/B000028', 'finishLsn': '0/B000138',
            'finishTime': '2026-05-27T05:00:00Z', 'uncompressedBytes': 31_000_000, 'compressedBytes': 4_100_000}}


def result_of(role, environment, volume):
    attempt = environment.get('REPRISE_ATTEMPT_TOKEN', '')
    if role == 'seal':
        return seal(attempt, volume, environment.get('REPRISE_EXPECT_SYSTEM_IDENTIFIER'))
    if role.startswith('catalog'):
        return catalog(attempt)
    makers = {'scan-source': scan_source, 'scan-archive': scan_archive, 'compare': compare, 'backup': backup}
    return makers[role](attempt)


def frame(result, spoil=''):
    """The container's log and its termination message. `spoil` breaks them in one of the ways that must be noticed."""
    if spoil == 'other-attempt':
        result = {**result, 'attempt': 'of-another/run/1'}
    text = json.dumps(result, ensure_ascii=False).encode()
    digest = hashlib.sha256(text).hexdigest()
    packed = gzip.compress(text, mtime=0)
    lines = [f'reprise-result v1 {len(text)} {digest}']
    for number, start in enumerate(range(0, len(packed), 3072), 1):
        lines.append(f'{number} {base64.b64encode(packed[start:start + 3072]).decode()}')
    if spoil != 'truncated':
        lines.append('reprise-end v1')
    if spoil == 'duplicated':
        lines += lines
    message = {'v': 1, 'code': result['code'], 'bytes': len(text), 'sha256': '0' * 64 if spoil == 'digest' else digest}
    log = 'reprise-step begin 0\n' + '\n'.join(lines) + '\n'
    return log, '' if spoil == 'no-message' else json.dumps(message)


class Volumes:
    """Imagined contents of persistent volumes, by the UID of their claim, and what was done wrong with them."""

    def __init__(self, file):
        self.file = file  # like real volumes they outlive the node's process
        self.content = json.loads(file.read_text()) if file.exists() else {}
        self.users = {}
        self.violations = []

    def attach(self, claim, pod, writes):
        """One user that writes at a time: a volume may be mounted twice on one node, a data directory may not be used
        by two servers."""
        users = self.users.setdefault(claim, {})
        others = [name for name, writing in users.items() if writing and name != pod]
        if writes and others:
            self.violations.append(f'{pod} and {others[0]} use the volume {claim} at the same time')
        users[pod] = writes
        return self.content.setdefault(claim, {})

    def detach(self, pod):
        for users in self.users.values():
            users.pop(pod, None)

    def servers(self, claim):
        """The pods that write to a claim's volume beside programs that work in place."""
        return [pod for pod, writes in self.users.get(claim, {}).items() if writes]

    def save(self):
        self.file.write_text(json.dumps(self.content))

    def start_server(self, claim, pod, image, environment):
        """What an image does with its data directory. Returns whether it restores."""
        volume = self.content[claim]
        if volume:
            return False
        restores = self.initialize(volume, claim, pod, image, environment)
        self.save()
        return restores

    def initialize(self, volume, claim, pod, image, environment):
        source = environment.get(CLONE_FROM)
        if source and not image.endswith('-initdb'):
            major = int(source.rsplit('/', 1)[1])
            volume.update(system=SYSTEM, timeline=2, start=START, source=source, major=major)
            return True
        if not source:
            self.violations.append(f'{pod} ran initdb: its volume {claim} is empty, and it has no {CLONE_FROM}')
        volume.update(system='7399999999999999999', timeline=1, start=None, source=None)
        return False
