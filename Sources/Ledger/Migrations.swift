// SPDX-License-Identifier: Apache-2.0

/// One numbered step of the schema. What is released never changes; a new step is appended.
struct Migration: Sendable {
    let version: Int
    let name: String
    /// The oldest controller that may still use the ledger after this step: the newest migration it knows must not be
    /// older than this. Steps of one minor release only add things, so that it stays the same within it.
    let minReader: Int
    let sql: String
}

/// The schema of the ledger, embedded so that a controller brings its own.
enum Migrations {
    /// In order, numbered 1, 2, 3, ...
    static let all = [
        Migration(version: 1, name: "restore_runs", minReader: 1, sql: restoreRuns),
        Migration(version: 2, name: "restore_audit", minReader: 1, sql: restoreAudit),
    ]

    /// The number of the newest step this controller knows.
    static var latest: Int { all.last?.version ?? 0 }

    /// The table that says which steps were taken.
    static let bookkeeping = """
        DO $$
        BEGIN
            IF to_regnamespace('reprise') IS NULL THEN
                CREATE SCHEMA reprise;
            END IF;
        END
        $$;
        CREATE TABLE IF NOT EXISTS reprise.schema_migrations (
            version integer PRIMARY KEY,
            name text NOT NULL,
            min_reader integer NOT NULL,
            applied_at timestamptz NOT NULL DEFAULT now(),
            applied_by text NOT NULL DEFAULT session_user
        )
        """

