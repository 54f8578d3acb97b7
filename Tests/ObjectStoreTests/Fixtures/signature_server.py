# SPDX-License-Identifier: Apache-2.0
"""A store that looks at nothing but signatures: SigV4 written down a second time, from AWS's description of it.

Before it starts it holds itself against the examples that AWS publishes for S3. Prints its port; ends with its input.
A request with a right signature is answered with what was sent (a listing: one object, whose key is the target), any
other with 403 SignatureDoesNotMatch.
"""
import hashlib
import hmac
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote, unquote
from xml.sax.saxutils import escape

ACCESS, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def canonical_query(query):
    pairs = []
    for one in query.split("&") if query else []:
        name, _, value = one.partition("=")
        pairs.append((quote(unquote(name), safe="~"), quote(unquote(value), safe="~")))
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))


def signature(method, target, headers, signed, scope):
    path, _, query = target.partition("?")
    lines = [method, quote(unquote(path), safe="/~"), canonical_query(query)]
    lines += [f"{name}:{' '.join(headers[name].split())}" for name in signed]
    lines += ["", ";".join(signed), headers["x-amz-content-sha256"]]
    request = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    text = "\n".join(["AWS4-HMAC-SHA256", headers["x-amz-date"], "/".join(scope), request])
    key = b"AWS4" + SECRET.encode()
    for part in scope:
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def check_examples():
    scope = ["20130524", "us-east-1", "s3", "aws4_request"]
    headers = {"host": "examplebucket.s3.amazonaws.com", "x-amz-content-sha256": EMPTY,
               "x-amz-date": "20130524T000000Z"}
    for target, extra, expected in [
        ("/test.txt", {"range": "bytes=0-9"}, "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"),
        ("/?lifecycle", {}, "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
        ("/?max-keys=2&prefix=J", {}, "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
    ]:
        all_headers = headers | extra
        if signature("GET", target, all_headers, sorted(all_headers), scope) != expected:
            sys.exit(f"this is not SigV4: {target}")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.path = self.requestline.split(" ")[1]  # as it was sent: `path` has lost slashes at its beginning
        headers = {name.lower(): value for name, value in self.headers.items()}
        problem = self.problem(headers)
        if problem:
            body = f"<Error><Code>SignatureDoesNotMatch</Code><Message>{escape(problem)}</Message></Error>"
        elif "list-type=2" in self.path:
            written = "<LastModified>2026-01-01T00:00:00.000Z</LastModified>"
            item = f"<Contents><Key>{escape(self.path)}</Key><Size>0</Size>{written}</Contents>"
            body = f"<ListBucketResult><IsTruncated>false</IsTruncated>{item}</ListBucketResult>"
        else:
            body = json.dumps({"target": self.path, "authorization": headers["authorization"],
                               "range": headers.get("range"), "token": headers.get("x-amz-security-token")})
        self.send_response(403 if problem else 200)
        self.send_header("Content-Length", str(len(body.encode())))
        self.end_headers()
        self.wfile.write(body.encode())

    def problem(self, headers):
        algorithm, _, rest = headers.get("authorization", "").partition(" ")
        fields = dict(one.strip().split("=", 1) for one in rest.split(",") if "=" in one)
        if algorithm != "AWS4-HMAC-SHA256" or headers.get("x-amz-content-sha256") != EMPTY:
            return "no signature, or no digest"
        access, *scope = fields["Credential"].split("/")
        signed = fields["SignedHeaders"].split(";")
        missing = [name for name in headers if name.startswith("x-amz-") and name not in signed]
        if access != ACCESS or "host" not in signed or missing or signed != sorted(signed):
            return f"not signed: {missing}"
        if not headers["x-amz-date"].startswith(scope[0]):
            return "the date is not the scope's"
        expected = signature("GET", self.path, headers, signed, scope)
        return "" if expected == fields["Signature"] else "another signature"


def main():
    check_examples()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
