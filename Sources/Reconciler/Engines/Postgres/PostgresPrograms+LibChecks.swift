// SPDX-License-Identifier: Apache-2.0
// Written by hack/embed-programs.sh from programs/postgres/lib/checks.sh. Edit that.

// What follows is a program in another language:
// swift-format-ignore-file

extension PostgresPrograms {
    /// `programs/postgres/lib/checks.sh`: its contract stands at its head.
    static let libChecks = #"""
        # SPDX-License-Identifier: Apache-2.0
        # checks: the named checks of a verification, on a server that is still private. For programs that use `server`.
        #
        # Environment
        #   REPRISE_CHECKS                          how many there are (0); the following with <i> from 1
        #   REPRISE_CHECK_<i>_NAME, _QUERY          the query is one SELECT. Its one value, as text, is held against EXPECT
        #   REPRISE_CHECK_<i>_EXPECT, _DATABASE     unset: it must yield true; unset: the database of the service
        #   REPRISE_DATABASE                        that database (postgres). If it is named it must be there and take connections
        #   REPRISE_CHECK_SECONDS                   how long each may take (60)
        #   REPRISE_AMCHECK                         "true": pg_amcheck of all databases, as the check `amcheck`
        #
        # Told are name, passed and milliseconds: never values, nor the texts of errors. Each runs in a connection of its own,
        # as a role that can read everything (from version 14) and is no superuser, with search_path pg_catalog, public.

        # shellcheck shell=dash
        CHECKER=reprise_check_$(printf '%s' "$REPRISE_RUN_UID" | sha256sum | cut -c 1-8)
        CHECKER_MARK='made by reprise for a verification'
        AMCHECK_SCHEMA=reprise_amcheck
        FAILED_CHECKS=0

        now_milliseconds() { date +%s%3N; }
        check_input_word() { eval "printf '%s' \"\${REPRISE_CHECK_$1_$2-}\""; } # NUMBER WORD

        # A role that a killed run left is known by its comment.
        drop_checkers() {
          value "select format('drop role %I', rolname) from pg_authid
            where rolname like 'reprise\\_check\\_%' and shobj_description(oid, 'pg_authid') = '$CHECKER_MARK' \\gexec
            select 1" >/dev/null
        }

        make_checker() {
          drop_checkers
          value "begin; create role $CHECKER login; comment on role $CHECKER is '$CHECKER_MARK'; commit; select 1" >/dev/null
          if [ "$MAJOR" -ge 14 ]; then value "grant pg_read_all_data to $CHECKER; select 1" >/dev/null; fi
        }

        # The cursor takes one statement that yields rows and nothing else; what it took whole can stand between parentheses.
        # Prints t when the check has passed.
        checker_sql() { # DATABASE QUERY EXPECTED
          limit=${REPRISE_CHECK_SECONDS:-60}
          within setsid $AS env PGOPTIONS="-c search_path=pg_catalog,public -c default_transaction_read_only=on -c lock_timeout=0 \
        -c statement_timeout=${limit}s" timeout -k 5 "$((limit + 10))" \
            psql -XAtq -v ON_ERROR_STOP=1 -h "$SOCKET" -p 5432 -U "$CHECKER" -d "$(conninfo "$1")" \
            -v "query=$2" -v "expect=$3" <<'SQL'
        select set_config('reprise.query', rtrim(:'query', E' ;\n\r\t'), false),
          set_config('reprise.expect', :'expect', false), set_config('reprise.passed', 'f', false) \g /dev/null
        do $$
        declare
          statement refcursor;
          value text;
        begin
          open statement for execute current_setting('reprise.query');
          close statement;
          execute 'select (' || current_setting('reprise.query') || E'\n)::text' into strict value;
          if value = current_setting('reprise.expect') then
            perform set_config('reprise.passed', 't', false);
          end if;
        end
        $$;
        select current_setting('reprise.passed');
        SQL
        }

        report_check() { # NAME PASSED SINCE
          if [ "$2" != true ]; then FAILED_CHECKS=$((FAILED_CHECKS + 1)); fi
          printf '%s{"name":%s,"passed":%s,"milliseconds":%s}' "$comma" "$(json_string "$1")" "$2" \
            "$(($(now_milliseconds) - $3))" >>"$WORK/checks"
          comma=,
        }

