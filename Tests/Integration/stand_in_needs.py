# SPDX-License-Identifier: Apache-2.0
"""What a kubelet looks for before it starts a pod's container: Secrets, ConfigMaps, claims. For the stand-in of one."""


def missing(api, played):
    """(reason, message) of what is not there; None when nothing is missing."""
    return missing_secret(api, played) or missing_config(api, played)


def missing_secret(api, played):
    namespace = played.pod['metadata']['namespace']
    for item in played.container.get('env', []):
        wanted = item.get('valueFrom', {}).get('secretKeyRef')
        if not wanted:
            continue
        secret = api.get('Secret', namespace, wanted['name'])
        if secret is None:
            return 'CreateContainerConfigError', f'secret "{wanted["name"]}" not found'
        if wanted['key'] not in secret.get('data', {}):
            return 'CreateContainerConfigError', f'couldn\'t find key {wanted["key"]} in Secret {wanted["name"]}'
    return None


def missing_config(api, played):
    """A ConfigMap that can't be mounted holds a pod up until it can."""
    namespace = played.pod['metadata']['namespace']
    for volume in played.pod['spec'].get('volumes', []):
        wanted = volume.get('configMap', {})
        if wanted and not wanted.get('optional') and api.get('ConfigMap', namespace, wanted['name']) is None:
            return 'ContainerCreating', f'configmap "{wanted["name"]}" not found'
    return None


def claims(api, played):
    """UID of each claim and whether the pod writes to it; None while one is not bound, or is being deleted: no kubelet
    starts a pod on that."""
    found = []
    for volume in played.pod['spec'].get('volumes', []):
        wanted = volume.get('persistentVolumeClaim')
        if wanted:
            claim = api.get('PersistentVolumeClaim', played.pod['metadata']['namespace'], wanted['claimName'])
            if not claim or claim.get('status', {}).get('phase') != 'Bound' or claim['metadata'].get('deletionTimestamp'):
                return None
            found.append((claim['metadata']['uid'], not wanted.get('readOnly')))
    return found
