# SPDX-License-Identifier: Apache-2.0
"""The agent against a store that checks signatures and policies, and against what is no store at all."""
import shutil
import sys
import threading
import unittest
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from harness import REPO, Archive, missing, scan

sys.path.insert(0, str(REPO / "Tests/EndToEnd/image"))
from support import Bucket, free_port  # noqa: E402

READ = ["s3:ListBucket", "s3:GetObject"]


class MotoWriter:
    """What `Archive` writes to: collects, and puts all of it at once. Times are the store's own."""

    def __init__(self):
        self.objects = {}

    def write(self, key, body=b"", _written=None):
        self.objects[key] = body

    def put(self, bucket):
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda one: bucket.write(*one), self.objects.items()))


@unittest.skipIf(missing() or not shutil.which("moto_server"), missing() or "missing: moto_server")
class CredentialTests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.bucket = Bucket()
        cls.addClassCleanup(cls.bucket.stop)
        writer = MotoWriter()
        for path in ("orders", "te äm/a+b&c=d%41"):
            Archive(writer, path).segments(1, 1, 8)
            Archive(writer, path).backup(1, 2)
        many = Archive(writer, "many")
        many.segments(1, 100, 1_300)
        writer.put(cls.bucket)
        cls.reader = cls.bucket.access_key("reader", READ)
        cls.lister = cls.bucket.access_key("lister", ["s3:ListBucket"])
        cls.writer = cls.bucket.access_key("writer", ["s3:PutObject"])

    def environment(self, keys, **more):
        place = {"AWS_ENDPOINT": self.bucket.endpoint, "AWS_REGION": "us-east-1", "AWS_S3_FORCE_PATH_STYLE": "true"}
        return place | keys | more

    def scan(self, environment, path="orders", bucket="bkt", repository=False):
        place = ["--repository"] if repository else ["--path", path, "--major", "15"]
        with self.bucket.checking_signatures():
            return scan(environment, "--bucket", bucket, *place)

    def test_reading_is_enough(self):
        for repository in (False, True):
            result = self.scan(self.environment(self.reader), repository=repository)
            self.assertEqual(result["code"], "OK", result)
        self.assertEqual([one["path"] for one in result["archives"]], ["many", "orders", "te äm/a+b&c=d%41"])
        self.assertEqual({one.get("problem") for one in result["archives"]}, {None})

    def test_keys_that_need_encoding_are_signed_right(self):
        result = self.scan(self.environment(self.reader), path="te äm/a+b&c=d%41")
        self.assertEqual((result["code"], result["objects"], len(result["listing"]["backups"])), ("OK", 13, 1))

    def test_a_listing_of_several_pages(self):
        result = self.scan(self.environment(self.reader), path="many")
        self.assertEqual((result["code"], result["objects"], len(result["listing"]["ranges"])), ("OK", 1_201, 1))

    def test_wrong_secret(self):
        result = self.scan(self.environment(self.reader | {"AWS_SECRET_ACCESS_KEY": "another"}))
        self.assertEqual(result["code"], "WrongCredentials", result)
        self.assertNotIn("another", result["message"])

    def test_unknown_key(self):
        result = self.scan(self.environment({"AWS_ACCESS_KEY_ID": "AKIAUNKNOWN", "AWS_SECRET_ACCESS_KEY": "x"}))
        self.assertEqual(result["code"], "WrongCredentials", result)

    def test_keys_that_may_not_read(self):
        for keys in (self.writer, self.lister):
            for repository in (False, True):
                result = self.scan(self.environment(keys), repository=repository)
                problems = [one.get("problem", "") for one in result.get("archives", []) if one["path"] != "many"]
                if result["code"] == "OK":  # the archives can be listed; their sentinels can't be read
                    self.assertEqual({one.partition(":")[0] for one in problems}, {"AccessDenied"})
                else:
                    self.assertEqual(result["code"], "AccessDenied", result)

    def test_missing_bucket(self):
        result = self.scan(self.environment(self.bucket.access_key("any", ["s3:*"])), bucket="nothing-here")
        self.assertEqual(result["code"], "BucketNotFound", result)

    def test_no_credentials(self):
        result = scan({"AWS_ENDPOINT": self.bucket.endpoint}, "--bucket", "bkt", "--path", "orders")
        self.assertEqual(result["code"], "ScanFailed")


@unittest.skipIf(missing(), missing())
class EndpointTests(unittest.TestCase):
    keys = {"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s"}

    def scan(self, endpoint):
        return scan(self.keys | {"AWS_ENDPOINT": endpoint}, "--repository", "--bucket", "bkt")

    def test_nobody_answers(self):
        result = self.scan(f"http://127.0.0.1:{free_port()}")
        self.assertEqual(result["code"], "RepositoryUnreachable", result)

    def test_something_else_answers(self):
        elsewhere = b"<Error><Code>PermanentRedirect</Code><Endpoint>b.s3.eu-west-1.amazonaws.com</Endpoint></Error>"
        for status, body, code in [(200, b"<html></html>", "RepositoryAnswerUnexpected"),
                                   (404, b"nothing", "RepositoryAnswerUnexpected"), (301, elsewhere, "WrongRegion")]:
            class Handler(BaseHTTPRequestHandler):
                def log_message(self, *_):
                    pass

                def do_GET(self, status=status, body=body):
                    self.send_response(status)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)

            server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
            threading.Thread(target=server.serve_forever, daemon=True).start()
            self.addCleanup(server.server_close)
            self.addCleanup(server.shutdown)
            result = self.scan(f"http://127.0.0.1:{server.server_address[1]}")
            self.assertEqual(result["code"], code, result)


if __name__ == "__main__":
    unittest.main()
