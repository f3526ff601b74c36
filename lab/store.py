"""containerd's image store, filled once for each set of images. Every start gets a copy of hard links.

Unpacking the images takes longer than starting the control plane. Hard links are safe because containerd never changes
layers and blobs. It does change its databases, so those are copied.
"""

import shutil
import subprocess
from pathlib import Path

from lab.build import Built, digest_of, whole
from lab.images import IMAGES, Image
from lab.namespace import Namespace
from lab.node import containerd
from lab.paths import CACHE, CONFIG
from lab.process import Process
from lab.tools import Report


def prepare(built: Built, images: list[Image], report: Report) -> Path:
    """Import `images`, once. Return the folder that contains containerd's root folder."""
    key = digest_of(str(built), *sorted(f"{image.ref} {image.digest}" for image in images))

    def make(folder: Path) -> None:
        report(f"importing {len(images)} images (once)")
        logs = folder / "logs"
        logs.mkdir(parents=True)
        binds = {"/etc/lab": CONFIG, "/var/lib": folder, "/srv/images": IMAGES}
        space = Namespace("import", built.root, built.parts, binds, logs / "namespace.log")
        try:
            server = Process(space, containerd(space), logs)
            server.wait_ready()
            for image in images:
                file = f"/srv/images/{image.archive.name}"
                space.run("/opt/parts/ctr", "--namespace=k8s.io", "images", "import", "--local", file, timeout_s=120)
            server.stop()  # so that it closes its databases
        finally:
            space.kill()

    return whole(CACHE / "store" / key, make)


def copy(store: Path, target: Path) -> None:
    """Create the node's containerd root at `target`."""
    subprocess.run(["cp", "--archive", "--link", store / "containerd", target], check=True)
    for database in target.rglob("*.db"):
        database.unlink()
        shutil.copy2(store / "containerd" / database.relative_to(target), database)
