# SPDX-License-Identifier: Apache-2.0
"""Many ServiceClones at once, against a real control plane and ledger without a node. hack/bench.sh runs it.

What is measured, and how, is in docs/benchmarks.md. Prints a table, and writes clones.json and clones.md into
BENCH_RESULTS. Fails when a clone does not become Ready, or when the node saw something wrong.

    CLONES            how many (1000)
    BENCH_ALONE       how many before, one after the other (5)
    BENCH_NAMESPACES  over how many namespaces (10)
    BENCH_IDLE        seconds of the idle phase (60; 15 below 100 clones)
    BENCH_LIMIT       seconds until every clone must be Ready (120, and 2 for each clone)
"""
import collections
import concurrent.futures
import json
import os
import pathlib
import platform
import signal
import subprocess
import sys
import threading
import time

import figures
import report
from world import Moments, World, until, wait_for_all
from api_client import Api

CLONES = int(os.environ.get('CLONES', '1000'))
ALONE = max(1, int(os.environ.get('BENCH_ALONE', '5')))
NAMESPACES = [f'bench-{number}' for number in range(min(CLONES, int(os.environ.get('BENCH_NAMESPACES', '10'))))]
IDLE = float(os.environ.get('BENCH_IDLE', '60' if CLONES >= 100 else '15'))
LIMIT = float(os.environ.get('BENCH_LIMIT', 120 + 2 * CLONES))
QUIET = 5  # seconds without a write after which the controller is done
BEGAN = time.monotonic()


def tell(text):
    print(f'{time.monotonic() - BEGAN:7.1f} s  {text}', flush=True)


class Sampler:
    """The queue's depth once a second; the metrics page is small."""

    def __init__(self, controller):
        self.controller, self.depths, self.stopped = controller, [], threading.Event()
        self.thread = threading.Thread(target=self.sample, daemon=True)
        self.thread.start()

    def sample(self):
        while not self.stopped.wait(1):
            depth = self.controller.metrics().get('reprise_queue_depth')
            if depth is not None:
                self.depths.append(depth)

    def end(self):
        self.stopped.set()
        self.thread.join()
        return {'mean': round(sum(self.depths) / max(1, len(self.depths)), 1), 'max': max(self.depths, default=0)}


def alone(world, moments):
    """One after the other on a control plane that does nothing else."""
    keys = []
    for number in range(ALONE):
        key = NAMESPACES[0], f'alone-{number}'
        keys.append(key)
        world.make_clone(world.api, *key)
        moments.made[key] = time.monotonic()
        wait_for_all('Ready', 60, [key], moments.ready, moments.trouble, tell)
    settle(world)
    return {'toStatefulSet': figures.spread(moments.since_made(moments.appeared, keys)),
            'toReady': figures.spread(moments.since_made(moments.ready, keys))}


def settle(world):
    """Until the controller has written nothing for a while, and every run's end is in the ledger. Gives the requests
    that were seen meanwhile, and the moment of the last write."""
    counted, last = collections.Counter(), time.monotonic()

    def look():
        nonlocal last
        seen = world.audit.take()
        counted.update(seen)
        if figures.writes(seen):
            last = time.monotonic()
        return time.monotonic() - last > QUIET
    until('the controller writes without end', 120, look, 0.5)
    open_rows = world.sql("select count(*) from reprise.restore_runs where status <> 'completed'")[0][0]
    assert open_rows == '0', f'{open_rows} runs have not completed in the ledger'
    return counted, last


def burst(world, moments):
    """All of them, as fast as the API server takes them."""
    keys = [(NAMESPACES[number % len(NAMESPACES)], f'clone-{number}') for number in range(CLONES)]
    world.audit.take()
    before, commits, events = world.cpu(), world.ledger_commits(), world.process.events()
    sampler, began = Sampler(world.process), time.monotonic()
    api = Api(world.run, agent='reprise-bench')

    def make(key):
        world.make_clone(api, *key)
        moments.made[key] = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(make, keys))
    posted = time.monotonic()
    tell(f'{CLONES} ServiceClones created in {posted - began:.1f} s')
    try:
        wait_for_all('Ready', LIMIT, keys, moments.ready, moments.trouble, tell)
    except AssertionError as problem:
        raise AssertionError(f'{problem}; all clones: {states(world)}') from problem
    tell('all are Ready')
    counted, settled = settle(world)
    after, depth = world.cpu(), sampler.end()
    spent = {name: round(after[name] - before[name], 2) for name in after}
    passes = {name: count - events.get(name, 0) for name, count in world.process.events().items()}
    return {
        'clones': CLONES, 'namespaces': len(NAMESPACES), 'createdWithin': round(posted - began, 2),
        'lastStatefulSetAfter': round(max(moments.appeared[key] for key in keys) - began, 2),
        'lastReadyAfter': round(max(moments.ready[key] for key in keys) - began, 2),
        'lastWriteAfter': round(settled - began, 2),
        'toStatefulSet': figures.spread(moments.since_made(moments.appeared, keys)),
        'toReady': figures.spread(moments.since_made(moments.ready, keys)),
        'writes': told(figures.writes(counted)), 'reads': told(figures.reads(counted)),
        'ledgerCommitsPerClone': round((world.ledger_commits() - commits) / CLONES, 2),
        'cpuSeconds': report.with_others(spent), 'seconds': round(time.monotonic() - began, 1),
        'queueDepth': depth, 'eventsPerClone': {
            name: round(count / CLONES, 3) for name, count in sorted(passes.items()) if count > 0},
        'memoryMiB': figures.memory_of(world.process.process.pid)}


