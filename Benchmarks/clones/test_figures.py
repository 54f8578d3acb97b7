# SPDX-License-Identifier: Apache-2.0
"""What the benchmark computes, without a cluster."""
import collections
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import figures  # noqa: E402
import report  # noqa: E402


def record(verb, resource, code, sub=None):
    about = {'resource': resource, **({'subresource': sub} if sub else {})}
    return json.dumps({'verb': verb, 'objectRef': about, 'responseStatus': {'code': code}}) + '\n'


class SpreadTests(unittest.TestCase):
    def test_percentiles_are_values_that_were_measured(self):
        for values, part, wanted in (
                ([], 0.5, None), ([7], 0.5, 7), ([7], 0.99, 7), ([1, 2], 0.5, 1), ([3, 1, 2], 0.5, 2),
                (range(1, 101), 0.99, 99), (range(1, 1001), 0.99, 990), (range(1, 21), 0.99, 20)):
            with self.subTest(values=values, part=part):
                self.assertEqual(figures.percentile(values, part), wanted)

    def test_spread_of_none_is_empty(self):
        self.assertEqual(figures.spread([]), {'count': 0, 'p50': None, 'p99': None, 'max': None})


class AuditTests(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.file = pathlib.Path(folder.name) / 'audit.log'

    def add(self, text):
        with open(self.file, 'a') as log:
            log.write(text)

    def test_each_record_is_counted_once_and_half_a_line_later(self):
        audit = figures.Audit(self.file)
        self.assertEqual(audit.take(), collections.Counter())
        whole = record('create', 'jobs', 201)
        self.add(whole + whole[:20])
        self.assertEqual(audit.take(), {('create', 'jobs', 201): 1})
        self.assertEqual(audit.take(), collections.Counter())
        self.add(whole[20:])
        self.assertEqual(audit.take(), {('create', 'jobs', 201): 1})

    def test_what_counts_as_a_write(self):
        audit = figures.Audit(self.file)
        for verb, resource, code, sub in (
                ('patch', 'leases', 200, None), ('update', 'restoreruns', 200, 'status'), ('get', 'pods', 404, None),
                ('get', 'pods', 200, 'log'), ('watch', 'pods', 200, None), ('list', 'jobs', 200, None),
                ('update', 'restoreruns', 409, 'status')):
            self.add(record(verb, resource, code, sub))
        seen = audit.take()
        self.assertEqual(figures.per_clone(figures.writes(seen), 2), {'update restoreruns/status': 1.0})
        self.assertEqual(figures.refused(figures.writes(seen)), {'409 update restoreruns/status': 1})
        self.assertEqual(figures.per_clone(figures.reads(seen), 1),
                         {'get pods': 1.0, 'get pods/log': 1.0, 'list jobs': 1.0})


class ProcessTests(unittest.TestCase):
    def test_a_program_name_with_spaces_and_brackets(self):
        fields = figures.stat_fields('12 (a) b (c) S 1 ' + ' '.join(map(str, range(3, 20))))
        self.assertEqual(fields[:2], ['S', '1'])

    def test_processor_time_of_this_process_grows_and_is_in_seconds(self):
        before, own = figures.cpu_of(os.getpid()), sum(os.times()[:2])
        self.assertAlmostEqual(before, own, delta=0.1)
        while sum(os.times()[:2]) - own < 0.1:
            pass
        self.assertGreater(figures.cpu_of(os.getpid()), before)

    def test_children_count_while_they_live_and_when_they_were_waited_for(self):
        loop = 'import os\nwhile sum(os.times()[:2]) < 0.2: pass\n'
        before = figures.cpu_of_tree(os.getpid())
        child = subprocess.Popen([sys.executable, '-c', loop + 'print(1, flush=True)\ninput()'],
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        child.stdout.readline()
        self.assertGreater(figures.cpu_of_tree(os.getpid()), before + 0.15)
        child.communicate(b'\n')
        self.assertGreater(figures.cpu_of_tree(os.getpid()), before + 0.15)

    def test_nobody(self):
        self.assertEqual(figures.cpu_of(2 ** 22 + 1), 0.0)


class ReportTests(unittest.TestCase):
    def test_others_are_what_nobody_known_has_used(self):
        self.assertEqual(report.with_others({'machine': 10.0, 'etcd': 3.0, 'controller': 2.5})['others'], 4.5)
        self.assertEqual(report.with_others({'machine': 5.0, 'etcd': 5.02})['others'], 0.0)


if __name__ == '__main__':
    unittest.main()
