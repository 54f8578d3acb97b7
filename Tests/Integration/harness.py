# SPDX-License-Identifier: Apache-2.0
"""What the integration tests share: the environment they run in, controllers as processes, waiting, and manifests.

    REPRISE_RUN            folder of an environment with a control plane and a ledger (hack/test-integration.sh)
    REPRISE_CONTROLLER     the controller's binary
"""
import json
import os
import pathlib
import signal
import socket
import subprocess
import threading
import time
import unittest
import urllib.error
import urllib.request

from api_client import Api, ApiError
from kubelet_stand_in import KubeletStandIn

ROOT = pathlib.Path(__file__).resolve().parents[2]
IMAGE = 'docker.io/reprise/postgres-walg:15'
SYSTEM = 'reprise-system'
STEPS = ['Claim', 'Provision', 'Restore', 'Quiesce', 'Seal', 'Open', 'Serve', 'Backup', 'CompareSource']


def until(what, seconds, look, every=0.05):
    """Looks until there is something, and gives it. An API server that is away counts as nothing."""
    deadline = time.monotonic() + seconds
    seen = None
    while True:
        try:
            seen = look()
        except ApiError as error:
            seen = None
            problem = str(error)
        else:
            problem = ''
        if seen:
            return seen
        if time.monotonic() > deadline:
            raise AssertionError(f'not within {seconds} s: {what() if callable(what) else what} {problem}')
        time.sleep(every)


def condition(thing, kind):
    for item in (thing or {}).get('status', {}).get('conditions', []):
        if item['type'] == kind:
            return item
    return {}


def state(run):
    return (run or {}).get('status', {}).get('state')


