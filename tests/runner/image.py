"""A container image of nothing but a static busybox as /bin/sh."""

import hashlib
import io
import json
import shutil
import tarfile
from collections.abc import Mapping
from pathlib import Path


def write(file: Path) -> None:
    """Write the image as ``docker save`` would (Docker image specification 1.2, "Combined Image JSON")."""
    busybox = shutil.which("busybox")
    assert busybox is not None
    layer = _tar({"bin/sh": Path(busybox).read_bytes()})
    diff_id = f"sha256:{hashlib.sha256(layer).hexdigest()}"
    config = {"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": [diff_id]}}
    manifest = [{"Config": "config.json", "RepoTags": None, "Layers": ["layer.tar"]}]
    files = {"config.json": json.dumps(config).encode(), "layer.tar": layer}
    file.write_bytes(_tar(files | {"manifest.json": json.dumps(manifest).encode()}))


def _tar(files: Mapping[str, bytes]) -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o755
            tar.addfile(member, io.BytesIO(content))
    return archive.getvalue()
