"""One branch of a git repository, read and added to without a checkout; never forced.

Owns how the program `git` is called and what its endings mean. Credentials are git's own matter, as it finds them for
whoever runs this process; what it says is shown without them. Must not know what is committed, or why.
"""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from bridge.plain_text import as_line
from factory.storage.addresses import without_credentials

CALL_SECONDS = 60
"""How long one call of git may take: a server that is silent is away."""
QUIET = {
    "GIT_TERMINAL_PROMPT": "0",  # nobody is there to be asked for a password
    "LC_ALL": "C",
}
ELSEWHERE = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR", "GIT_NAMESPACE")
"""Variables by which a git that called this process would have ours work on its own repository."""
COMMITTER = {"GIT_COMMITTER_NAME": "Model factory", "GIT_COMMITTER_EMAIL": ""}
"""Who commits where git's configuration names nobody."""
CAUSES = ("fatal:", "error:", "remote:")
"""How git begins the lines that say what went wrong."""
BUSY = ("lock", "reference already exists")
"""What a server says of a branch that another push is being written to."""


class GitError(RuntimeError):
    """Root of what can go wrong with the repository; messages bear no credentials."""


class RepositoryAway(GitError):
    """git could not read or write the repository: no network, no such repository, or no right."""


class BranchMoved(GitError):
    """Somebody else pushed meanwhile: read the branch again."""


class PushRefused(GitError):
    """The repository does not take the commits; the message is its own word."""


@dataclass(frozen=True, slots=True)
class Commit:
    """What a commit says, and of whom and when it is."""

    message: str
    author: str
    moment: datetime


