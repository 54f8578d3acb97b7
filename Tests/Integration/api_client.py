# SPDX-License-Identifier: Apache-2.0
"""A small Kubernetes client for tests: JSON in, JSON out, one connection per thread, watches as generators."""
import http.client
import json
import pathlib
import ssl
import threading
import urllib.parse

CORE, APPS, BATCH = '/api/v1', '/apis/apps/v1', '/apis/batch/v1'
REPRISE = '/apis/reprise.dev/v1alpha1'
RESOURCES = {
    'Namespace': (CORE, 'namespaces'), 'Node': (CORE, 'nodes'), 'Pod': (CORE, 'pods'), 'Secret': (CORE, 'secrets'),
    'Service': (CORE, 'services'), 'ConfigMap': (CORE, 'configmaps'), 'Event': (CORE, 'events'),
    'PersistentVolumeClaim': (CORE, 'persistentvolumeclaims'), 'StatefulSet': (APPS, 'statefulsets'),
    'Job': (BATCH, 'jobs'), 'ResourceQuota': (CORE, 'resourcequotas'), 'Lease': ('/apis/coordination.k8s.io/v1', 'leases'),
    'RestoreRun': (REPRISE, 'restoreruns'), 'ServiceClone': (REPRISE, 'serviceclones'),
    'BackupRepository': (REPRISE, 'backuprepositories'), 'ManagedService': (REPRISE, 'managedservices'),
    'ServiceBackup': (REPRISE, 'servicebackups'), 'RestorePlan': (REPRISE, 'restoreplans'),
    'RestoreApproval': (REPRISE, 'restoreapprovals'),
    'CustomResourceDefinition': ('/apis/apiextensions.k8s.io/v1', 'customresourcedefinitions'),
    'ClusterRole': ('/apis/rbac.authorization.k8s.io/v1', 'clusterroles'),
    'ClusterRoleBinding': ('/apis/rbac.authorization.k8s.io/v1', 'clusterrolebindings'),
}
MERGE, JSON = 'application/merge-patch+json', 'application/json'


class ApiError(Exception):
    """What the API server refused, or (status 0) that it could not be reached."""

    def __init__(self, status, reason, message):
        super().__init__(f'{status} {reason}: {message}')
        self.status, self.reason, self.message = status, reason, message


class Api:
    """The API server of the environment in `run`, as the owner of the certificate `pki/<certificate>.crt`."""

    def __init__(self, run, certificate='admin', agent='reprise-test'):
        pki = pathlib.Path(run) / 'pki'
        self.port = int((pathlib.Path(run) / 'ports' / 'kube-apiserver').read_text())
        self.tls = ssl.create_default_context(cafile=str(pki / 'ca.crt'))
        self.tls.load_cert_chain(str(pki / f'{certificate}.crt'), str(pki / f'{certificate}.key'))
        self.agent = agent
        self.local = threading.local()

    def connect(self, timeout):
        return http.client.HTTPSConnection('127.0.0.1', self.port, timeout=timeout, context=self.tls)

    def call(self, method, path, body=None, content=JSON):
        """One call. A connection that was closed meanwhile is opened again, once."""
        data = None if body is None else json.dumps(body).encode()
        headers = {'Content-Type': content, 'User-Agent': self.agent}
        for attempt in (1, 2):
            connection = getattr(self.local, 'connection', None)
            fresh = connection is None
            if fresh:
                connection = self.local.connection = self.connect(20)
            try:
                connection.request(method, path, data, headers)
                answer = connection.getresponse()
                text = answer.read()
                break
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                self.local.connection = None
                if fresh or attempt == 2:
                    raise ApiError(0, 'Unreachable', str(error)) from error
        return decode(answer.status, text)

    def get(self, kind, namespace, name):
        """The object, or None."""
        try:
            return self.call('GET', path(kind, namespace, name))
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def list(self, kind, namespace=None, selector=''):
        query = '?' + urllib.parse.urlencode({'labelSelector': selector}) if selector else ''
        return self.call('GET', path(kind, namespace) + query)

    def items(self, kind, namespace=None, selector=''):
        return self.list(kind, namespace, selector)['items']

    def create(self, kind, namespace, body):
        group, _ = RESOURCES[kind]
        version = group.removeprefix('/apis/').removeprefix('/api/')
        return self.call('POST', path(kind, namespace), {'apiVersion': version, 'kind': kind, **body})

    def patch(self, kind, namespace, name, body, sub='', content=MERGE):
        return self.call('PATCH', path(kind, namespace, name) + sub, body, content)

    def delete(self, kind, namespace, name, options=None):
        try:
            return self.call('DELETE', path(kind, namespace, name), options)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def text(self, path):
        connection = self.connect(20)
        try:
            connection.request('GET', path)
            return connection.getresponse().read().decode()
        finally:
            connection.close()

    def watch(self, kind, namespace, version, seconds=600):
        """Events from `version` on, until the server ends the watch. Gives (type, object)."""
        query = urllib.parse.urlencode({
            'watch': 'true', 'resourceVersion': version, 'timeoutSeconds': seconds, 'allowWatchBookmarks': 'true'})
        connection = self.connect(seconds + 10)
        try:
            connection.request('GET', f'{path(kind, namespace)}?{query}')
            answer = connection.getresponse()
            if answer.status != 200:
                decode(answer.status, answer.read())
            while line := answer.readline():
                event = json.loads(line)
                if event['type'] == 'ERROR':
                    decode(event['object'].get('code', 500), line)
                yield event['type'], event['object']
        except (OSError, http.client.HTTPException, AttributeError) as error:
            raise ApiError(0, 'Unreachable', str(error)) from error
        finally:
            connection.close()


def path(kind, namespace=None, name=None):
    group, resource = RESOURCES[kind]
    space = f'/namespaces/{namespace}' if namespace else ''
    return f'{group}{space}/{resource}' + (f'/{name}' if name else '')


def decode(status, text):
    try:
        value = json.loads(text) if text else {}
    except ValueError:
        value = {'message': text.decode(errors='replace')[:300]}
    if status >= 300:
        value = value.get('object', value)
        raise ApiError(status, value.get('reason', ''), value.get('message', ''))
    return value
