# SPDX-License-Identifier: Apache-2.0
"""The named checks of a verification, in `seal`: what passes, what a check can't do, and what is told of it.

    python3 -m unittest Tests/Programs/test_checks.py      (as root; needs moto_server, PostgreSQL 15, lz4)
"""
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import harness  # noqa: E402
from harness import snapshot  # noqa: E402

PASSING = [  # query, what is expected
    ("select true", None),
    ("select count(*) from public.t;\n", "1106"),
    ("select count(*) = 1106 from public.t -- all of them", None),
    ("with a as (select 1 as one) select one from a", "1"),
    ("values ('it''s \"quoted\" \\ %')", "it's \"quoted\" \\ %"),
    ("select count(*) > 0 from t", None),
    ("select max(i) <= 1000 from t", None),  # nothing newer than it may have
    ("select current_setting('search_path')", "pg_catalog,public"),
    ("select not rolsuper from pg_catalog.pg_roles where rolname = session_user", None),
    ("select current_setting('transaction_read_only')", "on"),
    ("select current_database()", "we'ird \\db"),
]
FAILING = [
    ("select false", None),
    ("select null", None),
    ("select max(i) <= 999 from public.t", None),
    ("select true where false", None),
    ("select true from generate_series(1, 2)", None),
    ("select true, true", None),
    ("select 'a secret of the data'::int", None),
    ("select true; select true", None),
    ("select true) , (select true", None),
    ("insert into public.t values (1) returning true", None),
    ("with i as (insert into public.t values (1) returning true) select true from i", None),
    ("drop table public.t", None),
    ("select set_config('transaction_read_only', 'off', false) is not null and false", None),
    ("select pg_sleep(30) is not null", None),
    ("select true from pg_read_file('/etc/passwd')", None),
    ("select count(*) from elsewhere.t", "1106"),
    ("", None),
]


class CheckTest(harness.ProgramTest):
    def checks(self, cases):
        words = {"REPRISE_CHECKS": str(len(cases)), "REPRISE_CHECK_SECONDS": "1"}
        for number, (query, expect) in enumerate(cases, 1):
            words |= {f"REPRISE_CHECK_{number}_NAME": f"check {number}", f"REPRISE_CHECK_{number}_QUERY": query}
            if expect is not None:
                words[f"REPRISE_CHECK_{number}_EXPECT"] = expect
        return words

    def test_what_passes_and_what_does_not(self):
        clone = self.restored()
        passing = self.checks(PASSING) | {f"REPRISE_CHECK_{len(PASSING)}_DATABASE": "we'ird \\db"}
        result = self.seal(**passing, REPRISE_AMCHECK="true").json
        self.assertEqual((result["code"], [one["name"] for one in result["checks"] if not one["passed"]]), ("OK", []))
        self.assertEqual([one["name"] for one in result["checks"]],
                         [f"check {number}" for number in range(1, len(PASSING) + 1)] + ["amcheck"])
        self.assertTrue(all(set(one) == {"name", "passed", "milliseconds"} for one in result["checks"]))
        self.assertEqual((result["extensionsMissing"], result["collationMismatch"]), ([], False))
        clone.start("archive_command=")
        # what a killed run leaves, and a role of the user's that only looks like it
        clone.sql("create role reprise_check_killed login; create role reprise_check_mine;"
                  "comment on role reprise_check_killed is 'made by reprise for a verification'")
        clone.stop()
        done = self.run_program("seal", **self.checks(FAILING))()
        result = done.json
        self.assertEqual((result["code"], [one["name"] for one in result["checks"] if one["passed"]]),
                         ("VerificationFailed", []))
        self.assertEqual(len(result["checks"]), len(FAILING))
        self.assertNotIn("secret of the data", done.output + str(result))
        clone.start("archive_command=")
        self.addCleanup(clone.stop)
        self.assertEqual(clone.sql("select count(*) from t"), "1106")
        self.assertEqual(clone.sql("select rolname from pg_roles where rolname like 'reprise%'"), "reprise_check_mine")
        self.assertEqual(clone.sql("select count(*) from pg_extension where extname = 'amcheck'"), "0")
        self.assertEqual(clone.sql("select count(*) from pg_namespace where nspname like 'reprise%'"), "0")

    def test_the_database_of_the_service_is_where_checks_go_and_must_be_there(self):
        clone = self.restored()
        clone.start("archive_command=")
        clone.sql("create database closed allow_connections false")
        clone.stop()
        here = self.checks([("select current_database()", "we'ird \\db")])
        for name in ("nowhere", "we'ird", "closed"):
            result = self.seal(REPRISE_DATABASE=name, **here).json
            self.assertEqual((result["code"], result["step"]), ("DatabaseNotFound", "verify"), name)
            self.assertNotIn("checks", result)
        result = self.seal(REPRISE_DATABASE="we'ird \\db", **here).json
        self.assertEqual((result["code"], result["checks"][0]["passed"]), ("OK", True))
        other = self.checks([("select current_database()", "postgres")]) | {"REPRISE_CHECK_1_DATABASE": "postgres"}
        self.assertEqual(self.seal(REPRISE_DATABASE="we'ird \\db", **other).json["code"], "OK")

    def test_the_server_has_the_parameters_that_the_data_needs(self):
        self.restored()
        words = self.checks([("select current_setting('max_prepared_transactions')", "7"),
                             ("select current_setting('auth_delay.milliseconds')", "0")])
        parameters = "max_prepared_transactions=7\nshared_preload_libraries=auto_explain, auth_delay"
        self.assertEqual(self.seal(REPRISE_PARAMETERS=parameters, **words).json["code"], "OK")
        self.assertEqual(self.seal(**words).json["code"], "VerificationFailed")

    def test_damage_is_found_and_what_the_image_lacks_is_named(self):
        clone = self.restored()
        clone.start("archive_command=")
        clone.sql("create index on t (i)")
        index = clone.sql("select pg_relation_filepath('t_i_idx')")
        clone.sql("create extension amcheck")
        clone.sql("update pg_extension set extname = 'gone' where extname = 'amcheck'")
        clone.sql("update pg_collation set collversion = '1' where collname = 'und-x-icu'")
        clone.stop()
        with open(self.data / index, "r+b") as file:
            file.seek(8192 * 2)
            file.write(b"\x55" * 8192)
        result = self.seal(REPRISE_AMCHECK="true").json
        self.assertEqual((result["code"], result["checks"][0]["passed"]), ("VerificationFailed", False))
        self.assertEqual((result["extensionsMissing"], result["collationMismatch"]), (["gone"], True))
        self.assertEqual(result["step"], "verify")
        self.assertTrue(snapshot(self.data))


if __name__ == "__main__":
    unittest.main()
