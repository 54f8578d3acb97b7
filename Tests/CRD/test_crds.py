#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Holds crds/*.yaml to the tables in Tests/Fixtures/validation, with CEL evaluated by cel-python.

    python Tests/CRD/test_crds.py -v

needs PyYAML and cel-python. With REPRISE_CRD_SERVER=1 the same tables go to the API server of KUBECONFIG as well
(dry run; the CRDs are applied first), whatever its version: one without CEL must refuse what the schema refuses.
"""
import http.client
import json
import os
import pathlib
import re
import subprocess
import unittest

import celpy
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
RULES = 'x-kubernetes-validations'
FREE = 'x-kubernetes-preserve-unknown-fields'
KNOWN = {
    'description', 'type', 'format', 'enum', 'pattern', 'minLength', 'maxLength', 'minimum', 'maximum', 'minItems',
    'maxItems', 'maxProperties', 'required', 'properties', 'additionalProperties', 'items', RULES, FREE,
    'x-kubernetes-list-type', 'x-kubernetes-list-map-keys',
}
TYPES = {'object': dict, 'array': list, 'string': str, 'boolean': bool, 'integer': int}


def load_crds():
    found = {}
    for file in sorted((ROOT / 'crds').glob('reprise.dev_*.yaml')):
        crd = yaml.safe_load(file.read_text())
        found[crd['spec']['names']['kind']] = crd
    return found


CRDS = load_crds()


def schema_of(kind):
    return CRDS[kind]['spec']['versions'][0]['schema']['openAPIV3Schema']


def tables():
    for file in sorted((ROOT / 'Tests' / 'Fixtures' / 'validation').glob('*.json')):
        yield json.loads(file.read_text())


def merge(base, patch):
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    result = dict(base) if isinstance(base, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge(result.get(key), value)
    return result


def spec_of(table, case):
    return merge(table['bases'][case['base']], case.get('patch', {}))


def walk(schema, path=''):
    """Every schema below, with the path of its fields."""
    yield path, schema
    for name, child in schema.get('properties', {}).items():
        yield from walk(child, f'{path}.{name}' if path else name)
    for word, mark in (('items', '[]'), ('additionalProperties', '{}')):
        if word in schema:
            yield from walk(schema[word], path + mark)


# ---------------------------------------------------------------- a structural schema, as the API server reads it

def structural(schema, value, path=''):
    """What the schema refuses, as lines of text."""
    unknown = set(schema) - KNOWN
    if unknown:
        raise AssertionError(f'{path}: this validator does not know {unknown}')
    kind = schema['type']
    if not isinstance(value, TYPES[kind]) or (kind == 'integer' and isinstance(value, bool)):
        return [f'{path}: must be of type {kind}']
    return {'object': structural_object, 'array': structural_array, 'string': structural_string}.get(
        kind, structural_number)(schema, value, path)


def structural_object(schema, value, path):
    errors = [f'{path}.{name}: Required value' for name in schema.get('required', []) if name not in value]
    if len(value) > schema.get('maxProperties', len(value)):
        errors.append(f'{path}: Too many')
    for name, item in value.items():
        child = schema.get('properties', {}).get(name, schema.get('additionalProperties'))
        if child is not None:
            errors += structural(child, item, f'{path}.{name}')
        elif not schema.get(FREE):
            errors.append(f'{path}.{name}: unknown field')
    return errors


def structural_array(schema, value, path):
    errors = [f'{path}: Too many'] if len(value) > schema.get('maxItems', len(value)) else []
    for index, item in enumerate(value):
        errors += structural(schema['items'], item, f'{path}[{index}]')
    kind = schema.get('x-kubernetes-list-type', 'atomic')
    if kind != 'atomic' and not errors:
        keys = schema.get('x-kubernetes-list-map-keys', [])
        names = [json.dumps([item.get(k) for k in keys] if kind == 'map' else item) for item in value]
        errors += [f'{path}: Duplicate value'] if len(set(names)) < len(names) else []
    return errors


def structural_string(schema, value, path):
    errors = []
    if not schema.get('minLength', 0) <= len(value) <= schema.get('maxLength', len(value)):
        errors.append(f'{path}: length')
    # RE2's $ is the end of the text; Python's is also before a last line break.
    if 'pattern' in schema and not re.search(re.sub(r'\$$', r'\\Z', schema['pattern']), value):
        errors.append(f'{path}: should match {schema["pattern"]}')
    if value not in schema.get('enum', [value]):
        errors.append(f'{path}: Unsupported value')
    return errors


def structural_number(schema, value, path):
    if isinstance(value, bool):
        return []
    fits = schema.get('minimum', value) <= value <= schema.get('maximum', value)
    return [] if fits else [f'{path}: out of range']


# ---------------------------------------------------------------- CEL

class Evaluator:
    """Evaluates the rules of a schema, and remembers which of them were seen true and which false."""

    environment = celpy.Environment()
    programs = {}

    def __init__(self):
        self.seen = {}

    def program(self, rule):
        if rule not in self.programs:
            self.programs[rule] = self.environment.program(self.environment.compile(rule))
        return self.programs[rule]

    def check(self, schema, value, old, place='spec', where='spec'):
        """`place` is where the value is; `where` is where the schema is. Gives (place, message) of what is refused."""
        refused = []
        for rule in schema.get(RULES, []):
            if 'oldSelf' in rule['rule'] and old is None:
                continue
            bound = {'self': celpy.json_to_cel(value)}
            if old is not None:
                bound['oldSelf'] = celpy.json_to_cel(old)
            result = bool(self.program(rule['rule']).evaluate(bound))
            self.seen.setdefault((where, rule['rule']), set()).add(result)
            if not result:
                refused.append((place, rule['message']))
        if isinstance(value, dict):
            for name, item in value.items():
                child = schema.get('properties', {}).get(name, schema.get('additionalProperties'))
                if child is not None:
                    before = old.get(name) if isinstance(old, dict) else None
                    refused += self.check(child, item, before, f'{place}.{name}', f'{where}.{name}')
        elif isinstance(value, list) and 'items' in schema:
            for index, item in enumerate(value):
                refused += self.check(schema['items'], item, None, f'{place}[{index}]', f'{where}[]')
        return refused


class Tables(unittest.TestCase):
    """Each case is accepted or refused by whom the table says."""

    def test_every_kind_has_a_table(self):
        self.assertEqual({table['kind'] for table in tables()}, set(CRDS))
        self.assertEqual(len(CRDS), 7)

    def test_cases(self):
        for table in tables():
            evaluator = Evaluator()
            schema = schema_of(table['kind'])['properties']['spec']
            self.assertGreater(len(table['cases']), 20)
            for case in table['cases']:
                with self.subTest(kind=table['kind'], case=case['name']):
                    self.case(table, case, schema, evaluator)
            for path, node in walk(schema, 'spec'):
                for rule in node.get(RULES, []):
                    with self.subTest(kind=table['kind'], path=path, rule=rule['rule']):
                        place = path.replace('{}', '')
                        self.assertEqual(
                            evaluator.seen.get((place, rule['rule']), set()), {True, False},
                            'a case must see this rule true, and another one false')

    def case(self, table, case, schema, evaluator):
        spec, old = spec_of(table, case), None
        if 'was' in case:
            old = spec_of(table, case['was'])
            self.assertEqual(structural(schema, old, 'spec'), [], 'the stored spec is fine')
            self.assertEqual(Evaluator().check(schema, old, None), [], 'the stored spec is fine')
        errors = structural(schema, spec, 'spec')
        if not case['accepted'] and case['layer'] == 'schema':
            self.assertNotEqual(errors, [], 'the schema refuses it')
            field = case.get('expect', {}).get('field', '')
            self.assertTrue(any(related(error.split(':')[0], field) for error in errors), errors)
            return
        self.assertEqual(errors, [])
        refused = evaluator.check(schema, spec, old)
        if case['accepted'] or case['layer'] == 'controller':
            self.assertEqual(refused, [])
            return
        self.assertEqual(case['layer'], 'cel')
        expect = case['expect']
        self.assertTrue(
            any(expect['field'].startswith(place) and expect['message'] in message for place, message in refused),
            f'{expect} in {refused}')


def related(one, other):
    return not other or one.startswith(other) or other.startswith(one)


class Shape(unittest.TestCase):
    """What every schema of ours promises."""

    def nodes(self):
        for kind in CRDS:
            for path, node in walk(schema_of(kind)):
                yield kind, path, node

    def test_generated(self):
        check = [os.sys.executable, str(ROOT / 'hack' / 'crds' / 'generate.py'), '--check']
        result = subprocess.run(check, capture_output=True, text=True)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)

    def test_everything_is_described_and_bounded(self):
        for kind, path, node in self.nodes():
            with self.subTest(kind=kind, path=path):
                self.assertLessEqual(set(node), KNOWN)
                name = path.rsplit('.', 1)[-1]
                if path not in ('metadata', '') and not name.endswith(('[]', '{}')):
                    self.assertRegex(node.get('description', ''), r'^[A-Z0-9v].*[.]$')
                if path in ('apiVersion', 'kind'):
                    continue
                if node['type'] == 'string':
                    self.assertTrue({'maxLength', 'enum'} & set(node) or node.get('format') == 'date-time')
                if node['type'] == 'array':
                    self.assertIn('maxItems', node)
                    self.assertIn('x-kubernetes-list-type', node)
                if 'additionalProperties' in node:
                    self.assertIn('maxProperties', node)
                self.assertEqual(node.get('pattern', '^$')[0] + node.get('pattern', '^$')[-1], '^$')

    def test_status_is_open(self):
        for kind, path, node in self.nodes():
            if path.startswith('status'):
                closed = {'enum', 'pattern', 'minLength', 'minimum', 'maximum', RULES} & set(node)
                self.assertFalse(closed, (kind, path))

    def test_rules_name_fields_that_exist(self):
        """cel-python knows no schema: a misspelt field would just be absent."""
        for kind, path, node in self.nodes():
            for rule in node.get(RULES, []):
                text = re.sub(r"'[^']*'", "''", rule['rule'])
                for chain in re.findall(r'\b(?:self|oldSelf)((?:\.[A-Za-z]+)*)(\(?)', text):
                    names = chain[0].split('.')[1:]
                    names = names[:-1] if chain[1] else names
                    here = node
                    for name in names:
                        self.assertIn(name, here.get('properties', {}), (kind, path, rule['rule']))
                        here = here['properties'][name]

    def test_optional_fields_are_asked_for_first(self):
        """The API server fails a rule that reads an absent field; so every read of an optional one needs a has()."""
        for kind, path, node in self.nodes():
            for rule in node.get(RULES, []):
                text = re.sub(r"'[^']*'", "''", rule['rule'])
                for root, chain, call in re.findall(r'(?<!has\()\b(self|oldSelf)((?:\.[A-Za-z]+)+)(\(?)', text):
                    names = chain.split('.')[1:]
                    names = names[:-1] if call else names
                    here = node
                    for count, name in enumerate(names, 1):
                        if name not in here.get('required', []):
                            asked = f'has({root}.{".".join(names[:count])})'
                            self.assertIn(asked.replace('oldSelf', 'self'), text.replace('oldSelf', 'self'))
                        here = here['properties'][name]

    def test_messages(self):
        for kind, path, node in self.nodes():
            for rule in node.get(RULES, []):
                self.assertLessEqual(set(rule), {'rule', 'message'}, 'more is not known to every server with CEL')
                self.assertNotIn('\n', rule['message'])
                self.assertRegex(rule['message'], ': |, or ', 'the way out stands after a colon')

    def test_rules_are_cheap(self):
        """A stand-in for the API server's estimate: how often a rule can run in one object, and over how much text."""
        for kind in CRDS:
            self.cost(schema_of(kind), 1, kind)

    def cost(self, node, times, path):
        for rule in node.get(RULES, []):
            size = node.get('maxLength', 1) * node.get('maxProperties', 1)
            self.assertLessEqual(times * size, 100_000, path)
        times *= node.get('maxItems', node.get('maxProperties', 1))
        for child in [*node.get('properties', {}).values(), node.get('items'), node.get('additionalProperties')]:
            if isinstance(child, dict):
                self.cost(child, times, path)

    def test_names_and_columns(self):
        short = {kind: crd['spec']['names']['shortNames'] for kind, crd in CRDS.items()}
        self.assertEqual(
            short, {'BackupRepository': ['brepo'], 'ManagedService': ['msvc'], 'RestoreApproval': ['rappr'],
                    'RestorePlan': ['rplan'],
                    'RestoreRun': ['rr'], 'ServiceBackup': ['sbk'], 'ServiceClone': ['sclone']})
        for kind, crd in CRDS.items():
            version = crd['spec']['versions'][0]
            self.assertEqual(crd['spec']['names']['categories'], ['reprise'])
            has_status = 'status' in schema_of(kind)['properties']
            self.assertEqual(version.get('subresources'), {'status': {}} if has_status else None)
            columns = version['additionalPrinterColumns']
            self.assertEqual([c['name'] for c in columns if not c.get('priority')][-1], 'Age')
            for column in columns:
                self.column(kind, column['jsonPath'])

    def column(self, kind, path):
        """Every name in a column's path is a field."""
        names = set(re.findall(r"\.([A-Za-z]\w*)|'(\w+)'", re.sub(r'\[\?.*?\]', '', path)))
        fields = {p.rsplit('.', 1)[-1] for p, _ in walk(schema_of(kind))} | {'creationTimestamp', 'conditions'}
        for pair in names:
            self.assertIn(pair[0] or pair[1], fields, path)