    private static let restoreRuns = """
        CREATE TABLE reprise.restore_runs (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            cluster_uid text NOT NULL,
            run_uid text NOT NULL,
            namespace text NOT NULL,
            name text NOT NULL,
            mode text NOT NULL CHECK (mode IN ('in_place', 'new_service', 'pitr')),
            status text NOT NULL
                CHECK (status IN ('pending', 'running', 'completed', 'failed', 'cancelled', 'interrupted')),
            phase text NOT NULL CHECK (phase IN
                ('prepare', 'download', 'provision', 'restore', 'recover', 'verify', 'completed', 'failed')),
            failed_phase text CHECK (failed_phase IN
                ('prepare', 'download', 'provision', 'restore', 'recover', 'verify', 'completed', 'failed')),
            engine text NOT NULL,
            strategy text,
            destructive boolean NOT NULL,
            to_new_service boolean NOT NULL,
            source_backup text,
            source_location text,
            origin_service text,
            target_service text,
            target_kind text,
            target_uid text,
            target_service_name text,
            recovery_target jsonb,
            parameter_overrides jsonb,
            plan jsonb,
            plan_hash text,
            plan_version integer NOT NULL,
            spec_digest text NOT NULL,
            request_id text,
            retry_of text,
            rollback_of text,
            epoch bigint NOT NULL,
            inferred boolean NOT NULL,
            resume_token jsonb,
            log_id text,
            attempt integer NOT NULL CHECK (attempt >= 1),
            error_message text,
            requested_by text,
            approved_by text,
            bytes_total bigint,
            bytes_restored bigint,
            rto_seconds bigint,
            rpo_seconds bigint,
            verification jsonb,
            created_at timestamptz NOT NULL,
            started_at timestamptz,
            finished_at timestamptz,
            updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            CONSTRAINT restore_runs_run UNIQUE (cluster_uid, run_uid),
            CONSTRAINT restore_runs_inferred CHECK (NOT inferred OR status = 'interrupted')
        );

        CREATE UNIQUE INDEX restore_runs_active_target ON reprise.restore_runs (cluster_uid, target_uid)
            WHERE status = 'running' AND destructive;
        CREATE UNIQUE INDEX restore_runs_active_new_service
            ON reprise.restore_runs (cluster_uid, namespace, target_service_name)
            WHERE status = 'running' AND to_new_service;
        CREATE INDEX restore_runs_open ON reprise.restore_runs (cluster_uid)
            WHERE status IN ('pending', 'running');
        CREATE INDEX restore_runs_request ON reprise.restore_runs (spec_digest, request_id)
            WHERE status = 'completed' AND destructive;

        CREATE FUNCTION reprise.status_rank(status text) RETURNS integer
            LANGUAGE sql IMMUTABLE PARALLEL SAFE
            AS $$ SELECT CASE status WHEN 'pending' THEN 0 WHEN 'running' THEN 1 ELSE 2 END $$;

        CREATE FUNCTION reprise.guard_run() RETURNS trigger
            LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
            AS $$
        BEGIN
            IF NEW.epoch < OLD.epoch THEN
                RAISE EXCEPTION USING ERRCODE = 'RP003', MESSAGE = 'a newer leader has written this run';
            END IF;
            IF reprise.status_rank(OLD.status) = 2 AND NEW IS DISTINCT FROM OLD
                AND NOT (OLD.inferred AND NOT NEW.inferred AND reprise.status_rank(NEW.status) = 2) THEN
                RAISE EXCEPTION USING ERRCODE = 'RP001', MESSAGE = 'this run is ' || OLD.status || ' already';
            END IF;
            IF reprise.status_rank(NEW.status) < reprise.status_rank(OLD.status) THEN
                RAISE EXCEPTION USING ERRCODE = 'RP004', MESSAGE = 'the status of a run never goes back';
            END IF;
            -- What was requested: never changes; what was not known at first may be filled in once.
            IF (NEW.cluster_uid, NEW.run_uid, NEW.namespace, NEW.name, NEW.mode, NEW.engine, NEW.spec_digest,
                NEW.created_at)
                IS DISTINCT FROM (OLD.cluster_uid, OLD.run_uid, OLD.namespace, OLD.name, OLD.mode, OLD.engine,
                OLD.spec_digest, OLD.created_at)
                OR (OLD.target_kind IS NOT NULL AND NEW.target_kind IS DISTINCT FROM OLD.target_kind)
                OR (OLD.target_service_name IS NOT NULL
                    AND NEW.target_service_name IS DISTINCT FROM OLD.target_service_name)
                OR (OLD.recovery_target IS NOT NULL AND NEW.recovery_target IS DISTINCT FROM OLD.recovery_target)
                OR (OLD.parameter_overrides IS NOT NULL
                    AND NEW.parameter_overrides IS DISTINCT FROM OLD.parameter_overrides)
                OR (OLD.request_id IS NOT NULL AND NEW.request_id IS DISTINCT FROM OLD.request_id)
                OR (OLD.retry_of IS NOT NULL AND NEW.retry_of IS DISTINCT FROM OLD.retry_of)
                OR (OLD.rollback_of IS NOT NULL AND NEW.rollback_of IS DISTINCT FROM OLD.rollback_of)
                OR (OLD.requested_by IS NOT NULL AND NEW.requested_by IS DISTINCT FROM OLD.requested_by)
            THEN
                RAISE EXCEPTION USING ERRCODE = 'RP002', MESSAGE = 'what was requested can''t be changed';
            END IF;
            -- What planning settles: final once the run is no longer pending.
            IF OLD.status <> 'pending' AND (
                (NEW.destructive, NEW.to_new_service) IS DISTINCT FROM (OLD.destructive, OLD.to_new_service)
                OR (OLD.source_backup IS NOT NULL AND NEW.source_backup IS DISTINCT FROM OLD.source_backup)
                OR (OLD.source_location IS NOT NULL AND NEW.source_location IS DISTINCT FROM OLD.source_location)
                OR (OLD.origin_service IS NOT NULL AND NEW.origin_service IS DISTINCT FROM OLD.origin_service)
                OR (OLD.destructive AND OLD.target_uid IS NOT NULL
                    AND NEW.target_uid IS DISTINCT FROM OLD.target_uid))
            THEN
                RAISE EXCEPTION USING ERRCODE = 'RP002',
                    MESSAGE = 'source and target of a run can''t be changed once it is running';
            END IF;
            RETURN NEW;
        END
        $$;
        CREATE TRIGGER guard_run BEFORE UPDATE ON reprise.restore_runs
            FOR EACH ROW EXECUTE FUNCTION reprise.guard_run();
        """

