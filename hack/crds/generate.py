#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes crds/reprise.dev_*.yaml and Tests/Fixtures/crds.json from hack/crds/*.yaml.

Several kinds share types, and a CustomResourceDefinition can't refer to anything outside of itself: so each kind is
written once in hack/crds, with `$use: Name` where a shared type goes, and put together here. `$show: Name` is the same
type in a status: of the same shape, and without the rules that a user's input keeps.

    hack/crds/generate.py            write
    hack/crds/generate.py --check    say what would change, and fail if anything would
"""
import json
import pathlib
import sys

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
TYPES = ROOT / 'hack' / 'crds'
SHARED = ['shared', 'newservice']
KINDS = ['backuprepository', 'managedservice', 'restoreapproval', 'restoreplan', 'restorerun', 'servicebackup',
         'serviceclone']
HEADER = '# SPDX-License-Identifier: Apache-2.0\n# Written by hack/crds/generate.py from hack/crds. Change it there.\n'


class Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data):  # anchors would make the files unreadable for people
        return True


def load(name):
    return yaml.safe_load((TYPES / f'{name}.yaml').read_text())


def shown(node):
    """A schema without what refuses values: a status must always be written, also by a newer controller."""
    if isinstance(node, list):
        return [shown(item) for item in node]
    if not isinstance(node, dict):
        return node
    rules = ['x-kubernetes-validations', 'pattern', 'enum', 'minLength', 'minimum', 'maximum']
    open_ = {key: value for key, value in node.items() if key not in rules or isinstance(value, dict)}
    if 'enum' in node and not isinstance(node['enum'], dict):
        open_.setdefault('maxLength', 253)
    if isinstance(open_.get('x-kubernetes-list-type'), str):
        open_['x-kubernetes-list-type'] = 'atomic'
        open_.pop('x-kubernetes-list-map-keys', None)
    return {key: shown(value) for key, value in open_.items()}


def expand(node, shared):
    """Replaces every `$use` and `$show`, and `$immutableExcept` by one transition rule for each property."""
    if isinstance(node, list):
        return [expand(item, shared) for item in node]
    if not isinstance(node, dict):
        return node
    node = dict(node)
    if '$show' in node:
        node = {**shown(expand(shared[node.pop('$show')], shared)), **node}
    if '$use' in node:
        base = shared[node.pop('$use')]
        if 'properties' in base and 'properties' in node:
            node['properties'] = {**base['properties'], **node['properties']}
        node = {**base, **node}
    mutable = node.pop('$immutableExcept', None)
    node = {key: expand(value, shared) for key, value in node.items()}
    if mutable is not None:
        rules = [immutable(name) for name in node['properties'] if name not in mutable]
        node['x-kubernetes-validations'] = node.get('x-kubernetes-validations', []) + rules
    return ordered(node)


def immutable(name):
    # On the parent: a rule on the field itself does not run when the field is added or removed.
    return {
        'rule': f'has(self.{name}) == has(oldSelf.{name}) && (!has(self.{name}) || self.{name} == oldSelf.{name})',
        'message': f"{name} can't be changed, only cancel can: create another RestoreRun",
    }


def ordered(node):
    """Puts what a schema says first, and what is below it last."""
    if not isinstance(node.get('type'), str):
        return node
    first = ['description', 'type', 'format']
    last = ['x-kubernetes-validations', 'required', 'properties', 'additionalProperties', 'items']
    keys = [k for k in first if k in node] + [k for k in node if k not in first + last] + [k for k in last if k in node]
    return {key: node[key] for key in keys}


def definition(kind, shared):
    names = kind['names']
    return {
        'apiVersion': 'apiextensions.k8s.io/v1',
        'kind': 'CustomResourceDefinition',
        'metadata': {'name': f"{names['plural']}.reprise.dev"},
        'spec': {
            'group': 'reprise.dev',
            'scope': 'Namespaced',
            'names': {**names, 'categories': ['reprise']},
            'versions': [{
                'name': 'v1alpha1',
                'served': True,
                'storage': True,
                **({'subresources': {'status': {}}} if 'status' in kind else {}),
                'additionalPrinterColumns': kind['columns'],
                'schema': {'openAPIV3Schema': {
                    'description': kind['description'],
                    'type': 'object',
                    'required': ['spec'],
                    'properties': {
                        'apiVersion': {'description': 'Version of the API of this object.', 'type': 'string'},
                        'kind': {'description': 'What this object is.', 'type': 'string'},
                        'metadata': {'type': 'object'},
                        'spec': expand(kind['spec'], shared),
                        **({'status': expand(kind['status'], shared)} if 'status' in kind else {}),
                    },
                }},
            }],
        },
    }


def checksum(text):
    """FNV-1a, 64 bits: enough to see that a file was changed, and five lines in any language."""
    value = 0xCBF29CE484222325
    for byte in text.encode():
        value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return f'{value:016x}'


def outputs():
    shared = {}
    for name in SHARED:
        shared.update(load(name))
    files, fixture = {}, {}
    for name in KINDS:
        crd = definition(load(name), shared)
        path = f"crds/reprise.dev_{crd['spec']['names']['plural']}.yaml"
        files[path] = HEADER + '---\n' + yaml.dump(crd, Dumper=Dumper, sort_keys=False, width=118, allow_unicode=True)
        fixture[crd['spec']['names']['kind']] = {'file': path, 'checksum': checksum(files[path]), 'definition': crd}
    files['Tests/Fixtures/crds.json'] = json.dumps(fixture, indent=1) + '\n'
    return files


def main():
    check = sys.argv[1:] == ['--check']
    if sys.argv[1:] and not check:
        sys.exit(__doc__)
    stale = []
    for path, text in outputs().items():
        file = ROOT / path
        if file.exists() and file.read_text() == text:
            continue
        stale.append(path)
        if not check:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
    extra = {str(p.relative_to(ROOT)) for p in (ROOT / 'crds').glob('*.yaml')} - set(outputs())
    for path in sorted(extra):
        print(f'{path}: nothing in hack/crds makes this file')
    if check and (stale or extra):
        sys.exit('\n'.join(f'{path}: differs from what hack/crds/generate.py writes; run it' for path in stale))
    print(f'{len(stale)} written' if stale else 'nothing to change')
    return 1 if extra else 0


if __name__ == '__main__':
    sys.exit(main())