class Examples(unittest.TestCase):
    """Everything in examples/ would be accepted."""

    def test_accepted(self):
        files = sorted((ROOT / 'examples').glob('*.yaml'))
        objects = [o for file in files for o in yaml.safe_load_all(file.read_text())]
        ours = [o for o in objects if o and o['apiVersion'] == 'reprise.dev/v1alpha1' and o['kind'] in CRDS]
        self.assertGreaterEqual({o['kind'] for o in ours}, {'BackupRepository', 'ServiceClone', 'RestoreRun'})
        for item in ours:
            with self.subTest(kind=item['kind'], name=item['metadata']['name']):
                schema = schema_of(item['kind'])['properties']['spec']
                self.assertEqual(structural(schema, item['spec'], 'spec'), [])
                self.assertEqual(Evaluator().check(schema, item['spec'], None), [])


@unittest.skipUnless(os.environ.get('REPRISE_CRD_SERVER'), 'REPRISE_CRD_SERVER is not set')
class Server(unittest.TestCase):
    """The same tables, to a real API server."""

    def setUp(self):
        apply = ['kubectl', 'apply', '--validate=false', '-f', str(ROOT / 'crds')]
        subprocess.run(apply, check=True, capture_output=True)
        wait = ['kubectl', 'wait', '--for=condition=Established', '--timeout=30s', '-f', str(ROOT / 'crds')]
        subprocess.run(wait, check=True, capture_output=True)
        self.proxy = subprocess.Popen(['kubectl', 'proxy', '--port=0'], stdout=subprocess.PIPE, text=True)
        self.addCleanup(self.end_proxy)
        self.port = int(self.proxy.stdout.readline().rsplit(':', 1)[1])
        version = self.call('GET', '/version')[1]
        self.has_cel = int(re.match(r'\d+', version['minor'])[0]) >= 29

    def end_proxy(self):
        self.proxy.terminate()
        self.proxy.wait()
        self.proxy.stdout.close()

    def call(self, method, path, body=None):
        connection = http.client.HTTPConnection('127.0.0.1', self.port, timeout=30)
        try:
            connection.request(method, path, json.dumps(body), {'Content-Type': 'application/json'})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def test_cases(self):
        for table in tables():
            names = CRDS[table['kind']]['spec']['names']
            path = f"/apis/reprise.dev/v1alpha1/namespaces/default/{names['plural']}?dryRun=All"
            for case in table['cases']:
                if 'was' in case:
                    continue
                body = {'apiVersion': 'reprise.dev/v1alpha1', 'kind': table['kind'], 'metadata': {'name': 'x'},
                        'spec': spec_of(table, case)}
                status, answer = self.call('POST', path, body)
                refuses = ['schema', 'cel'] if self.has_cel else ['schema']
                expected = 422 if not case['accepted'] and case['layer'] in refuses else 201
                with self.subTest(kind=table['kind'], case=case['name']):
                    self.assertEqual(status, expected, answer.get('message'))


if __name__ == '__main__':
    unittest.main()
