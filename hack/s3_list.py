# SPDX-License-Identifier: Apache-2.0
"""Prints what lies below a prefix of the test S3 server, one object a line: key, ETag, size. In the order of the keys,
so that two listings can be compared.

    s3_list.py FOLDER USER PREFIX          FOLDER is $REPRISE_RUN/s3, USER one of the users of s3_seed.py
"""
import pathlib
import sys

import boto3
from botocore.config import Config

BUCKET = "backups"


def client(folder, user):
    lines = (pathlib.Path(folder) / f"{user}.env").read_text(encoding="utf-8").splitlines()
    values = dict(line.split("=", 1) for line in lines)
    config = Config(signature_version="s3v4", s3={"addressing_style": "path"}, retries={"max_attempts": 2})
    return boto3.client("s3", endpoint_url=values["AWS_ENDPOINT"], region_name=values["AWS_REGION"], config=config,
                        aws_access_key_id=values["AWS_ACCESS_KEY_ID"],
                        aws_secret_access_key=values["AWS_SECRET_ACCESS_KEY"])


def listing(s3, prefix):
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
    found = [entry for page in pages for entry in page.get("Contents", [])]
    return sorted((entry["Key"], entry["ETag"].strip('"'), entry["Size"]) for entry in found)


if __name__ == "__main__":
    for key, tag, size in listing(client(sys.argv[1], sys.argv[2]), sys.argv[3]):
        print(key, tag, size)
