"""containerd's image store, filled once for a set of images; every start gets a copy made of hard links.

Unpacking the images takes longer than starting the whole control plane. Layers and blobs are never written to again, so
links are safe; containerd's databases are, so those are copied.
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
    """Return a folder that holds containerd's root with `images` in it."""
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
            server.stop()  # closes its databases
        finally:
            space.kill()

    return whole(CACHE / "store" / key, make)


def copy(store: Path, target: Path) -> None:
    """Give the node its own containerd root at `target`."""
    subprocess.run(["cp", "--archive", "--link", store / "containerd", target], check=True)
    for database in target.rglob("*.db"):
        database.unlink()
        shutil.copy2(store / "containerd" / database.relative_to(target), database)
