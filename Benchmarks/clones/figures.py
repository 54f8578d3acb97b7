# SPDX-License-Identifier: Apache-2.0
"""Measuring: percentiles, the API server's audit log, processor time and memory from /proc. No I/O but reading."""
import collections
import json
import math
import os
import pathlib

WRITES = {'create', 'update', 'patch', 'delete', 'deletecollection'}
TICK = os.sysconf('SC_CLK_TCK')


def percentile(values, part):
    """The smallest value that at least `part` (0 to 1) of all values do not exceed; None of none."""
    ordered = sorted(values)
    if not ordered:
        return None
    return ordered[max(0, math.ceil(part * len(ordered)) - 1)]


def spread(values):
    """p50, p99 and maximum in seconds, and how many there were."""
    digits = {'p50': percentile(values, 0.5), 'p99': percentile(values, 0.99), 'max': max(values, default=None)}
    return {'count': len(values), **{key: None if value is None else round(value, 3) for key, value in digits.items()}}


class Audit:
    """What the API server's audit log says since it was last asked. Its policy selects the controller's requests."""

    def __init__(self, file):
        self.file, self.offset = pathlib.Path(file), 0

    def take(self):
        """A Counter of (verb, resource, HTTP status) of the requests that ended since the last call."""
        counted = collections.Counter()
        if not self.file.exists():
            return counted
        with open(self.file, 'rb') as log:
            log.seek(self.offset)
            for line in log:
                if not line.endswith(b'\n'):
                    break  # half a line: it is read the next time
                self.offset += len(line)
                counted[request(json.loads(line))] += 1
        return counted


def request(record):
    about = record.get('objectRef', {})
    resource = about.get('resource') or record.get('requestURI', '').split('?')[0]
    if about.get('subresource'):
        resource += '/' + about['subresource']
    return record['verb'], resource, record.get('responseStatus', {}).get('code', 0)


def is_lease(key):
    return key[1] == 'leases'


def writes(counted):
    """Those that change something, the Lease's left out."""
    return collections.Counter({key: count for key, count in counted.items() if key[0] in WRITES and not is_lease(key)})


def reads(counted):
    """Gets, lists and logs; watches are few and long, and left out, as the Lease is."""
    return collections.Counter({key: count for key, count in counted.items()
                                if key[0] in ('get', 'list') and not is_lease(key)})


def per_clone(counted, clones):
    """{'verb resource': requests per clone}, most first; refused ones (status 400 and above) are counted too."""
    summed = collections.Counter()
    for (verb, resource, _), count in counted.items():
        summed[f'{verb} {resource}'] += count
    ordered = sorted(summed.items(), key=lambda item: (-item[1], item[0]))
    return {name: round(count / clones, 3) for name, count in ordered}


def refused(counted):
    """{'status verb resource': requests} of those that the API server did not grant."""
    found = {f'{status} {verb} {resource}': count for (verb, resource, status), count in counted.items()
             if status >= 400}
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


# ---------------------------------------------------------------- /proc

def stat_fields(text):
    """Fields of /proc/PID/stat from the third on; the second, the program's name, may hold spaces."""
    return text[text.rindex(')') + 2:].split()


def cpu_of(process):
    """Processor time of one process in seconds, user and system, its children left out; 0 when it is gone."""
    try:
        fields = stat_fields(pathlib.Path(f'/proc/{process}/stat').read_text())
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICK


def cpu_of_tree(root):
    """Of a process, of its children that live, and of those that ended and were waited for."""
    total = 0.0
    for folder in pathlib.Path('/proc').iterdir():
        if not folder.name.isdigit():
            continue
        try:
            fields = stat_fields((folder / 'stat').read_text())
        except OSError:
            continue
        if folder.name == str(root):
            total += sum(map(int, fields[11:15])) / TICK
        elif fields[1] == str(root):
            total += (int(fields[11]) + int(fields[12])) / TICK
    return total


def machine_busy():
    """Seconds of processor time that the whole machine has spent on anything, all cores together."""
    fields = [int(field) for field in pathlib.Path('/proc/stat').read_text().splitlines()[0].split()[1:9]]
    idle = fields[3] + fields[4]
    return (sum(fields) - idle) / TICK


def memory_of(process):
    """MiB of resident memory: now and at its peak."""
    found = {}
    for line in pathlib.Path(f'/proc/{process}/status').read_text().splitlines():
        name, _, value = line.partition(':')
        if name in ('VmRSS', 'VmHWM'):
            found[name] = round(int(value.split()[0]) / 1024, 1)
    return {'now': found.get('VmRSS'), 'peak': found.get('VmHWM')}
