"""The commits that the checks push to every git host: ordinary ones, two with a submodule, one with a Git LFS file."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from git_to_pod.git.errors import GitError
from git_to_pod.git.repository import FILE, Repository

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize 12345\n"  # as `git lfs` writes it


class Content:
    """Commits in the run's clone, outside its branches. `branches` maps each special commit's name to its id."""

    def __init__(self, repository: Repository) -> None:
        self.repository = repository
        self.branch = f"{repository.ref}-providers"
        self.file_in_submodule = f"part/{FILE}"
        self.file_in_lfs = "model.bin"
        repository.deepen()
        git, clone = self._git, repository.clone
        head = git("rev-parse", "HEAD")
        self.older = self._commit("older")
        self.tip = self._commit("newer")
        self.branches: dict[str, str] = {}
        name = Path(urlsplit(repository.url).path).name
        for branch, url in (
            ("submodule", f"../{name}"),
            ("submodule elsewhere", "https://elsewhere.example.test/content.git"),
        ):
            (clone / ".gitmodules").write_text(f'[submodule "part"]\n\tpath = part\n\turl = {url}\n')
            (clone / "part").mkdir()  # otherwise `git add --all` removes the submodule again
            git("update-index", "--add", "--cacheinfo", f"160000,{self.tip},part")
            self.branches[branch] = self._commit(branch)
            self._reset(self.tip)
        (clone / ".gitattributes").write_text("*.bin filter=lfs diff=lfs merge=lfs -text\n")
        (clone / self.file_in_lfs).write_text(POINTER.format("0" * 64))
        self.branches["lfs"] = self._commit("lfs")
        self._reset(head)

    def push(self, url: str) -> None:
        """Push every commit to a host, each to its own test branch. Existing test branches are overwritten."""
        refs = {self.branch: self.tip} | {f"{self.branch}-{i}": c for i, c in enumerate(self.branches.values())}
        self._git("push", "--quiet", "--force", url, *(f"{commit}:refs/heads/{ref}" for ref, commit in refs.items()))

    def delete(self, url: str) -> None:
        """Delete the test branches from a host, if it can be reached."""
        refs = [self.branch, *(f"{self.branch}-{i}" for i in range(len(self.branches)))]
        with suppress(GitError):  # after a failure the host may be gone
            self._git("push", "--quiet", url, *(f":refs/heads/{ref}" for ref in refs))

    def _git(self, *arguments: str) -> str:
        return self.repository.account.git(*arguments, folder=self.repository.clone).strip()

    def _commit(self, text: str) -> str:
        (self.repository.clone / FILE).write_text(f"{text}\n")
        self._git("add", "--all")
        self._git("commit", "--quiet", "--allow-empty", f"--message={text}")
        return self._git("rev-parse", "HEAD")

    def _reset(self, commit: str) -> None:
        self._git("reset", "--quiet", "--hard", commit)
        self._git("clean", "--quiet", "--force", "-d", "-x")
