# SPDX-License-Identifier: Apache-2.0
"""The world that all end-to-end tests share: one source, one controller, and every clone and run that is asked for at the
beginning, so that they go on side by side while the tests wait for one after the other."""
import atexit
import functools
import re
import secrets
import socket
import threading
import time

import manifests as make
from cluster import OURS, REPO, RUN, API, Controller, Ledger, Store, kubectl, sql, wait
from manifests import SPACE

CHECKSUM = """select count(*) || '/' || max(id) || '/' || md5(string_agg(id || ':' || amount, ',' order by id)) from orders"""
TERMINAL = {"Completed", "Failed", "Cancelled", "Interrupted"}


@functools.cache
def _made():
    try:
        return World(), None
    except Exception as error:  # pylint: disable=broad-except
        return None, error


def world():
    """The one world. What kept it from being made keeps every test from running, in the same words."""
    made, problem = _made()
    if problem:
        raise problem
    return made


class World:
    def __init__(self):
        self.began = time.monotonic()
        self.api, self.ledger, self.controller = API(), Ledger(), Controller()
        self.reader, self.writer = Store("source-reader"), Store("clone-writer")
        # What must not turn up anywhere outside of Secrets: the tests look for exactly these texts.
        self.password = "source-" + secrets.token_hex(12)
        self.app_password = "app-" + secrets.token_hex(12)
        self.publisher_password = "publisher-" + secrets.token_hex(12)
        # The API server that is built from Debian's source is older than the CEL rules in the types.
        kubectl("apply", "--validate=false", "-f", str(REPO / "crds"))
        for file in sorted((REPO / "crds").glob("*.yaml")):
            kubectl("wait", "--for=condition=Established", "--timeout=30s", "-f", str(file))
        self.api.create(*(make.core("Namespace", name) for name in ("prod", SPACE, "reprise-system")))
        self.controller.start()
        atexit.register(self.controller.stop)
        self.make_source()
        readonly = make.repository("prod-readonly", "prod", "source-reader")
        readonly["spec"]["discovery"] = {"createBackups": "Newest"}
        self.api.create(
            make.keys("source-reader", "source-reader"), make.keys("clone-writer", "clone-writer"), readonly,
            make.repository("staging-backups", "staging", "clone-writer"))
        self.say("the source is there: " + self.rows)

    def say(self, text):
        print(f"{time.monotonic() - self.began:7.1f} s  {text}", flush=True)

    # ---------------------------------------------------------------- the source

    def make_source(self):
        environment = dict(line.split("=", 1) for line in (RUN / "s3" / "source-writer.env").read_text().splitlines())
        self.api.create(
            make.core("Secret", "orders-db", "prod", stringData={"password": self.password}),
            make.core("Secret", "billing-db", "prod", stringData={"password": self.publisher_password}),
            make.core("Secret", "source-writer", "prod", stringData=environment), make.source(), make.publisher())
        self.source_address = wait("the source", lambda: self.ready_address("prod", "orders-db-0"), 90)
        self.publisher_address = wait("the publisher", lambda: self.ready_address("prod", "billing-db-0"), 90)
        self.on_source(f"""
            create role app login password '{self.app_password}';
            create table orders (id bigint generated always as identity primary key, customer int, amount numeric(9,2));
            create table outbox (id int primary key);
            create publication outbox for table outbox;
            select pg_create_logical_replication_slot('mirror', 'pgoutput');
            create database mirror""")
        # A subscription to itself, by address: a clone with it enabled would consume the source's slot.
        self.on_source(f"""
            create table outbox (id int primary key);
            create subscription mirror
                connection 'host={self.source_address} dbname=shop user=postgres password={self.password}'
                publication outbox with (create_slot = false, slot_name = mirror, copy_data = false)""", "mirror")
        self.subscribe()
        self.base_backup(20000)
        self.marks = self.make_marks()
        self.early = self.moment()  # before the newest base backup
        self.base_backup(10000)
        self.add_rows(4, 2000)
        self.late = self.moment()  # after it, between two batches
        self.add_rows(4, 2000)
        self.rows = self.on_source(CHECKSUM)
        # A moment after which a segment was archived and nothing committed.
        self.idle = self.moment()
        segment = self.on_source("""
            select pg_logical_emit_message(false, 'reprise', 'no commit');
            select pg_walfile_name(pg_switch_wal() - 1)""")
        wait("the archive", lambda: self.on_source("select last_archived_wal from pg_stat_archiver") >= segment)
        time.sleep(1.1)
        self.before = self.reader.listing("prod/orders/")
        self.gap = self.make_archive_with_gap()
        self.make_flat_archive()
        self.make_lost_archive()
        # The source is idle by now: nothing was archived at this moment, which is not in the future either.
        self.after = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())

    def subscribe(self):
        """The source gets the bills from another server, as a role that nobody else uses there."""
        self.on_publisher("create table bills (id int primary key)")
        self.on_publisher(f"create role subscriber login replication password '{self.publisher_password}'")
        self.on_publisher("grant select on bills to subscriber")
        self.on_publisher("create publication bills for table bills")
        self.on_source(f"""
            create table bills (id int primary key);
            create subscription bills
                connection 'host={self.publisher_address} dbname=shop user=subscriber password={self.publisher_password}'
                publication bills with (copy_data = false)""")

    def make_marks(self):
        """A restore point and two transactions, one after the other and before the newest base backup; and what the source
        held before the first and after each."""
        self.on_source("select pg_create_restore_point('before the import')")
        rows, made = [self.on_source(CHECKSUM)], []
        for _ in range(2):
            start = self.on_source("select pg_current_wal_insert_lsn()")
            xid = self.on_source("""
                with made as (insert into orders (customer, amount) values (1, 1) returning id)
                select pg_current_xact_id() from made""")
            rows.append(self.on_source(CHECKSUM))
            made.append((xid, start))
        # Where its record of commit begins, and what time stands in it, only the log says.
        xid, start = made[1]
        record = kubectl("-n", "prod", "exec", "orders-db-0", "--", "setpriv", "--reuid=postgres", "--regid=postgres",
                         "--init-groups", "/usr/lib/postgresql/15/bin/pg_waldump", "-p",
                         "/var/lib/postgresql/15/docker/pg_wal", "-s", start, "-x", xid, "-r", "Transaction", "-n", "1")
        found = re.search(r"lsn: ([0-9A-F]+/[0-9A-F]+),.*COMMIT (\S+) (\S+) (\S+)", record)
        assert found and found[4] == "UTC", record
        lsn = "/".join(part.lstrip("0") or "0" for part in found[1].split("/"))  # as the server itself writes it
        return {"name": "before the import", "rows": rows, "xid": made[0][0], "lsn": lsn, "time": f"{found[2]}T{found[3]}Z"}

    def moment(self):
        """A moment on the source's clock with nothing else in its second, and what the source holds then."""
        time.sleep(1.1)
        at = self.on_source("select to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')")
        rows = self.on_source(CHECKSUM)
        time.sleep(1.1)
        return {"time": at, "rows": rows}

    def make_archive_with_gap(self):
        """The source's archive once more, without one segment after its newest base backup. Gives the missing segment,
        and a moment at which only that one was being written, by the store's clock."""
        store, keys = Store("source-writer"), [key for key, _, _ in self.before]
        sentinels = [key for key in keys if key.endswith("_sentinel.json")]
        segments = [key for key in keys if "/wal_005/" in key and key.split("/")[-1].count(".") == 1]
        for key in keys:
            if key not in sentinels and key not in segments:
                store.copy(key, key.replace("prod/orders/", "prod/gapped/"))
        for key in sentinels:
            store.copy(key, key.replace("prod/orders/", "prod/gapped/"))
            time.sleep(1.1)
        missing = segments[-3]
        for key in segments[:-3]:
            store.copy(key, key.replace("prod/orders/", "prod/gapped/"))
        time.sleep(2.1)
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        time.sleep(2.1)
        last = segments[-1].split("/")[-1].split(".")[0]
        for number in range(1, 20):  # more than could be uploads that are still under way
            name = f"{last[:16]}{int(last[16:], 16) + number:08X}"
            store.put(f"prod/gapped/15/wal_005/{name}.lz4")
        for key in segments[-2:]:
            store.copy(key, key.replace("prod/orders/", "prod/gapped/"))
        return {"segment": missing.split("/")[-1].split(".")[0], "time": at}

    def make_flat_archive(self):
        """An archive without a major version in its path."""
        store = Store("source-writer")
        for key, _, _ in self.before:
            if "basebackups_005" in key:
                store.copy(key, key.replace("prod/orders/15/", "prod/flat/"))

    def make_lost_archive(self):
        """The archive of a cluster that is gone: nothing here has ever told of it."""
        store = Store("source-writer")
        for wanted in (False, True):  # by the sentinels' times WAL-G knows which backup is the latest
            for key, _, _ in self.before:
                if key.endswith("_sentinel.json") is wanted:
                    store.copy(key, key.replace("prod/orders/", "prod/lost/"))
                    time.sleep(1.1 if wanted else 0)

    def on_publisher(self, statement):
        return sql(self.publisher_address, self.publisher_password, statement)

    def on_source(self, statements, database="shop"):
        output = ""
        for statement in statements.split(";"):  # each in a transaction of its own
            output = sql(self.source_address, self.password, statement, database)
        return output

    def base_backup(self, rows):
        self.on_source(f"insert into orders (customer, amount) select i % 500, random() * 900 from generate_series(1, {rows}) i")
        kubectl("-n", "prod", "exec", "orders-db-0", "--", "setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups",
                "env", "WALG_S3_PREFIX=s3://backups/prod/orders/15", "PGUSER=postgres", "HOME=/tmp", "WALG_TAR_SIZE_THRESHOLD=4194304", "wal-g", "backup-push",
                "/var/lib/postgresql/15/docker")
        time.sleep(1.1)  # object stores tell times in whole seconds, and which backup is the latest goes by them

    def add_rows(self, segments, rows):
        for _ in range(segments):
            segment = self.on_source(f"""
                insert into orders (customer, amount) select i % 500, random() * 900 from generate_series(1, {rows}) i;
                select pg_walfile_name(pg_switch_wal() - 1)""")
        wait("the archive", lambda: self.on_source("select last_archived_wal from pg_stat_archiver") >= segment)

    # ---------------------------------------------------------------- what is there

    def ready_address(self, namespace, pod):
        found = self.api.get(f"/api/v1/namespaces/{namespace}/pods/{pod}")
        conditions = (found or {}).get("status", {}).get("conditions", [])
        if any(c["type"] == "Ready" and c["status"] == "True" for c in conditions):
            return found["status"].get("podIP")
        return None

    def get(self, kind, name):
        return self.api.get(f"{OURS}/namespaces/{SPACE}/{kind}/{name}")

    def secret(self, name, key):
        import base64
        return base64.b64decode(self.api.get(f"/api/v1/namespaces/{SPACE}/secrets/{name}")["data"][key]).decode()

    def remains(self, service):
        """What exists under the names of a service."""
        places = {"StatefulSet": ("/apis/apps/v1", "statefulsets", service),
                  "PersistentVolumeClaim": ("/api/v1", "persistentvolumeclaims", f"data-{service}-0"),
                  "Pod": ("/api/v1", "pods", f"{service}-0"), "Service": ("/api/v1", "services", service),
                  "headless Service": ("/api/v1", "services", f"{service}-pods")}
        return {kind for kind, (root, plural, name) in places.items()
                if self.api.get(f"{root}/namespaces/{SPACE}/{plural}/{name}")}

    def events(self, name):
        """(type, reason, message) of every Event about an object of ours."""
        found = self.api.list(f"/api/v1/namespaces/{SPACE}/events?fieldSelector=involvedObject.name%3D{name}")
        return [(event["type"], event["reason"], event["message"]) for event in found]

    def runs_of(self, clone):
        uid = self.get("serviceclones", clone)["metadata"]["uid"]
        return self.api.list(f"{OURS}/namespaces/{SPACE}/restoreruns?labelSelector=reprise.dev/clone-uid%3D{uid}")

    # ---------------------------------------------------------------- waiting

    def ended(self, name, seconds=360):
        """A RestoreRun, once it has ended and the ledger has it."""
        def look():
            found = self.get("restoreruns", name)
            status = (found or {}).get("status", {})
            done = status.get("state") in TERMINAL and condition(found, "Recorded")["status"] == "True"
            return found if done and not found["metadata"].get("finalizers") else None
        found = wait(f"RestoreRun {name} to end", look, seconds)
        self.say(f"RestoreRun {name} ended: {condition(found, 'Finished')['reason']}")
        return found

    def clone_settled(self, name, seconds=360):
        """A ServiceClone once it is Ready or has given up."""
        def look():
            found = self.get("serviceclones", name)
            ready = condition(found, "Ready")
            over = condition(found, "Stalled")["status"] == "True" and found["status"].get("run", {}).get("uid") and \
                self.get("restoreruns", found["status"]["run"]["name"])["status"].get("state") in TERMINAL
            return found if ready["status"] == "True" or over else None
        found = wait(f"ServiceClone {name} to settle", look, seconds)
        self.say(f"ServiceClone {name}: Ready={condition(found, 'Ready')['status']} {condition(found, 'Ready')['reason']}")
        return found


