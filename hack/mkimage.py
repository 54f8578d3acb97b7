#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Wrap root file systems as a container image, with neither a daemon nor a registry.

    mkimage.py OUT.tar NAME:TAG --config JSON LAYER [LAYER ...]

Each LAYER, lowest first, is a directory, a tar or a gzipped tar. --config takes the image's "config" object as
JSON, or @FILE: Entrypoint, Cmd, Env, User, WorkingDir, StopSignal, ExposedPorts, Volumes.

The result is a docker-archive, which `ctr images import` and `docker load` both read. The same layers and config
always give the same image ID, and OUT.tar appears only when it is complete.
"""
import argparse
import gzip
import hashlib
import io
import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile

CREATED = "2026-01-01T00:00:00Z"  # a fixed date: the image ID must depend on the content alone
DEFAULT_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
KNOWN_KEYS = {"Entrypoint", "Cmd", "Env", "User", "WorkingDir", "StopSignal", "ExposedPorts", "Volumes", "Labels"}
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def read_config(text):
    if text.startswith("@"):
        with open(text[1:], encoding="utf-8") as file:
            text = file.read()
    config = json.loads(text)
    unknown = sorted(set(config) - KNOWN_KEYS)
    if unknown:  # a misspelt key would silently do nothing in the container
        raise SystemExit(f"mkimage: unknown config keys {unknown}; known are {sorted(KNOWN_KEYS)}")
    if not any(entry.startswith("PATH=") for entry in config.setdefault("Env", [])):
        config["Env"].insert(0, DEFAULT_PATH)
    return config


def plain_tar(layer, scratch, number):
    """The path of an uncompressed tar of this layer: the image's diff_ids are digests of uncompressed bytes."""
    made = os.path.join(scratch, f"layer-{number}.tar")
    if os.path.isdir(layer):
        subprocess.run(["tar", "--numeric-owner", "--sort=name", "--format=gnu", "-C", layer, "-cf", made, "."], check=True)
        return made
    with open(layer, "rb") as file:
        compressed = file.read(2) == b"\x1f\x8b"
    if not compressed:
        return layer
    with gzip.open(layer, "rb") as packed, open(made, "wb") as file:
        shutil.copyfileobj(packed, file, 1 << 20)
    return made


def digest(path):
    sha = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            sha.update(chunk)
    return sha.hexdigest()


def add_bytes(archive, name, content):
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content))


def add_file(archive, name, path):
    entry = tarfile.TarInfo(name)
    entry.size = os.path.getsize(path)
    with open(path, "rb") as file:
        archive.addfile(entry, file)


def build(out, name, config, layers):
    folder = os.path.dirname(os.path.abspath(out))
    os.makedirs(folder, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".mkimage-") as scratch:
        tars = [plain_tar(layer, scratch, number) for number, layer in enumerate(layers)]
        digests = [digest(path) for path in tars]
        image = {
            "architecture": ARCHITECTURES.get(platform.machine(), platform.machine()),
            "os": "linux",
            "created": CREATED,
            "config": config,
            "rootfs": {"type": "layers", "diff_ids": ["sha256:" + one for one in digests]},
            "history": [{"created": CREATED} for _ in digests],
        }
        image_json = json.dumps(image, sort_keys=True).encode()
        image_name = hashlib.sha256(image_json).hexdigest() + ".json"
        names = [one + "/layer.tar" for one in digests]
        manifest = [{"Config": image_name, "RepoTags": [name], "Layers": names}]

        unfinished = os.path.join(scratch, "image.tar")
        with tarfile.open(unfinished, "w", format=tarfile.GNU_FORMAT) as archive:
            add_bytes(archive, image_name, image_json)
            add_bytes(archive, "manifest.json", json.dumps(manifest).encode())
            for layer_name, path in dict(zip(names, tars)).items():  # the same layer twice is stored once
                add_file(archive, layer_name, path)
        os.replace(unfinished, out)
    return image_name.removesuffix(".json")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", metavar="OUT.tar")
    parser.add_argument("name", metavar="NAME:TAG")
    parser.add_argument("--config", default="{}", metavar="JSON", help="the image's config object, or @FILE")
    parser.add_argument("layers", nargs="+", metavar="LAYER")
    options = parser.parse_args()
    if ":" not in options.name.rpartition("/")[2]:
        parser.error(f"{options.name}: give a tag too, as in docker.io/reprise/postgres:15")
    identity = build(options.out, options.name, read_config(options.config), options.layers)
    size = os.path.getsize(options.out) / 1e6
    print(f"{options.out}: {options.name}, {len(options.layers)} layer(s), {size:.1f} MB, id sha256:{identity[:12]}")


if __name__ == "__main__":
    try:
        main()
    except (OSError, ValueError, subprocess.CalledProcessError) as error:
        sys.exit(f"mkimage: {error}")
