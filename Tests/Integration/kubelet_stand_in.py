# SPDX-License-Identifier: Apache-2.0
"""A stand-in for the kubelet: one node that registers, binds pods to itself, and plays them without containers.

It is an API client as a kubelet is one, so that the API server, the StatefulSet, Job and volume controllers beside it
are the real ones. Logs are served over TLS where the API server asks a kubelet for them. What the containers would do
is in stand_in_programs.py; how fast, and what goes wrong, a test sets per namespace with `behave`.
"""
import copy
import datetime
import heapq
import itertools
import pathlib
import queue
import re
import threading
import time
import traceback

import stand_in_inplace as inplace
import stand_in_needs as needs
import stand_in_programs as programs
from api_client import Api, ApiError, path
from stand_in_logs import ContainerLog, LogServer

DEFAULTS = {
    # seconds
    'start': 0.05, 'fetch': 0.15, 'replay': 0.15, 'serve': 0.15, 'job': 0.1, 'stop': 0.1, 'swap': 0.2,
    'results': {},   # role -> fields that replace those of its result
    'spoil': {},     # role -> how its first results are broken, one word for each attempt
    'waiting': {},   # 'server' or role -> (reason, message) of a container that can't start
    'lines': {},     # stage -> what the server's container says when it begins, in place of LINES
    'hold': set(),   # stages that do not pass: 'server', 'fetch', 'replay', 'serve', 'stop', 'swap', or a Job's role
    'first': 0,      # how many servers may start on an empty volume, as a user's own does once
    'killed': set(), # roles whose programs end without a word when their pods are deleted, as by SIGKILL
}

# What a server's container says when it comes to a stage.
LINES = {
    'fetching': ["INFO: 2026/05/27 05:00:00.000000 LATEST backup is: 'base_000000010000000000000004'"],
    'replaying': ['INFO: 2026/05/27 05:00:01.000000 Finished extraction of part_001.tar.lz4',
                  'INFO: 2026/05/27 05:00:01.000000 Backup extraction complete.',
                  'LOG:  starting archive recovery'],
    'restored': ['LOG:  restored log file "000000010000000000000005" from archive',
                 'LOG:  restored log file "000000010000000000000006" from archive',
                 'LOG:  archive recovery complete'],
    'ready': ['LOG:  database system is ready to accept connections'],
}


def now():
    return datetime.datetime.now(datetime.timezone.utc).strftime('%Y-%m-%dT%H:%M:%SZ')


class PlayedPod:
    """A pod as this node knows it."""

    def __init__(self, pod):
        self.pod = pod
        self.uid = pod['metadata']['uid']
        ended = pod.get('status', {}).get('phase') in ('Succeeded', 'Failed')
        self.stage = 'ready' if ended else 'new'
        self.logs = {}  # by container, from its start on
        self.told = set()
        self.program = None  # one that works on a service's volume in place
        if ended:
            self.begin_log().end()
        match = programs.JOB_NAME.match(pod['metadata'].get('labels', {}).get('reprise.dev/job', ''))
        self.role, self.ordinal = (match[1], int(match[2])) if match else ('server', 0)

    @property
    def container(self):
        return self.pod['spec']['containers'][0]

    def begin_log(self, container=None):
        return self.logs.setdefault(container or self.container['name'], ContainerLog())

    def say(self, *lines, container=None):
        """The container writes lines, if it has started."""
        log = self.logs.get(container or self.container['name'])
        if log:
            log.say(*lines)

    def end_logs(self):
        for log in list(self.logs.values()):
            log.end()

    @property
    def environment(self):
        return {item['name']: item.get('value', '') for item in self.container.get('env', [])}