@dataclass(frozen=True, slots=True)
class Branch:
    """A branch of the repository at `address`, through a bare copy of it in `folder`."""

    address: str
    name: str
    folder: Path

    def prepare(self) -> None:
        """Make the copy, empty, and tell it where the repository is."""
        self._ask("init", "--quiet", "--bare", "--template=")
        # written and not said on the command line, which others on this machine can read
        quoted = self.address.replace("\\", "\\\\").replace('"', '\\"')
        with (self.folder / "config").open("a", encoding="utf-8") as config:
            config.write(f'[remote "origin"]\n\turl = "{quoted}"\n')

    def fetch(self) -> str | None:
        """The newest commit of the branch as the repository has it; None where there is no such branch yet.

        Raises RepositoryAway.
        """
        if not self._ask("ls-remote", "origin", self._ref):
            return None
        self._ask("fetch", "--quiet", "--no-tags", "origin", f"+{self._ref}:{self._ref}")  # into the copy alone
        return self._ask("rev-parse", self._ref).strip()

    def trailers(self, tip: str | None, key: str) -> dict[str, str]:
        """The commits of the branch by the value of that trailer in their messages."""
        if tip is None:
            return {}
        lines = self._ask("log", f"--format=%H %(trailers:key={key},valueonly,separator=%x20)", tip).splitlines()
        told = (line.split(" ") for line in lines)
        return {value: commit for commit, *values in told for value in values if value}

    def read(self, tip: str | None, path: str) -> str | None:
        """The file's text as of that commit, None where it holds none."""
        if tip is None or not self._ask("ls-tree", tip, "--", path):
            return None
        return self._ask("cat-file", "blob", f"{tip}:{path}")

    def add(self, parent: str | None, files: Mapping[str, str], commit: Commit) -> str:
        """A new commit on the parent in which these files have this text; gives its hash."""
        self._ask("read-tree", parent or "--empty")
        for path, text in files.items():
            blob = self._ask("hash-object", "-w", "--stdin", said=text).strip()
            self._ask("update-index", "--add", "--cacheinfo", f"100644,{blob},{path}")
        return self._write(self._ask("write-tree").strip(), [parent] if parent else [], commit)

    def merge(self, kept: str, taken: str, commit: Commit) -> str:
        """A new commit after both, with the files of `kept`; gives its hash."""
        return self._write(f"{kept}^{{tree}}", [kept, taken], commit)

    def push(self, tip: str) -> None:
        """Make the commit the newest of the branch, which has to lead up to it.

        Raises BranchMoved, PushRefused and RepositoryAway.
        """
        done = self._run("push", "--porcelain", "origin", f"{tip}:{self._ref}")
        if done.returncode == 0:
            # two who write the same in the same second make one commit: it was pushed by whoever was first
            if any(line.startswith("=") for line in done.stdout.splitlines()):
                raise BranchMoved(f"somebody else has pushed the same commit to branch {self.name!r}")
            return
        told = [line for line in done.stdout.splitlines() if line.startswith("!")]
        if not told:
            raise RepositoryAway(self._said("push", done.stderr))
        verdict = told[0].rpartition("\t")[2]
        if verdict.startswith("[rejected]") or any(word in verdict for word in BUSY):
            raise BranchMoved(f"others push to branch {self.name!r} at the same time: {as_line(verdict)}")
        words = [line.removeprefix("remote:").strip() for line in done.stderr.splitlines() if line[:7] == "remote:"]
        why = " ".join(filter(None, [*words, verdict]))
        raise PushRefused(f"the repository refuses the push to branch {self.name!r}: {self._shown(why)}")

    @property
    def _ref(self) -> str:
        return f"refs/heads/{self.name}"

    def _write(self, tree: str, parents: Sequence[str], commit: Commit) -> str:
        of = [word for parent in parents for word in ("-p", parent)]
        author = {
            "GIT_AUTHOR_NAME": as_line(commit.author),
            "GIT_AUTHOR_EMAIL": "",  # nobody's is known
            "GIT_AUTHOR_DATE": commit.moment.isoformat(),
        }
        named = "GIT_COMMITTER_EMAIL" in os.environ or self._run("config", "--get", "user.email").returncode == 0
        variables = author if named else {**COMMITTER, **author}
        written = self._ask("rev-parse", "--verify", tree).strip()
        return self._ask("commit-tree", written, *of, said=commit.message, variables=variables).strip()

    def _ask(self, *words: str, said: str = "", variables: Mapping[str, str] | None = None) -> str:
        done = self._run(*words, said=said, variables=variables)
        if done.returncode:
            raise RepositoryAway(self._said(words[0], done.stderr))
        return done.stdout

    def _run(
        self, *words: str, said: str = "", variables: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        outside = {name: value for name, value in os.environ.items() if name not in ELSEWHERE}
        try:
            process = subprocess.Popen(
                ["git", "--git-dir", str(self.folder), *words],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                encoding="utf-8",
                errors="replace",
                env={**outside, **(variables or {}), **QUIET},
                start_new_session=True,  # no terminal to ask at, and all that git starts ends with it
            )
        except FileNotFoundError as error:
            raise GitError("there is no program `git` here: install it where promotions run") from error
        try:
            out, err = process.communicate(said, timeout=CALL_SECONDS)
        except BaseException as error:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            if isinstance(error, subprocess.TimeoutExpired):
                raise RepositoryAway(self._said(words[0], f"no answer within {CALL_SECONDS} s")) from error
            raise
        return subprocess.CompletedProcess(words, process.returncode, out, err)

    def _said(self, call: str, stderr: str) -> str:
        lines = [line.strip() for line in stderr.splitlines() if line.strip()]
        causes = [line for line in lines if line.startswith(CAUSES)] or lines[-1:]
        return self._shown(f"git {call} of branch {self.name!r} at {self.address} failed: {'; '.join(causes)}")

    def _shown(self, text: str) -> str:
        return as_line(without_credentials(text, self.address))


@contextmanager
def opened(address: str, name: str) -> Iterator[Branch]:
    """The branch of the repository at that address, as git knows addresses; its local copy goes with the block."""
    with tempfile.TemporaryDirectory() as folder:
        branch = Branch(address, name, Path(folder))
        branch.prepare()
        yield branch
