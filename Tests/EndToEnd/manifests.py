# SPDX-License-Identifier: Apache-2.0
"""The objects that the end-to-end tests create."""
import hashlib

from cluster import RUN, credentials

SPACE = "staging"
IMAGE = "docker.io/reprise/postgres-walg:15"


def endpoint():
    return (RUN / "s3" / "endpoint").read_text().strip()


def core(kind, name, namespace=None, **content):
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": "v1", "kind": kind, "metadata": metadata, **content}


def ours(kind, name, spec):
    return {"apiVersion": "reprise.dev/v1alpha1", "kind": kind, "metadata": {"name": name, "namespace": SPACE}, "spec": spec}


def keys(name, user, **instead):
    """A Secret with an S3 user's access keys, under the names that a repository expects by default."""
    known = credentials(user)
    values = {name: known[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")} | instead
    return core("Secret", name, SPACE, stringData=values)


def repository(name, prefix, secret, **s3):
    place = {"endpoint": endpoint(), "insecure": True, "bucket": "backups", "prefix": prefix} | s3
    return ours("BackupRepository", name, {
        "s3": place, "credentials": {"secretRef": {"name": secret}},
        "allowedImages": ["docker.io/reprise/postgres-walg"]})


def archive(repository_name, path):
    return {"archive": {"repository": {"name": repository_name}, "path": path}}


def service(name, image=IMAGE, path=None, **more):
    own = {"repository": {"name": "staging-backups"}, "path": path or name}
    return {"name": name, "image": image, "major": 15, "storage": {"size": "1Gi"}, "archive": own} | more


def location(key, bucket="backups", **instead):
    """A place that nobody recorded. A part of it is left out when None is given for it."""
    parts = {"uri": f"s3://{bucket}/{key}", "engine": "Postgres", "repository": {"name": "prod-readonly"}} | instead
    return {"location": {name: value for name, value in parts.items() if value is not None}}


def found(backup):
    """The ServiceBackup of a base backup of the source: its name follows from what it is."""
    what = "\n".join(["prod-readonly", "orders", "15", backup])
    return {"backup": {"name": f"prod-readonly-backup-{hashlib.sha256(what.encode()).hexdigest()[:12]}"}}


def at(moment, **more):
    return {"kind": "Time", "time": moment, **more}


def clone(name, source="prod-readonly", target=None, **more):
    return ours("ServiceClone", name, {
        "source": archive(source, "orders"), "recoveryTarget": target or {"kind": "Latest"},
        "service": service(name, **more)})


def run(name, source="prod-readonly", source_path="orders", target=None, place=None, **more):
    mode = "PointInTime" if (target or {}).get("kind") in ("Time", "Xid", "Lsn", "Name") else "NewService"
    spec = {"mode": mode, "source": place or archive(source, source_path), "target": {"newService": service(name, **more)}}
    if target or not place:
        spec["recoveryTarget"] = target or {"kind": "Latest"}
    return ours("RestoreRun", name, spec)


def like(template, of):
    """The same with a service that is made like another one."""
    service_ = of["spec"].get("service") or of["spec"]["target"]["newService"]
    for name in ("image", "major", "storage"):
        del service_[name]
    service_["templateRef"] = {"name": template}
    return of


def plan(of):
    """A preview of what that run would do."""
    return ours("RestorePlan", of["metadata"]["name"], of["spec"])


def managed(name):
    """The source, as its owners would declare it here."""
    return ours("ManagedService", name, {
        "engine": "Postgres", "workload": {"name": name}, "major": 15,
        "archive": {"repository": {"name": "prod-readonly"}, "path": "orders"}})


def claim(name):
    return core("PersistentVolumeClaim", name, SPACE, spec={
        "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}})


def stateful_set(name, namespace, replicas, container, claims=None):
    labels = {"app": name}
    return {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": name, "namespace": namespace}, "spec": {
        "serviceName": name, "replicas": replicas, "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        "volumeClaimTemplates": claims or []}}


def source(name="orders-db", namespace="prod", prefix="s3://backups/prod/orders", store="source-writer"):
    """A PostgreSQL that archives, with what a logical replication slot needs."""
    variables = [{"name": "WALG_S3_PREFIX", "value": prefix},
                 {"name": "BACKUP_SCHEDULE", "value": "0 3 * * *"}, {"name": "ARCHIVE_TIMEOUT", "value": "0"}]
    return database(name, namespace, [], variables, [{"secretRef": {"name": store}}])


def publisher():
    """A PostgreSQL that the source subscribes to. It tells who connects, and from where, in its pod's log."""
    return database("billing-db", "prod", ["log_connections=on", "logging_collector=off", "log_line_prefix=%h %u "])


def database(name, namespace, settings, variables=(), files=()):
    arguments = [word for setting in ["wal_level=logical", *settings] for word in ("-c", setting)]
    password = {"name": "POSTGRES_PASSWORD", "valueFrom": {"secretKeyRef": {"name": name, "key": "password"}}}
    container = {
        "name": "postgres", "image": IMAGE, "args": ["postgres", *arguments],
        "env": [{"name": "POSTGRES_DB", "value": "shop"}, password, *variables], "envFrom": list(files),
        "readinessProbe": {"exec": {"command": ["pg_isready", "-q", "-U", "postgres"]}, "periodSeconds": 1},
        "volumeMounts": [{"name": "data", "mountPath": "/var/lib/postgresql"}]}
    data = {"metadata": {"name": "data"}, "spec": {
        "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}
    return stateful_set(name, namespace, 1, container, [data])