class KubeletStandIn:
    def __init__(self, run, node='stand-in'):
        self.run, self.node = run, node
        self.api = Api(run, agent='kubelet-stand-in')
        self.settings = {}
        self.volumes = programs.Volumes(pathlib.Path(run) / 'stand-in-volumes.json')
        self.pods, self.heap, self.incoming = {}, [], queue.Queue()
        self.counter = itertools.count()
        self.lock = threading.RLock()
        self.server, self.stopped = LogServer(pathlib.Path(run) / 'pki', self.log_of), threading.Event()

    # ------------------------------------------------------------ for tests

    def behave(self, namespace, **settings):
        """From now on pods of the namespace behave like this."""
        with self.lock:
            known = self.settings.setdefault(namespace, copy.deepcopy(DEFAULTS))
            known.update(settings)

    def of(self, namespace):
        with self.lock:
            return self.settings.setdefault(namespace, copy.deepcopy(DEFAULTS))

    def start(self):
        self.server.start()
        self.register()
        for task in (self.beat_forever, self.watch_forever, self.play_forever):
            threading.Thread(target=task, daemon=True, name=task.__name__).start()
        return self

    def stop(self):
        self.stopped.set()
        self.server.stop()

    # ------------------------------------------------------------ the node

    def register(self):
        resources = {'cpu': '64', 'memory': '64Gi', 'pods': '500', 'ephemeral-storage': '1Ti'}
        node = {'metadata': {'name': self.node, 'labels': {'kubernetes.io/hostname': self.node}}}
        try:
            self.api.create('Node', None, node)
        except ApiError as error:
            if error.status != 409:
                raise
        status = {
            'capacity': resources, 'allocatable': resources, 'conditions': self.conditions(),
            'addresses': [{'type': 'InternalIP', 'address': '127.0.0.1'}, {'type': 'Hostname', 'address': self.node}],
            'daemonEndpoints': {'kubeletEndpoint': {'Port': self.server.port}}}
        self.api.patch('Node', None, self.node, {'status': status}, '/status')

    @staticmethod
    def conditions():
        names = {'Ready': 'True', 'MemoryPressure': 'False', 'DiskPressure': 'False', 'PIDPressure': 'False'}
        return [{'type': name, 'status': value, 'reason': 'StandIn', 'message': 'a stand-in', 'lastHeartbeatTime':
                 now(), 'lastTransitionTime': now()} for name, value in names.items()]

    def beat_forever(self):
        """A node that is silent for 40 s loses its pods."""
        while not self.stopped.wait(5):
            try:
                self.api.patch('Node', None, self.node, {'status': {'conditions': self.conditions()}}, '/status')
                self.renew()
            except ApiError:
                continue  # an API server that is away is what some tests are about

    def renew(self):
        spec = {'holderIdentity': self.node, 'leaseDurationSeconds': 40, 'renewTime': now().replace('Z', '.000000Z')}
        if self.api.get('Lease', 'kube-node-lease', self.node):
            self.api.patch('Lease', 'kube-node-lease', self.node, {'spec': spec})
        else:
            self.api.create('Lease', 'kube-node-lease', {'metadata': {'name': self.node}, 'spec': spec})

    # ------------------------------------------------------------ logs

    def log_of(self, namespace, name, container):
        """The log of that container; None without such a pod; or why there is no log yet."""
        for played in list(self.pods.values()):
            metadata = played.pod['metadata']
            if (metadata['namespace'], metadata['name']) == (namespace, name):
                waiting = f'container "{container}" in pod "{name}" is waiting to start: ContainerCreating'
                return played.logs.get(container, waiting)
        return None

    # ------------------------------------------------------------ pods

    def watch_forever(self):
        while not self.stopped.is_set():
            try:
                listed = self.api.list('Pod')
                self.incoming.put(('LIST', listed['items']))
                for event in self.api.watch('Pod', None, listed['metadata']['resourceVersion']):
                    if event[0] != 'BOOKMARK':
                        self.incoming.put(event)
            except ApiError:
                self.stopped.wait(0.2)

    def play_forever(self):
        while not self.stopped.is_set():
            wait = max(0.0, self.heap[0][0] - time.monotonic()) if self.heap else 1.0
            try:
                self.hear(*self.incoming.get(timeout=min(wait, 1.0)))
            except queue.Empty:
                pass
            while self.heap and self.heap[0][0] <= time.monotonic():
                played = heapq.heappop(self.heap)[2]
                if self.pods.get(played.uid) is played:
                    try:
                        self.play(played)
                    except Exception:  # one pod's trouble must not stop the node: a test looks at the violations
                        self.volumes.violations.append(traceback.format_exc())

    def hear(self, kind, heard):
        if kind == 'LIST':
            present = {pod['metadata']['uid'] for pod in heard}
            for uid in [uid for uid in self.pods if uid not in present]:
                self.forget(uid)
            for pod in heard:
                self.hear('MODIFIED', pod)
        elif kind == 'DELETED':
            self.forget(heard['metadata']['uid'])
        else:
            uid = heard['metadata']['uid']
            played = self.pods.get(uid)
            if played is None:
                played = self.pods[uid] = PlayedPod(heard)
                self.later(played, 0)
            played.pod = heard
            if heard['metadata'].get('deletionTimestamp') and played.stage != 'stopping':
                played.stage = 'stopping'
                self.later(played, self.of(heard['metadata']['namespace'])['stop'])

    def forget(self, uid):
        played = self.pods.pop(uid, None)
        if played:
            played.end_logs()
            self.volumes.detach(uid)

    def later(self, played, seconds):
        heapq.heappush(self.heap, (time.monotonic() + seconds, next(self.counter), played))

    def play(self, played):
        """One step of a pod's life. A step gives how long the next one takes; None when nothing follows by itself."""
        settings = self.of(played.pod['metadata']['namespace'])
        step = getattr(self, f'when_{played.stage}')
        gate = {'stopping': 'stop', 'fetching': 'fetch', 'replaying': 'replay', 'bound': played.role,
                'serving': 'serve', 'swapping': 'swap'}.get(played.stage)
        try:
            delay = 0.05 if gate in settings['hold'] else step(played, settings)
        except ApiError as error:
            delay = None if error.status in (404, 409) and played.stage == 'stopping' else 0.2
        if delay is not None:
            self.later(played, delay)

    def when_new(self, played, settings):
        metadata = played.pod['metadata']
        if not played.pod['spec'].get('nodeName'):
            target = {'apiVersion': 'v1', 'kind': 'Node', 'name': self.node}
            try:
                self.api.call('POST', path('Pod', metadata['namespace'], metadata['name']) + '/binding', {
                    'apiVersion': 'v1', 'kind': 'Binding', 'metadata': {'name': metadata['name']}, 'target': target})
            except ApiError as error:
                if error.status != 409:
                    raise
        played.stage = 'bound'
        return settings['start']

    def when_bound(self, played, settings):
        """Everything that a kubelet waits for before it starts a container."""
        obstacle = settings['waiting'].get(played.role) or needs.missing(self.api, played)
        if obstacle:
            self.report(played, 'Pending', {'waiting': {'reason': obstacle[0], 'message': obstacle[1]}},
                        restarts=5 if obstacle[0] == 'CrashLoopBackOff' else 0)
            return 0.3
        claims = needs.claims(self.api, played)
        if claims is None:
            return 0.1
        running = {'running': {'startedAt': now()}}
        if played.role in programs.ON_SERVICES_VOLUMES:
            # It looks for servers beside it itself, and others find what it has put in their data's place.
            played.program = inplace.Program(self.volumes, claims[0][0], played.uid, played.environment)
            return self.work(played, running, settings)
        if any('held' in self.volumes.content.get(claim, {}) for claim, _ in claims):
            self.report(played, 'Running', {'waiting': {'reason': 'CrashLoopBackOff', 'message': 'no server accepts '
                                                        'this directory'}}, restarts=1)
            return 0.2
        for claim, writes in claims:
            self.volumes.attach(claim, played.uid, writes)
        played.begin_log()
        if played.role == 'server' and settings['first'] and not any(self.volumes.content[claim] for claim, _ in claims):
            settings['first'] -= 1
            inplace.first_data(self.volumes.content[claims[0][0]])
        if played.role != 'server':
            return self.work(played, running, settings)
        restores = any(self.volumes.start_server(claim, played.pod['metadata']['name'], played.container['image'],
                                                 played.environment) for claim, _ in claims)
        self.report(played, 'Running', running, started=not restores)
        played.stage = 'fetching' if restores else 'serving'
        if restores:
            self.tell(played, 'fetching', settings)
        return settings['fetch'] if restores else settings['serve']

    def work(self, played, running, settings):
        played.begin_log()
        self.report(played, 'Running', running, started=True, ready=True)
        played.stage = 'working'
        return settings['job']

    def when_fetching(self, played, settings):
        self.report(played, 'Running', {'running': {'startedAt': now()}}, started=True)
        played.stage = 'replaying'
        self.tell(played, 'replaying', settings)
        return settings['replay']

    def when_replaying(self, played, settings):
        self.tell(played, 'restored', settings)
        return self.when_serving(played, settings)

    def when_serving(self, played, settings):
        self.report(played, 'Running', {'running': {'startedAt': now()}}, started=True, ready=True)
        self.tell(played, 'ready', settings)
        played.stage = 'ready'

    @staticmethod
    def tell(played, stage, settings):
        """Once for each stage: a step that could not be reported is done again."""
        if stage not in played.told:
            played.told.add(stage)
            played.say(*settings['lines'].get(stage, LINES[stage]))

    def when_ready(self, played, settings):
        return None

    def when_working(self, played, settings):
        if played.program:
            result = played.program.begin()
            self.volumes.save()
            if result is None:
                played.stage = 'swapping'
                return settings['swap']
            return self.end(played, result, settings)
        claims = needs.claims(self.api, played) or []
        content = self.volumes.content.get(claims[0][0], {}) if claims else {}
        return self.end(played, programs.result_of(played.role, played.environment, content), settings)

    def when_swapping(self, played, settings):
        result = played.program.end()
        self.volumes.save()
        return self.end(played, result, settings)

    def end(self, played, result, settings):
        result = {**result, **settings['results'].get(played.role, {})}
        spoil = (settings['spoil'].get(played.role) or [])[played.ordinal - 1:played.ordinal]
        text, message = programs.frame(result, spoil[0] if spoil else '')
        played.say(*text.splitlines())
        code = 0 if result['code'] == 'OK' else 1
        ended = {'exitCode': code, 'startedAt': now(), 'finishedAt': now(), 'message': message,
                 'reason': 'Error' if code else 'Completed'}
        played.end_logs()
        self.report(played, 'Failed' if code else 'Succeeded', {'terminated': ended})
        self.volumes.detach(played.uid)
        played.stage, played.program = 'ready', None

    def when_stopping(self, played, settings):
        metadata = played.pod['metadata']
        if played.program and played.role not in settings['killed']:
            played.program.interrupted()
            self.volumes.save()
        played.program = None
        played.end_logs()
        self.volumes.detach(played.uid)
        self.api.delete('Pod', metadata['namespace'], metadata['name'], {
            'apiVersion': 'v1', 'kind': 'DeleteOptions', 'gracePeriodSeconds': 0, 'preconditions': {'uid': played.uid}})

    # ------------------------------------------------------------ what a pod says

    def report(self, played, phase, state, started=False, ready=False, restarts=0):
        metadata = played.pod['metadata']
        flags = {'Initialized': True, 'Ready': ready, 'ContainersReady': ready, 'PodScheduled': True}
        number = int(re.sub('[^0-9a-f]', '', played.uid)[:6], 16)
        address = f'10.{number >> 16 & 127}.{number >> 8 & 255}.{number & 255}'
        container = {
            'name': played.container['name'], 'image': played.container['image'], 'imageID': 'stand-in', 'ready': ready,
            'started': started, 'restartCount': restarts, 'state': state}
        status = {
            'phase': phase, 'hostIP': '127.0.0.1', 'podIP': address, 'podIPs': [{'ip': address}], 'startTime': now(),
            'conditions': [{'type': name, 'status': str(value), 'lastTransitionTime': now()}
                           for name, value in flags.items()], 'containerStatuses': [container]}
        body = {'metadata': {'uid': played.uid}, 'status': status}
        try:
            self.api.patch('Pod', metadata['namespace'], metadata['name'], body, '/status')
        except ApiError as error:
            if error.status not in (404, 409):
                raise
