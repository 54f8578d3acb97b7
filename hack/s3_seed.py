# SPDX-License-Identifier: Apache-2.0
"""Seeds the test S3 server: one bucket, three users, then the checks go on and are themselves checked.

    s3_seed.py ENDPOINT FOLDER

Writes FOLDER/<user>.env with AWS_ACCESS_KEY_ID and so on. The users:

    source-writer   the source service itself: everything below prod/
    source-reader   what a restore may have of the source: reads below prod/
    clone-writer    the clone's own archive: everything below staging/

Listing is granted for the whole bucket, because this server knows no conditions such as s3:prefix in policies.
"""
import json
import os
import sys
import urllib.request

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

BUCKET = "backups"
SOURCE = "prod/"
CLONES = "staging/"
REGION = "us-east-1"
PROBE = SOURCE + ".reprise-seed"
# Nobody makes this bucket. Who may look at it is told that it does not exist, and not that access is denied.
MISSING = "arn:aws:s3:::no-such-bucket"

READ = ["s3:GetObject"]
WRITE = READ + ["s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"]
USERS = {
    "source-writer": (SOURCE, WRITE),
    "source-reader": (SOURCE, READ),
    "clone-writer": (CLONES, WRITE),
}


def client(service, endpoint, key, secret):
    config = Config(signature_version="s3v4" if service == "s3" else "v4", s3={"addressing_style": "path"},
                    retries={"max_attempts": 1})
    return boto3.client(service, endpoint_url=endpoint, region_name=REGION, config=config,
                        aws_access_key_id=key, aws_secret_access_key=secret)


def policy(prefix, actions):
    bucket = f"arn:aws:s3:::{BUCKET}"
    return json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": actions, "Resource": f"{bucket}/{prefix}*"},
        {"Effect": "Allow", "Action": ["s3:ListBucket", "s3:GetBucketLocation"], "Resource": [bucket, MISSING]},
    ]})


def make_user(iam, name):
    iam.create_user(UserName=name)
    iam.put_user_policy(UserName=name, PolicyName=name, PolicyDocument=policy(*USERS[name]))
    made = iam.create_access_key(UserName=name)["AccessKey"]
    return made["AccessKeyId"], made["SecretAccessKey"]


def write_credentials(folder, endpoint, name, key, secret):
    lines = {
        "AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret, "AWS_REGION": REGION,
        "AWS_ENDPOINT": endpoint, "AWS_S3_FORCE_PATH_STYLE": "true",
    }
    path = os.path.join(folder, name + ".env")
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.writelines(f"{key}={value}\n" for key, value in lines.items())


def switch_checks_on(endpoint):
    # text/plain: with the form type that urllib would choose the server answers 500
    request = urllib.request.Request(endpoint + "/moto-api/reset-auth", data=b"0", headers={"Content-Type": "text/plain"})
    urllib.request.urlopen(request, timeout=10).read()


def must_refuse(code, what, call, **arguments):
    try:
        call(**arguments)
    except ClientError as error:
        found = error.response["Error"]["Code"]
        if found == code:
            return
        raise SystemExit(f"s3_seed: {what}: expected {code}, got {found}") from error
    raise SystemExit(f"s3_seed: {what} was allowed; the server is not checking")


def check(endpoint, keys):
    reader = client("s3", endpoint, *keys["source-reader"])
    writer = client("s3", endpoint, *keys["source-writer"])
    clone = client("s3", endpoint, *keys["clone-writer"])
    forger = client("s3", endpoint, keys["source-reader"][0], "0" * 40)
    here = {"Bucket": BUCKET, "Key": PROBE}

    writer.put_object(**here, Body=b"seed")
    if reader.get_object(**here)["Body"].read() != b"seed":
        raise SystemExit("s3_seed: the reader got something else than was written")
    listed = reader.list_objects_v2(Bucket=BUCKET, Prefix=SOURCE)
    if [entry["Key"] for entry in listed["Contents"]] != [PROBE]:
        raise SystemExit("s3_seed: the reader's listing is wrong")
    clone.put_object(Bucket=BUCKET, Key=CLONES + ".reprise-seed", Body=b"seed")
    clone.delete_object(Bucket=BUCKET, Key=CLONES + ".reprise-seed")

    must_refuse("AccessDenied", "the reader's PUT below the source", reader.put_object, **here, Body=b"x")
    must_refuse("AccessDenied", "the reader's DELETE below the source", reader.delete_object, **here)
    must_refuse("AccessDenied", "the clone's PUT below the source", clone.put_object, **here, Body=b"x")
    must_refuse("AccessDenied", "the clone's GET below the source", clone.get_object, **here)
    must_refuse("SignatureDoesNotMatch", "a GET with a wrong secret", forger.get_object, **here)
    writer.delete_object(**here)


def main():
    endpoint, folder = sys.argv[1:3]
    iam = client("iam", endpoint, "seed", "seed")
    client("s3", endpoint, "seed", "seed").create_bucket(Bucket=BUCKET)
    keys = {name: make_user(iam, name) for name in USERS}
    switch_checks_on(endpoint)
    check(endpoint, keys)
    for name, pair in keys.items():
        write_credentials(folder, endpoint, name, *pair)


if __name__ == "__main__":
    main()