class Environment:
    """One control plane, one ledger, one node stand-in; made once for each test process."""

    shared = None

    @classmethod
    def get(cls):
        if cls.shared is None:
            cls.shared = cls()
        return cls.shared

    def __init__(self):
        if 'REPRISE_RUN' not in os.environ or 'REPRISE_CONTROLLER' not in os.environ:
            raise RuntimeError('REPRISE_RUN and REPRISE_CONTROLLER are missing: run hack/test-integration.sh')
        self.run = pathlib.Path(os.environ['REPRISE_RUN'])
        self.binary = os.environ['REPRISE_CONTROLLER']
        self.kubeconfig = self.run / 'kubeconfig'
        self.api = Api(self.run)
        self.controllers = []
        self.number = 0
        self.lock = threading.Lock()
        self.install_crds()
        self.kubectl('apply', '-f', str(ROOT / 'deploy' / 'rbac.yaml'))
        self.rights = self.account(SYSTEM, 'reprise-controller')
        self.node = KubeletStandIn(self.run).start()

    def hack(self, script, *arguments, **variables):
        command = [str(ROOT / 'hack' / script), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **variables}, check=False)
        assert done.returncode == 0, f'{command}: {done.stdout}\n{done.stderr}'

    def kubectl(self, *arguments, stdin=None, check=True):
        command = ['kubectl', '--kubeconfig', str(self.kubeconfig), *arguments]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=60, check=False)
        if check:
            assert done.returncode == 0, f'{arguments}: {done.stdout}\n{done.stderr}'
        return done

    def install_crds(self):
        """1.20 knows no CEL in schemas, so kubectl must not check them there; the server drops the rules."""
        self.kubectl('apply', '--validate=false', '-f', str(ROOT / 'crds'))
        self.kubectl('wait', '--for=condition=Established', '--timeout=30s', '-f', str(ROOT / 'crds'))

    def make_namespace(self, name):
        try:
            self.api.create('Namespace', None, {'metadata': {'name': name}})
        except ApiError as error:
            if error.status != 409:
                raise
        return name

    def account(self, namespace, name, port=None):
        """A kubeconfig for a ServiceAccount, so that a controller has its role's rights and no others."""
        token = self.api.call('POST', f'/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token', {
            'apiVersion': 'authentication.k8s.io/v1', 'kind': 'TokenRequest', 'spec': {}})['status']['token']
        port = port or self.api.port
        file = self.run / f'{name}-{port}.kubeconfig'
        authority = str(self.run / 'pki' / 'ca.crt')
        cluster = {'server': f'https://127.0.0.1:{port}', 'certificate-authority': authority}
        file.write_text(json.dumps({
            'apiVersion': 'v1', 'kind': 'Config', 'current-context': 'x',
            'clusters': [{'name': 'x', 'cluster': cluster}],
            'contexts': [{'name': 'x', 'context': {'cluster': 'x', 'user': 'x'}}],
            'users': [{'name': 'x', 'user': {'token': token}}]}))
        file.chmod(0o600)
        return file

    # ------------------------------------------------------------ the ledger

    @property
    def conninfo(self):
        return (self.run / 'ledger.conninfo').read_text().strip()

    def sql(self, statement):
        """Rows as lists of texts."""
        done = subprocess.run(['psql', '-XAt', '-F', '\x1f', '-v', 'ON_ERROR_STOP=1', self.conninfo, '-c', statement],
                              capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return [line.split('\x1f') for line in done.stdout.splitlines()]

    def rows(self, uid):
        keys = ['status', 'phase', 'failed_phase', 'attempt', 'error_message', 'target_service_name', 'bytes_restored',
                'source_backup', 'target_uid', 'epoch']
        found = self.sql(f"select {','.join(keys)} from reprise.restore_runs where run_uid = '{uid}'")
        return [dict(zip(keys, row)) for row in found]

    def audit(self, uid):
        found = self.sql(f"select operation from reprise.restore_audit where run_uid = '{uid}' order by sequence")
        return [row[0] for row in found]

    # ------------------------------------------------------------ controllers

    def controller(self, name='controller', **options):
        process = Controller(self, name, **options)
        self.controllers.append(process)
        return process.start()

    def free_lease(self, namespace=SYSTEM):
        """Gives back the lease of a controller that was killed, so that a test need not sit out its 15 s."""
        lease = self.api.get('Lease', namespace, 'reprise-controller')
        if lease and lease['spec'].get('holderIdentity'):
            self.api.patch('Lease', namespace, 'reprise-controller', {'spec': {'holderIdentity': ''}})

    def end_controllers(self):
        for process in self.controllers:
            process.end()
        self.controllers = []
        self.free_lease()


class Controller:
    """The real binary, as a process."""

    def __init__(self, environment, name, namespace=SYSTEM, kubeconfig=None, ledger=None):
        self.environment, self.name, self.namespace = environment, name, namespace
        self.kubeconfig = kubeconfig or environment.rights
        self.ledger = ledger
        self.process, self.log, self.is_supervised = None, None, False

    def start(self):
        with socket.socket() as probe:
            probe.bind(('127.0.0.1', 0))
            self.port = probe.getsockname()[1]
        with self.environment.lock:
            self.environment.number += 1
            number = self.environment.number
        folder = self.environment.run / 'log'
        self.log = folder / f'{self.name}-{number}.log'
        command = [self.environment.binary, '--agent-image', 'reprise/agent:test', '--kubeconfig', str(self.kubeconfig),
                   '--namespace', self.namespace, '--listen', f'127.0.0.1:{self.port}', '--identity', self.name,
                   '--verbose']
        variables = {**os.environ, 'REPRISE_LEDGER': self.ledger or self.environment.conninfo}
        with open(self.log, 'wb') as out:
            self.process = subprocess.Popen(command, env=variables, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        return self

    def send(self, number):
        self.process.send_signal(number)

    def kill(self):
        """SIGKILL: nothing is finished, nothing is given back."""
        self.process.kill()
        self.process.wait()

    def supervise(self):
        """Starts it again whenever it ends, as its Deployment would. What it said before is forgotten."""
        self.is_supervised = True
        threading.Thread(target=self.supervise_forever, daemon=True).start()
        return self

    def supervise_forever(self):
        while self.is_supervised:
            self.process.wait()
            time.sleep(0.5)
            if self.is_supervised:
                self.start()

    def end(self):
        self.is_supervised = False
        if self.process.poll() is None:
            self.send(signal.SIGCONT)
            self.kill()

    def restart_after_kill(self):
        self.kill()
        self.environment.free_lease(self.namespace)
        return self.start()

    def lines(self):
        """Its log, each line decoded; one that is cut off by a kill is left out."""
        found = []
        for line in self.log.read_text(errors='replace').splitlines():
            try:
                found.append(json.loads(line))
            except ValueError:
                continue
        return found

    def said(self, message, **fields):
        return [line for line in self.lines() if line['message'] == message
                and all(line.get(key) == value for key, value in fields.items())]

    def probe(self, path):
        """Status and text; (0, '') while nothing answers."""
        try:
            with urllib.request.urlopen(f'http://127.0.0.1:{self.port}{path}', timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ''

    def metric(self, name):
        for line in self.probe('/metrics')[1].splitlines():
            if line.startswith(name + ' ') or line.startswith(name + '{'):
                return float(line.rsplit(' ', 1)[1])
        return None

    def leads(self):
        return self.probe('/readyz') == (200, 'leading\n')

    def wait_leading(self, seconds=30):
        until(lambda: f'{self.name} leads: {self.log.read_text()[-1500:]}', seconds, self.leads)
        return self


# ---------------------------------------------------------------- manifests

def repository(endpoint='https://s3.example.org', bucket='backups', prefix='', secret='keys'):
    # Those of earlier tests are still there: looked at every five minutes, their Jobs come in the way of later ones, and no
    # test waits for the second look.
    spec = {'s3': {'endpoint': endpoint, 'bucket': bucket}, 'credentials': {'secretRef': {'name': secret}},
            'allowedImages': [IMAGE.rsplit(':', 1)[0]], 'scan': {'interval': '1h'}}
    if prefix:
        spec['s3']['prefix'] = prefix
    return spec


def new_service(name, archive=True, **changes):
    own = {'repository': {'name': 'own'}, 'path': name, 'schedule': '0 3 * * *'} if archive else {'mode': 'Disabled'}
    return {'name': name, 'image': IMAGE, 'major': 15, 'storage': {'size': '100Mi'}, 'archive': own, **changes}


SOURCE = {'archive': {'repository': {'name': 'source'}, 'path': 'orders'}}


def clone_spec(name, **changes):
    return {'source': SOURCE, 'recoveryTarget': {'kind': 'Latest'}, 'service': new_service(name), **changes}


def run_spec(name, service=None, **changes):
    return {'mode': 'NewService', 'source': SOURCE, 'target': {'newService': service or new_service(name)},
            'recoveryTarget': {'kind': 'Latest'}, **changes}


class Case(unittest.TestCase):
    """A test with the environment, and namespaces of its own."""

    def setUp(self):
        self.environment = Environment.get()
        self.api, self.node = self.environment.api, self.environment.node
        self.addCleanup(self.environment.end_controllers)

    def namespace(self, hint):
        """A namespace with what a clone needs: two repositories and the Secret with their keys."""
        name = self.environment.make_namespace(f'{hint}-{os.urandom(3).hex()}')
        self.api.create('Secret', name, {'metadata': {'name': 'keys'}, 'stringData': {
            'AWS_ACCESS_KEY_ID': 'key', 'AWS_SECRET_ACCESS_KEY': 'secret'}})
        self.api.create('BackupRepository', name, {'metadata': {'name': 'source'}, 'spec': repository()})
        self.api.create('BackupRepository', name, {
            'metadata': {'name': 'own'}, 'spec': repository(bucket='clones', prefix=name)})
        return name

    def make_clone(self, namespace, name='orders', **changes):
        return self.api.create('ServiceClone', namespace, {
            'metadata': {'name': name}, 'spec': clone_spec(name, **changes)})

    def make_run(self, namespace, name='orders', **changes):
        return self.api.create('RestoreRun', namespace, {'metadata': {'name': name}, 'spec': run_spec(name, **changes)})

    def the_run(self, namespace):
        runs = self.api.items('RestoreRun', namespace)
        return runs[0] if runs else None

    def wait_ready(self, namespace, name='orders', seconds=60):
        def look():
            clone = self.api.get('ServiceClone', namespace, name)
            return clone if condition(clone, 'Ready').get('status') == 'True' else None
        return until(lambda: self.describe(namespace), seconds, look)

    def wait_state(self, namespace, wanted, name='orders', seconds=60):
        def look():
            run = self.api.get('RestoreRun', namespace, name)
            return run if state(run) == wanted else None
        return until(lambda: f'{namespace} is {wanted}: {self.describe(namespace)}', seconds, look)

    def describe(self, namespace):
        """What a reader of a failure needs first."""
        told = []
        for kind in ('ServiceClone', 'RestoreRun'):
            for item in self.api.items(kind, namespace):
                status = item.get('status', {})
                told.append(f'{kind} {status.get("state")}/{status.get("phase")}: {status.get("message")}')
        pods = [f'{pod["metadata"]["name"]}={pod.get("status", {}).get("phase")}'
                for pod in self.api.items('Pod', namespace)]
        logs = '\n'.join(str(line) for one in self.environment.controllers for line in one.lines()[-6:])
        return f'{namespace}: {told} {pods}\n{logs}'

    def assert_one_of_each(self, namespace, name='orders'):
        """Whatever happened on the way: one run, one StatefulSet, one claim, one volume restored once, one row."""
        for kind in ('RestoreRun', 'StatefulSet', 'PersistentVolumeClaim'):
            found = [item['metadata']['name'] for item in self.api.items(kind, namespace)]
            self.assertEqual(len(found), 1, f'{namespace}: {kind} {found}')
        run = self.the_run(namespace)
        uid = run['metadata']['uid']
        self.assertEqual(state(run), 'Completed', run.get('status'))
        claim = self.api.items('PersistentVolumeClaim', namespace)[0]
        self.assertEqual(run['status']['restore']['claimUID'], claim['metadata']['uid'])
        target = self.api.get('StatefulSet', namespace, name)
        self.assertEqual(run['status']['restore']['targetUID'], target['metadata']['uid'])
        self.assertEqual(run['status']['restore']['completedSteps'], STEPS)
        rows = until(f'{namespace}: the row is completed', 20, lambda: [
            row for row in self.environment.rows(uid) if row['status'] == 'completed'])
        self.assertEqual(len(self.environment.sql(
            f"select 1 from reprise.restore_runs where namespace = '{namespace}'")), 1)
        self.assertEqual(rows[0]['target_uid'], target['metadata']['uid'])
        self.assertEqual(self.environment.audit(uid), ['accepted', 'started', 'finished'])
        self.assert_volumes()
        return run

    def assert_volumes(self):
        self.assertEqual(self.node.volumes.violations, [])

    def assert_nothing_made(self, namespace):
        """But what a stranger made before."""
        for kind in ('StatefulSet', 'PersistentVolumeClaim', 'Service'):
            self.assertEqual([item['metadata']['name'] for item in self.api.items(kind, namespace)
                              if item['metadata'].get('labels', {}).get('stranger') != 'yes'], [], kind)
        secrets = [item['metadata']['name'] for item in self.api.items('Secret', namespace)
                   if item['type'] == 'Opaque' and item['metadata']['name'] != 'keys']
        self.assertEqual(secrets, [], 'Secret')

    def events(self, namespace, **fields):
        return [item for item in self.api.items('Event', namespace)
                if all(item.get(key) == value for key, value in fields.items())]