    private static let restoreAudit = """
        CREATE TABLE reprise.restore_audit (
            cluster_uid text NOT NULL,
            run_uid text NOT NULL,
            sequence integer NOT NULL,
            activity text NOT NULL DEFAULT 'EXTERNAL_SERVICE_RESTORE_RUN',
            operation text NOT NULL CHECK (operation IN ('accepted', 'refused', 'approved', 'started', 'attempt',
                'finished', 'cancelled', 'rolled_back')),
            attempt integer NOT NULL CHECK (attempt >= 0),
            actor text,
            detail text,
            at timestamptz NOT NULL,
            namespace text NOT NULL,
            name text NOT NULL,
            mode text NOT NULL,
            source_backup text,
            source_location text,
            origin_service text,
            target_service_name text,
            recorded_at timestamptz NOT NULL,
            recorded_by text NOT NULL,
            previous_hash text NOT NULL,
            hash text NOT NULL,
            PRIMARY KEY (cluster_uid, run_uid, sequence),
            CONSTRAINT restore_audit_once UNIQUE (cluster_uid, run_uid, operation, attempt)
        );

        -- Hash of a row: SHA-256, in hex, over the hash before it followed by the row's content as a JSON array.
        -- Times are microseconds, so that no session setting changes the text.
        CREATE FUNCTION reprise.audit_hash(a reprise.restore_audit) RETURNS text
            LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
            AS $$
            SELECT encode(sha256(convert_to(a.previous_hash || jsonb_build_array(
                a.cluster_uid, a.run_uid, a.sequence, a.activity, a.operation, a.attempt, a.actor, a.detail,
                (extract(epoch FROM a.at) * 1000000)::bigint, a.namespace, a.name, a.mode, a.source_backup,
                a.source_location, a.origin_service, a.target_service_name,
                (extract(epoch FROM a.recorded_at) * 1000000)::bigint, a.recorded_by)::text, 'UTF8')), 'hex')
            $$;

        CREATE FUNCTION reprise.chain_audit() RETURNS trigger
            LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
            AS $$
        DECLARE
            last record;
        BEGIN
            -- One writer per run at a time; the next statement then sees what the one before committed.
            PERFORM pg_advisory_xact_lock(hashtextextended(NEW.cluster_uid || '/' || NEW.run_uid, 7265707269736521));
            SELECT a.sequence, a.hash INTO last FROM reprise.restore_audit a
                WHERE a.cluster_uid = NEW.cluster_uid AND a.run_uid = NEW.run_uid
                ORDER BY a.sequence DESC LIMIT 1;
            NEW.sequence := coalesce(last.sequence, 0) + 1;
            NEW.previous_hash := coalesce(last.hash, repeat('0', 64));
            NEW.activity := 'EXTERNAL_SERVICE_RESTORE_RUN';
            NEW.recorded_at := clock_timestamp();
            NEW.recorded_by := session_user;
            NEW.hash := reprise.audit_hash(NEW);
            RETURN NEW;
        END
        $$;
        CREATE TRIGGER chain_audit BEFORE INSERT ON reprise.restore_audit
            FOR EACH ROW EXECUTE FUNCTION reprise.chain_audit();

        CREATE FUNCTION reprise.refuse_change() RETURNS trigger
            LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
            AS $$
        BEGIN
            RAISE EXCEPTION USING ERRCODE = 'RP005', MESSAGE = 'restore_audit is append-only';
        END
        $$;
        CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE ON reprise.restore_audit
            FOR EACH ROW EXECUTE FUNCTION reprise.refuse_change();
        CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON reprise.restore_audit
            FOR EACH STATEMENT EXECUTE FUNCTION reprise.refuse_change();
        ALTER TABLE reprise.restore_audit ENABLE ALWAYS TRIGGER refuse_change;
        ALTER TABLE reprise.restore_audit ENABLE ALWAYS TRIGGER refuse_truncate;

        -- Audit rows that don't follow from the row before them. Empty is good; that nothing was cut off at the end
        -- shows in the newest hash, which status.auditHead keeps outside of the database.
        CREATE VIEW reprise.audit_breaks AS
            SELECT c.cluster_uid, c.run_uid, c.sequence
            FROM (
                SELECT a.cluster_uid, a.run_uid, a.sequence, a.previous_hash, a.hash,
                    reprise.audit_hash(a) AS expected_hash,
                    row_number() OVER w AS expected_sequence,
                    coalesce(lag(a.hash) OVER w, repeat('0', 64)) AS expected_previous
                FROM reprise.restore_audit a
                WINDOW w AS (PARTITION BY a.cluster_uid, a.run_uid ORDER BY a.sequence)
            ) c
            WHERE c.hash <> c.expected_hash OR c.previous_hash <> c.expected_previous
                OR c.sequence <> c.expected_sequence;
        """
}
