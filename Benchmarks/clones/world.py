# SPDX-License-Identifier: Apache-2.0
"""What the benchmark runs in: the environment that hack/bench.sh has brought up, the controller and the node as
processes, and watchers that note when things happen.

    REPRISE_RUN            folder of an environment with a control plane and a ledger
    REPRISE_CONTROLLER     the controller's binary, optimised
"""
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / 'Tests' / 'Integration'))
import figures  # noqa: E402
from api_client import Api, ApiError  # noqa: E402
from harness import SYSTEM, Controller, Environment, clone_spec, condition, repository, until  # noqa: E402


class World(Environment):
    """The environment of the integration tests, with a node that is a process of its own."""

    def __init__(self):
        # Not the one of the tests: that starts a node for tests inside this process.
        self.run = pathlib.Path(os.environ['REPRISE_RUN'])
        self.binary = os.environ['REPRISE_CONTROLLER']
        self.kubeconfig = self.run / 'kubeconfig'
        self.api = Api(self.run, agent='reprise-bench')
        self.audit = figures.Audit(self.run / 'log' / 'audit.log')
        self.number, self.lock = 0, threading.Lock()
        self.node = self.node_log = self.process = None

    def prepare(self, namespaces):
        """Kinds, rights, the node, and namespaces with what clones need: two repositories, a Secret with keys."""
        self.install_crds()
        self.kubectl('apply', '-f', str(HERE.parents[1] / 'deploy' / 'rbac.yaml'))
        self.rights = self.account(SYSTEM, 'reprise-controller')
        self.start_node()
        for name in namespaces:
            self.make_namespace(name)
            self.api.create('Secret', name, {'metadata': {'name': 'keys'}, 'stringData': {
                'AWS_ACCESS_KEY_ID': 'key', 'AWS_SECRET_ACCESS_KEY': 'secret'}})
            self.api.create('BackupRepository', name, {'metadata': {'name': 'source'}, 'spec': repository()})
            self.api.create('BackupRepository', name, {
                'metadata': {'name': 'own'}, 'spec': repository(bucket='clones', prefix=name)})

    def make_clone(self, api, namespace, name):
        api.create('ServiceClone', namespace, {'metadata': {'name': name}, 'spec': clone_spec(name)})

    # ------------------------------------------------------------ processes

    def start_node(self):
        self.node_log = open(self.run / 'log' / 'node.log', 'wb')  # noqa: SIM115, as long as the node
        self.node = subprocess.Popen(
            [sys.executable, '-B', str(HERE / 'node.py'), str(self.run)], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=self.node_log, text=True, start_new_session=True)
        assert self.node.stdout.readline() == 'playing\n', f'the node did not start: {self.run}/log/node.log'

    def end_node(self):
        """What went wrong in it."""
        said, _ = self.node.communicate('', timeout=20)
        return json.loads(said.splitlines()[-1])

    def start_controller(self):
        """At the moment when it was started."""
        self.process = QuietController(self, 'controller')
        began = time.monotonic()
        self.process.start()
        return began

    def stop_controller(self):
        """As its Deployment would: with SIGTERM, so that it gives back the Lease."""
        self.process.send(signal.SIGTERM)
        self.process.process.wait(timeout=30)

    def end(self):
        """Whatever still runs of what this process started."""
        if self.process and self.process.process.poll() is None:
            self.process.kill()
        if self.node and self.node.poll() is None:
            self.node.kill()
            self.node.wait()

    def processes(self):
        """{name: PID} of all whose processor time is told."""
        found = {'controller': self.process.process.pid, 'node stand-in': self.node.pid, 'benchmark': os.getpid()}
        for group in ('kube', 'ledger'):
            for line in (self.run / 'pids' / group).read_text().splitlines():
                name, process = line.split()[:2]
                found[name] = int(process)
        return found

    def cpu(self):
        """Processor seconds so far by process, and of the whole machine."""
        spent = {name: figures.cpu_of_tree(process) if name == 'ledger' else figures.cpu_of(process)
                 for name, process in self.processes().items()}
        return {**spent, 'machine': figures.machine_busy()}

    def ledger_commits(self):
        return int(self.sql("select xact_commit from pg_stat_database where datname = 'reprise'")[0][0])


class QuietController(Controller):
    """The real binary, logging what it logs in production."""

    def start(self):
        with socket.socket() as probe:
            probe.bind(('127.0.0.1', 0))
            self.port = probe.getsockname()[1]
        self.environment.number += 1
        self.log = self.environment.run / 'log' / f'{self.name}-{self.environment.number}.log'
        command = [self.environment.binary, '--agent-image', 'reprise/agent:bench', '--kubeconfig',
                   str(self.kubeconfig), '--namespace', self.namespace, '--listen', f'127.0.0.1:{self.port}',
                   '--identity', self.name, *os.environ.get('BENCH_CONTROLLER_FLAGS', '').split()]
        variables = {**os.environ, 'REPRISE_LEDGER': self.environment.conninfo}
        with open(self.log, 'wb') as out:
            self.process = subprocess.Popen(command, env=variables, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        return self

    def metrics(self):
        """{name with labels: value}; empty while nothing answers."""
        found = {}
        for line in self.probe('/metrics')[1].splitlines():
            if line and not line.startswith('#'):
                name, _, value = line.rpartition(' ')
                found[name] = float(value)
        return found

    def events(self):
        """{event: how often since the process began}."""
        head = 'reprise_events_total{'
        return {name.split('event="')[1][:-2]: int(value) for name, value in self.metrics().items()
                if name.startswith(head)}


class Moments:
    """When each StatefulSet was first seen and each clone was first Ready, by (namespace, name), on this process'
    monotonic clock: the moment at which a watch told it. Timestamps in objects are of whole seconds."""

    def __init__(self, run):
        self.made, self.appeared, self.ready, self.trouble = {}, {}, {}, []
        for kind, note in (('StatefulSet', self.note_set), ('ServiceClone', self.note_clone)):
            api = Api(run, agent='reprise-bench')
            version = api.list(kind)['metadata']['resourceVersion']  # from here on nothing is missed
            threading.Thread(target=self.follow, args=(api, kind, version, note), daemon=True, name=kind).start()

    def follow(self, api, kind, version, note):
        while True:
            try:
                for event, thing in api.watch(kind, None, version, seconds=3600):
                    moment = time.monotonic()
                    version = thing['metadata']['resourceVersion']
                    if event in ('ADDED', 'MODIFIED'):
                        note((thing['metadata']['namespace'], thing['metadata']['name']), thing, moment)
            except ApiError as error:  # a hole in what was seen would falsify the figures
                self.trouble.append(f'the watch of {kind} broke: {error}')
                return

    def note_set(self, key, thing, moment):
        self.appeared.setdefault(key, moment)

    def note_clone(self, key, thing, moment):
        if key not in self.ready and condition(thing, 'Ready').get('status') == 'True':
            self.ready[key] = moment

    def since_made(self, moments, keys):
        return [moments[key] - self.made[key] for key in keys if key in moments]


def wait_for_all(what, seconds, keys, moments, trouble, tell):
    """Until `moments` has every key; tells how many there are every ten seconds."""
    told = time.monotonic()

    def look():
        nonlocal told
        if trouble:
            raise RuntimeError(trouble[0])
        if time.monotonic() - told > 10:
            told = time.monotonic()
            tell(f'{sum(key in moments for key in keys)} of {len(keys)} {what}')
        return all(key in moments for key in keys)
    until(lambda: f'{[key for key in keys if key not in moments][:5]} and others are not {what}', seconds, look, 0.1)