def states(world):
    """How many clones say what, most first."""
    said = collections.Counter(clone.get('status', {}).get('message', 'nothing')
                               for clone in world.api.items('ServiceClone'))
    return dict(said.most_common(10))


def told(counted):
    return {'perClone': round(sum(counted.values()) / CLONES, 2), 'byKind': figures.per_clone(counted, CLONES),
            'refused': figures.refused(counted)}


def idle(world):
    """With everything Ready and nothing to do."""
    world.audit.take()
    before, events, began = world.cpu(), world.process.events(), time.monotonic()
    time.sleep(IDLE)
    after, seconds = world.cpu(), time.monotonic() - began
    counted = world.audit.take()
    changed = {name: count - events.get(name, 0) for name, count in world.process.events().items()}
    spent = after['controller'] - before['controller']
    return {
        'seconds': round(seconds, 1), 'controllerCpuSeconds': round(spent, 2),
        'controllerCpuPercent': round(100 * spent / seconds, 3),
        'writesBesideLease': sum(figures.writes(counted).values()),
        'readsBesideLease': sum(figures.reads(counted).values()),
        'leaseRequests': sum(count for key, count in counted.items() if figures.is_lease(key)),
        'events': {name: count for name, count in sorted(changed.items()) if count > 0},
        'memoryMiB': figures.memory_of(world.process.process.pid)}


def cold_start(world):
    """Ended with SIGTERM and started again, with all objects there."""
    world.stop_controller()
    world.audit.take()
    objects = {kind: len(world.api.items(kind)) for kind in
               ('ServiceClone', 'RestoreRun', 'Job', 'Pod', 'StatefulSet', 'PersistentVolumeClaim', 'Service')}
    began = world.start_controller()
    process = world.process
    until('the controller leads', 120, process.leads, 0.01)
    led = time.monotonic()
    # an empty queue alone may be one that was not filled yet
    expected = objects['ServiceClone'] + objects['RestoreRun']
    until('every object had its pass', 120, lambda: process.events().get('pass ended', 0) >= expected
          and process.metrics().get('reprise_queue_depth') == 0, 0.01)
    drained = time.monotonic()
    passes = process.events().get('pass ended', 0)
    spent = figures.cpu_of(process.process.pid)
    counted, _ = settle(world)
    return {
        'objects': objects, 'toLeadingAndSynced': round(led - began, 3), 'toQueueEmpty': round(drained - began, 3),
        'passes': passes, 'controllerCpuSeconds': round(spent, 2),
        'writesBesideLease': sum(figures.writes(counted).values()),
        'reads': figures.per_clone(figures.reads(counted), 1),
        'memoryMiB': figures.memory_of(process.process.pid)}


def machine(world):
    def said(*command):
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    processor = [line.partition(':')[2].strip() for line in pathlib.Path('/proc/cpuinfo').read_text().splitlines()
                 if line.startswith('model name')]
    memory = int(pathlib.Path('/proc/meminfo').read_text().split()[1]) / 1024 / 1024
    return {
        'processor': processor[0] if processor else platform.machine(), 'cores': os.cpu_count(),
        'memoryGiB': round(memory, 1), 'kernel': platform.release(),
        'kubernetes': world.api.call('GET', '/version')['gitVersion'],
        'etcd': said('etcd', '--version').splitlines()[0].rpartition(' ')[2],
        'postgresql': world.sql('show server_version')[0][0], 'python': platform.python_version(),
        'revision': os.environ.get('BENCH_REVISION', ''), 'controllerFlags': os.environ.get(
            'BENCH_CONTROLLER_FLAGS', '')}


def measure(world, results):
    world.prepare(NAMESPACES)
    began = world.start_controller()
    world.process.wait_leading()
    empty = {'toLeadingAndSynced': round(time.monotonic() - began, 3),
             'memoryMiB': figures.memory_of(world.process.process.pid)}
    moments = Moments(world.run)
    results.update(machine=machine(world), emptyStart=empty)
    tell(f'{ALONE} clones, one after the other')
    results['alone'] = alone(world, moments)
    tell(f'{CLONES} clones at once')
    results['burst'] = burst(world, moments)
    tell(f'idle for {IDLE:.0f} s')
    results['idle'] = idle(world)
    tell('a cold start')
    results['coldStart'] = cold_start(world)
    world.stop_controller()
    violations = world.end_node()
    assert not violations, f'the node saw: {violations[:3]}'


def main():
    def ended(number, _):
        sys.exit(128 + number)
    signal.signal(signal.SIGTERM, ended)
    folder = pathlib.Path(os.environ['BENCH_RESULTS'])
    folder.mkdir(parents=True, exist_ok=True)
    world, results = World(), {}
    try:
        measure(world, results)
    except BaseException as problem:  # what was measured until then is kept
        results['failed'] = f'{type(problem).__name__}: {problem}'
        raise
    finally:
        world.end()
        (folder / 'clones.json').write_text(json.dumps(results, indent=2) + '\n')
    text = report.markdown(results)
    (folder / 'clones.md').write_text(text)
    print('\n' + text)


if __name__ == '__main__':
    main()
