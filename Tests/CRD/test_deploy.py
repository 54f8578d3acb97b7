#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Holds deploy/networkpolicy.yaml to what it is for: it selects the pods that there are, and opens no way to everywhere."""
import pathlib
import re
import unittest

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
FILE = ROOT / 'deploy' / 'networkpolicy.yaml'
FIELDS = {'podSelector', 'policyTypes', 'ingress', 'egress'}


def labels():
    """Those that the controller sets, by the names that the sources have for them."""
    text = (ROOT / 'Sources' / 'Reconciler' / 'Core' / 'Labels.swift').read_text()
    return dict(re.findall(r'static let (\w+) = "([^"]+)"', text))


class NetworkPolicies(unittest.TestCase):
    def setUp(self):
        self.policies = {item['metadata']['name']: item for item in yaml.safe_load_all(FILE.read_text())}

    def test_each_limits_what_its_pods_may_reach(self):
        self.assertEqual(set(self.policies), {'reprise-controller', 'reprise-jobs', 'reprise-services'})
        for name, policy in self.policies.items():
            with self.subTest(name):
                self.assertEqual((policy['apiVersion'], policy['kind']), ('networking.k8s.io/v1', 'NetworkPolicy'))
                self.assertLessEqual(set(policy['spec']), FIELDS)
                self.assertIn('Egress', policy['spec']['policyTypes'])
                for rule in policy['spec']['egress']:
                    self.assertTrue(rule.get('to') and rule.get('ports'), f'{rule} leads everywhere')
                    for place in rule['to']:
                        self.assertNotEqual(place.get('ipBlock', {}).get('cidr'), '0.0.0.0/0')
                        self.assertTrue(place.get('ipBlock') or place.get('podSelector'), f'{place} is every pod')

    def test_they_select_the_pods_that_the_controller_makes(self):
        known = labels()
        for name, label in {'reprise-jobs': known['job'], 'reprise-services': known['service']}.items():
            wanted = [{'key': label, 'operator': 'Exists'}]
            self.assertEqual(self.policies[name]['spec']['podSelector'], {'matchExpressions': wanted})
        self.assertEqual(self.policies['reprise-controller']['metadata']['namespace'], 'reprise-system')

    def test_only_jobs_and_services_reach_the_store(self):
        store = next(place['ipBlock'] for rule in self.policies['reprise-services']['spec']['egress']
                     for place in rule['to'] if 'ipBlock' in place)
        reach = {name for name, policy in self.policies.items() for rule in policy['spec']['egress']
                 for place in rule['to'] if place.get('ipBlock') == store}
        self.assertEqual(reach, {'reprise-jobs', 'reprise-services'})

    def test_the_documents_name_it(self):
        self.assertTrue('deploy/networkpolicy.yaml' in (ROOT / 'docs' / 'operations.md').read_text())


if __name__ == '__main__':
    unittest.main()
