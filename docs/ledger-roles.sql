-- SPDX-License-Identifier: Apache-2.0
--
-- Roles for the ledger. Run it once as a superuser, connected to the ledger's database, after the first migrations.
-- Running it again changes nothing.
--
--   reprise_owner    owns the schema and runs migrations. Give it to whoever upgrades the controller.
--   reprise_writer   the controller: reads and writes runs, only appends to the audit, can't change the schema.
--   reprise_auditor  reads, and nothing else.
--
-- These roles can't log in. The role with which the controller was installed loses its rights in the tables: give it
-- those of a writer in the same session, and take the database from it, since an owner may drop it:
--
--   GRANT reprise_writer TO reprise;
--   ALTER DATABASE reprise OWNER TO reprise_owner;
--
-- Where there is no such login yet, make one and let your secret store set the password:
--
--   CREATE ROLE reprise LOGIN IN ROLE reprise_writer;
--
-- A controller that logs in as reprise_writer needs migrations run before an upgrade: start the new version once with
-- a login that is in reprise_owner. It then finds nothing to migrate and needs no right to. A controller that may
-- migrate by itself logs in with a role that is in reprise_owner; then it could also drop the audit's triggers, and
-- the only guard left is status.auditHead, which is kept outside of this database.

DO $$
BEGIN
    IF to_regrole('reprise_owner') IS NULL THEN CREATE ROLE reprise_owner NOLOGIN; END IF;
    IF to_regrole('reprise_writer') IS NULL THEN CREATE ROLE reprise_writer NOLOGIN; END IF;
    IF to_regrole('reprise_auditor') IS NULL THEN CREATE ROLE reprise_auditor NOLOGIN; END IF;
END
$$;

ALTER SCHEMA reprise OWNER TO reprise_owner;
ALTER TABLE reprise.schema_migrations OWNER TO reprise_owner;
ALTER TABLE reprise.restore_runs OWNER TO reprise_owner;
ALTER TABLE reprise.restore_audit OWNER TO reprise_owner;
ALTER VIEW reprise.audit_breaks OWNER TO reprise_owner;
ALTER FUNCTION reprise.status_rank(text) OWNER TO reprise_owner;
ALTER FUNCTION reprise.guard_run() OWNER TO reprise_owner;
ALTER FUNCTION reprise.audit_hash(reprise.restore_audit) OWNER TO reprise_owner;
ALTER FUNCTION reprise.chain_audit() OWNER TO reprise_owner;
ALTER FUNCTION reprise.refuse_change() OWNER TO reprise_owner;

GRANT USAGE ON SCHEMA reprise TO reprise_writer, reprise_auditor;
GRANT SELECT ON reprise.schema_migrations, reprise.audit_breaks TO reprise_writer, reprise_auditor;
GRANT SELECT, INSERT, UPDATE ON reprise.restore_runs TO reprise_writer;
GRANT SELECT, INSERT ON reprise.restore_audit TO reprise_writer;
GRANT SELECT ON reprise.restore_runs, reprise.restore_audit TO reprise_auditor;
