# SPDX-License-Identifier: Apache-2.0
"""What programs/postgres/inplace.sh would do to a service's volume, as far as its controller can tell.

A stand-in: a volume is a dictionary here. What it holds for its server stands at its top; data that is set aside in `held`;
data that runs have replaced in `kept`. The real program has tests of its own (Tests/Programs).
"""
from stand_in_programs import SYSTEM, START

DATA = ('system', 'timeline', 'start', 'rows')
OWN_ROWS = 'what the service had'


def first_data(volume):
    """A user's own server on its first start."""
    volume.update(system=SYSTEM, timeline=1, start=START, source=None, rows=OWN_ROWS)


class Program:
    """One start of it, in a pod."""

    def __init__(self, volumes, claim, pod, environment):
        self.volumes, self.claim, self.pod, self.environment = volumes, claim, pod, environment
        self.volume = volumes.content.setdefault(claim, {})
        self.run = environment['REPRISE_RUN_UID']
        self.action = environment['REPRISE_ACTION']

    def begin(self):
        """What it does first. Gives its result; or None when it has more to do, which `end` does later."""
        if self.action == 'inspect':
            return self.inspect()
        if self.action == 'undo':
            return self.result(undone=self.put_back(), swapped=self.volume.get('swapped_by') == self.run)
        if self.action == 'tidy':
            for run in self.environment['REPRISE_TIDY'].split():
                self.volume.get('kept', {}).pop(run, None)
            return self.result(kept=[])
        return self.hold()

    def end(self):
        """Recovered and verified: the new data gets its name."""
        if self.volume.get('swapped_by') == self.run:
            return self.hold()
        held = self.volume.get('held')
        if not held or held['run'] != self.run:
            return self.result('SwapFailed', swapped=False)
        failed = [one for one in self.checks() if not one['passed']]
        if failed:
            return self.result('VerificationFailed', swapped=False, undone=self.put_back(), checks=self.checks())
        self.not_beside_a_server('gives new data its name')
        old = held['data']
        if held['rollback']:
            data = dict(held['rollback']['data'])
        else:
            data = {'system': self.environment['REPRISE_EXPECT_SYSTEM_IDENTIFIER'], 'rows': f'restored by {self.run}',
                    'start': self.environment['REPRISE_EXPECT_START_LSN']}
        data['timeline'] = max(old['timeline'], data.get('timeline', 1)) + 1
        self.volume.setdefault('kept', {})[self.run] = old
        self.volume.update(data, swapped_by=self.run)
        del self.volume['held']
        return self.result(
            swapped=True, systemIdentifier=data['system'], timeline=data['timeline'], parentTimeline=old['timeline'],
            historyReason='no recovery target specified', switchLsn='0/90001B0', serverVersionNum=150015,
            dataBytes=31_000_000, backupLabel={'startWalLocation': data['start']}, checks=self.checks())

    def interrupted(self):
        """Told to leave: the trap puts the old data back."""
        if self.action in ('restore', 'rollback'):
            self.put_back()

    # ------------------------------------------------------------

    def result(self, code='OK', **facts):
        return {'v': 1, 'program': 'inplace', 'attempt': self.environment['REPRISE_ATTEMPT_TOKEN'], 'code': code,
                'step': self.action, 'reasons': [], **facts}

    def inspect(self):
        data = self.volume.get('held', {}).get('data') or self.volume
        kept = [{'run': run, 'bytes': 31_000_000, 'hasPreRestore': True} for run in self.volume.get('kept', {})]
        held = self.volume.get('held', {}).get('run')
        return self.result(
            major='15', systemIdentifier=data.get('system'), timeline=data.get('timeline'), freeBytes=20 << 30,
            controlState='in production', dataBytes=31_000_000, leftovers=kept, **({'heldBy': held} if held else {}))

    def hold(self):
        if self.volume.get('swapped_by') == self.run:
            return self.result(swapped=True, already=True)
        held = self.volume.get('held')
        if held:
            return None if held['run'] == self.run else self.result('HeldByOther', swapped=False)
        if self.volumes.servers(self.claim):  # quicker than this program: nothing is touched
            return self.result('ReplicasChangedByOther', swapped=False, undone=False)
        rollback, earlier = None, self.environment.get('REPRISE_ROLLBACK_OF')
        if earlier:
            data = self.volume.get('kept', {}).pop(earlier, None)
            if data is None:
                return self.result('NothingToRollBack', swapped=False, undone=False)
            rollback = {'run': earlier, 'data': data}
        data = {name: self.volume.pop(name) for name in DATA}
        self.volume['held'] = {'run': self.run, 'data': data, 'rollback': rollback}
        return None

    def put_back(self):
        held = self.volume.get('held')
        if not held or held['run'] != self.run:
            return False
        self.not_beside_a_server('puts old data back')
        if held['rollback']:
            self.volume.setdefault('kept', {})[held['rollback']['run']] = held['rollback']['data']
        self.volume.update(held['data'])
        del self.volume['held']
        return True

    def not_beside_a_server(self, what):
        for server in self.volumes.servers(self.claim):
            self.volumes.violations.append(f'{self.pod} {what} beside the server {server}')

    def checks(self):
        """A check holds unless its query says that it does not."""
        found = []
        for number in range(1, int(self.environment.get('REPRISE_CHECKS') or 0) + 1):
            query = self.environment[f'REPRISE_CHECK_{number}_QUERY']
            found.append({'name': self.environment[f'REPRISE_CHECK_{number}_NAME'], 'passed': 'false' not in query,
                          'milliseconds': 2})
        return found