        run_checks() {
          make_checker
          number=1
          while [ "$number" -le "$REPRISE_CHECKS" ]; do
            check_deadline
            database=$(check_input_word "$number" DATABASE)
            eval "expect=\${REPRISE_CHECK_${number}_EXPECT-true}"
            since=$(now_milliseconds)
            passed=false
            checker_sql "${database:-${REPRISE_DATABASE:-postgres}}" "$(check_input_word "$number" QUERY)" "$expect" >"$WORK/answer" || true
            if [ "$(cat "$WORK/answer")" = t ]; then passed=true; fi
            report_check "$(check_input_word "$number" NAME)" "$passed" "$since"
            number=$((number + 1))
          done
          drop_checkers
        }

        # The extension goes where it was not before, for as long as it is needed.
        run_amcheck() {
          if ! command -v pg_amcheck >/dev/null; then finish ToolMissing; fi
          since=$(now_milliseconds)
          passed=true
          while IFS= read -r database_name; do
            sql "$database_name" <<SQL
        drop schema if exists $AMCHECK_SCHEMA cascade;
        select 'create schema $AMCHECK_SCHEMA' where not exists (select from pg_extension where extname = 'amcheck') \gexec
        select 'create extension amcheck schema $AMCHECK_SCHEMA'
          where not exists (select from pg_extension where extname = 'amcheck') \gexec
        SQL
            if ! within setsid $AS pg_amcheck -h "$SOCKET" -p 5432 -U "$SUPERUSER" "$(conninfo "$database_name")" \
              >>"$SERVER_LOG"; then passed=false; fi
            echo "drop schema if exists $AMCHECK_SCHEMA cascade" | sql "$database_name"
          done <"$WORK/all-databases"
          report_check amcheck "$passed" "$since"
        }

        # What the image lacks or sorts in another way than the source's did: facts, to be judged by whoever reads them.
        image_facts() {
          value "select datname from pg_database where datallowconn order by 1" >"$WORK/all-databases"
          while IFS= read -r database_name; do
            sql "$database_name" <<'SQL'
        select 'extension ' || extname from pg_extension e
          where not exists (select from pg_available_extensions a where a.name = e.extname);
        select 'collation ' || collname from pg_collation
          where collversion is not null and collversion is distinct from pg_collation_actual_version(oid);
        select distinct 'library ' || replace(probin, '$libdir', c.setting) || ' '
            || coalesce(extname, regexp_replace(probin, '.*/', ''))
          from pg_proc p join pg_language l on l.oid = prolang and lanname = 'c'
          join pg_config c on c.name = 'PKGLIBDIR'
          left join pg_depend d on d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e'
          left join pg_extension e on e.oid = d.refobjid where probin like '$libdir/%';
        SQL
          done <"$WORK/all-databases" >"$WORK/image"
          while read -r kind first second; do
            case $kind in
              extension) printf '%s\n' "$first" ;;
              library) if [ ! -e "$first.so" ] && [ ! -e "$first" ]; then printf '%s\n' "$second"; fi ;;
            esac
          done <"$WORK/image" | sort -u >"$WORK/extensions-missing"
          fact extensionsMissing "$(json_list <"$WORK/extensions-missing")"
          mismatch=false
          if grep -q '^collation ' "$WORK/image"; then mismatch=true; fi
          if [ "$MAJOR" -ge 15 ] && [ "$(value 'select count(*) from pg_database where datcollversion is not null
              and datcollversion is distinct from pg_database_collation_actual_version(oid)')" != 0 ]; then mismatch=true; fi
          fact collationMismatch "$mismatch"
        }

        verify() {
          step verify
          case ${REPRISE_CHECKS:=0}${REPRISE_CHECK_SECONDS:-60} in *[!0-9]*) finish ProgramFailed ;; esac
          image_facts
          if [ -n "${REPRISE_DATABASE:-}" ] && ! grep -qxF -e "$REPRISE_DATABASE" "$WORK/all-databases"; then
            finish DatabaseNotFound
          fi
          : >"$WORK/checks"
          comma=
          if [ "$REPRISE_CHECKS" != 0 ]; then run_checks; fi
          if [ "${REPRISE_AMCHECK:-false}" = true ]; then run_amcheck; fi
          fact checks "[$(cat "$WORK/checks")]"
          if [ "$FAILED_CHECKS" != 0 ]; then finish VerificationFailed; fi
        }

        """#
}