def condition(item, kind):
    for one in (item or {}).get("status", {}).get("conditions", []):
        if one["type"] == kind:
            return one
    return {"status": "Unknown", "reason": "", "message": ""}


class Watchman(threading.Thread):
    """Knocks at the door of a clone from its first pod until its run says Sealed, and looks for a client Service."""

    def __init__(self, world_, clone):
        super().__init__(daemon=True)
        self.world, self.clone = world_, clone
        self.refused = self.opened = self.services = 0
        self.start()

    def run(self):
        while not self.is_sealed():
            pod = self.world.api.get(f"/api/v1/namespaces/{SPACE}/pods/{self.clone}-0")
            service = self.world.api.get(f"/api/v1/namespaces/{SPACE}/services/{self.clone}")
            address = (pod or {}).get("status", {}).get("podIP")
            if address:
                self.knock(address)
            # Looked for before the seal was, so one that is there now has come too early.
            if service and not self.is_sealed():
                self.services += 1
            time.sleep(0.1)

    def knock(self, address):
        try:
            socket.create_connection((address, 5432), timeout=1).close()
        except OSError:
            self.refused += 1
        else:
            # Between two looks the seal may have come and the service been opened.
            self.opened += 0 if self.is_sealed() else 1

    def is_sealed(self):
        runs = self.world.runs_of(self.clone)
        return bool(runs) and condition(runs[0], "Sealed")["status"] == "True"


