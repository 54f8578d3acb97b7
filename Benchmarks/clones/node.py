# SPDX-License-Identifier: Apache-2.0
"""The integration tests' stand-in for the kubelet, made for thousands of pods: it plays many at the same time, watches
claims instead of asking for them, and reads each Secret once.

    node.py FOLDER      plays the node of the environment in FOLDER until its standard input ends

It is a process of its own, so that what it does takes no time from the one that measures. Its last line on standard
output is a JSON list of what went wrong in it.
"""
import concurrent.futures
import heapq
import json
import pathlib
import queue
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / 'Tests' / 'Integration'))
import stand_in_programs as programs  # noqa: E402
from api_client import Api, ApiError  # noqa: E402
from kubelet_stand_in import KubeletStandIn  # noqa: E402

AT_ONCE = 16


class RememberingApi(Api):
    """Answers claims from a watch and Secrets from memory, as a kubelet does."""

    def __init__(self, run):
        super().__init__(run, agent='kubelet-stand-in')
        self.claims, self.secrets = {}, {}
        self.bound = lambda namespace, name: None

    def get(self, kind, namespace, name):
        if kind == 'PersistentVolumeClaim':
            return self.claims.get((namespace, name))
        if kind != 'Secret':
            return super().get(kind, namespace, name)
        if (namespace, name) not in self.secrets:
            found = super().get(kind, namespace, name)
            if found is None:
                return None
            self.secrets[namespace, name] = found
        return self.secrets[namespace, name]

    def hear_claim(self, kind, claim):
        key = claim['metadata']['namespace'], claim['metadata']['name']
        if kind == 'DELETED':
            self.claims.pop(key, None)
            return
        self.claims[key] = claim
        if claim.get('status', {}).get('phase') == 'Bound':
            self.bound(*key)

    def watch_claims_forever(self):
        while True:
            try:
                listed = self.list('PersistentVolumeClaim')
                for claim in listed['items']:
                    self.hear_claim('ADDED', claim)
                version = listed['metadata']['resourceVersion']
                for kind, claim in self.watch('PersistentVolumeClaim', None, version):
                    if kind != 'BOOKMARK':
                        self.hear_claim(kind, claim)
            except ApiError:
                time.sleep(0.2)


class SharedVolumes(programs.Volumes):
    """For several threads, and not kept: this node is never restarted."""

    def __init__(self):
        super().__init__(pathlib.Path('/dev/null/none'))
        self.lock = threading.RLock()
        self.claims_of = {}

    def attach(self, claim, pod, writes):
        with self.lock:
            self.claims_of.setdefault(pod, set()).add(claim)
            return super().attach(claim, pod, writes)

    def detach(self, pod):
        with self.lock:  # only where the pod is: the volumes are many
            for claim in self.claims_of.pop(pod, ()):
                self.users[claim].pop(pod, None)

    def start_server(self, claim, pod, image, environment):
        with self.lock:
            volume = self.content[claim]
            return False if volume else self.initialize(volume, claim, pod, image, environment)


class ManyPodsNode(KubeletStandIn):
    def __init__(self, run):
        super().__init__(run)
        self.api = RememberingApi(run)
        self.api.bound = self.go_on
        self.volumes = SharedVolumes()
        self.pool = concurrent.futures.ThreadPoolExecutor(AT_ONCE)
        self.busy, self.by_name, self.waiting = set(), {}, {}

    def start(self):
        threading.Thread(target=self.api.watch_claims_forever, daemon=True, name='claims').start()
        return super().start()

    def serve_logs(self):
        super().serve_logs()
        handler = self.server.RequestHandlerClass
        # The API server keeps its connections: without these each log costs a handshake, or 40 ms of delayed ACK.
        handler.protocol_version, handler.disable_nagle_algorithm = 'HTTP/1.1', True

    def find(self, namespace, name):
        return self.by_name.get((namespace, name))

    def hear(self, kind, heard):
        super().hear(kind, heard)
        if kind in ('ADDED', 'MODIFIED'):
            metadata = heard['metadata']
            self.by_name[metadata['namespace'], metadata['name']] = self.pods[metadata['uid']]

    def forget(self, uid):
        played = self.pods.get(uid)
        super().forget(uid)
        if played:
            key = played.pod['metadata']['namespace'], played.pod['metadata']['name']
            if self.by_name.get(key) is played:
                del self.by_name[key]

    def later(self, played, seconds):
        with self.lock:
            super().later(played, seconds)

    # ------------------------------------------------------------ a claim that is not bound yet

    def when_bound(self, played, settings):
        for volume in played.pod['spec'].get('volumes', []):
            wanted = volume.get('persistentVolumeClaim')
            if wanted and self.must_wait(played, (played.pod['metadata']['namespace'], wanted['claimName'])):
                return None
        return super().when_bound(played, settings)

    def must_wait(self, played, key):
        with self.lock:
            claim = self.api.claims.get(key, {})
            if claim.get('status', {}).get('phase') == 'Bound':
                return False
            self.waiting.setdefault(key, []).append(played)
            return True

    def go_on(self, namespace, name):
        with self.lock:
            for played in self.waiting.pop((namespace, name), []):
                self.later(played, 0)

    # ------------------------------------------------------------ many at the same time, each one step after the other

    def play_forever(self):
        while not self.stopped.is_set():
            try:
                self.hear(*self.incoming.get(timeout=0.01))
                while True:
                    self.hear(*self.incoming.get_nowait())
            except queue.Empty:
                pass
            for played in self.due():
                self.pool.submit(self.take, played)

    def due(self):
        found = []
        with self.lock:
            while self.heap and self.heap[0][0] <= time.monotonic():
                played = heapq.heappop(self.heap)[2]
                if played.uid in self.busy:
                    self.later(played, 0.02)
                elif self.pods.get(played.uid) is played:
                    self.busy.add(played.uid)
                    found.append(played)
        return found

    def take(self, played):
        try:
            self.play(played)
        except Exception as problem:  # one pod's trouble must not stop the node
            self.volumes.violations.append(repr(problem))
        # It may have been deleted while a step was under way, and the step has then overwritten the stage.
        metadata = played.pod['metadata']
        if metadata.get('deletionTimestamp') and played.stage != 'stopping' and played.uid in self.pods:
            played.stage = 'stopping'
            self.later(played, self.of(metadata['namespace'])['stop'])
        with self.lock:
            self.busy.discard(played.uid)


def main():
    node = ManyPodsNode(sys.argv[1]).start()
    print('playing', flush=True)
    sys.stdin.read()
    print(json.dumps(node.volumes.violations), flush=True)


if __name__ == '__main__':
    main()
