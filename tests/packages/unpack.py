#!/usr/bin/env python3
"""Unpacks the image of an OCI layout into a folder, and checks it. Prints its health check.

    unpack.py LAYOUT ROOT"""

import hashlib
import json
import subprocess
import sys
from pathlib import Path


def main():
    layout, root = map(Path, sys.argv[1:])

    def blob(descriptor):
        contents = (layout / "blobs" / descriptor["digest"].replace(":", "/")).read_bytes()
        assert len(contents) == descriptor["size"], descriptor
        assert "sha256:" + hashlib.sha256(contents).hexdigest() == descriptor["digest"], descriptor
        return contents

    assert json.loads((layout / "oci-layout").read_text())["imageLayoutVersion"] == "1.0.0"
    (manifest,) = json.loads((layout / "index.json").read_text())["manifests"]
    manifest = json.loads(blob(manifest))
    config = json.loads(blob(manifest["config"]))
    assert config["config"]["User"] == "65534:65534", config
    for layer in manifest["layers"]:
        command = ["tar", "--extract", "--gzip", "--same-owner", "--directory", root]
        subprocess.run(command, input=blob(layer), check=True)
    print(*config["config"]["Healthcheck"]["Test"][1:])


if __name__ == "__main__":
    main()
