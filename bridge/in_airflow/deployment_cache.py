"""Deployments as they were looked up a moment ago, shared by the task processes of one machine.

Hundreds of mapped tasks start hundreds of processes; without this each of them would look its deployment up. Only an
optimisation: what a remembered deployment refuses is decided by a fresh look. Owns one folder of its user's; a folder
that cannot be used is done without.
"""

from __future__ import annotations

import json
import logging
import os
import tempfile
import time
from contextlib import suppress
from dataclasses import asdict
from hashlib import blake2b
from pathlib import Path

from bridge.prefect_api.records import DeploymentRecord, Limit

log = logging.getLogger(__name__)

FRESH_SECONDS = 60.0


class DeploymentCache:
    """Remembers deployments by API and name for FRESH_SECONDS."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or Path(tempfile.gettempdir()) / f"bridge-{os.getuid()}"

    def recall(self, api_url: str, name: str) -> DeploymentRecord | None:
        """The deployment as it was looked up less than FRESH_SECONDS ago, or None."""
        path = self._path(api_url, name)
        try:
            if not self._is_ours() or time.time() - path.stat().st_mtime > FRESH_SECONDS:
                return None
            remembered = json.loads(path.read_text())
            lists = {name: tuple(remembered[name]) for name in ("tags", "schedules")}
            return DeploymentRecord(**{**remembered, **lists, "limit": Limit(**remembered["limit"])})
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError) as error:
            log.debug("A remembered deployment cannot be used: %s", error)
            return None

    def remember(self, api_url: str, name: str, record: DeploymentRecord) -> None:
        """Write it for the other processes; a disk that is full or read-only is no reason to fail."""
        path = self._path(api_url, name)
        partial = path.with_suffix(f".{os.getpid()}")
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            if self._is_ours():
                partial.write_text(json.dumps(asdict(record)))
                partial.replace(path)
        except OSError as error:
            log.debug("A deployment cannot be remembered: %s", error)
            with suppress(OSError):
                partial.unlink(missing_ok=True)

    def _path(self, api_url: str, name: str) -> Path:
        return self._folder / f"{blake2b(f'{api_url} {name}'.encode(), digest_size=16).hexdigest()}.json"

    def _is_ours(self) -> bool:
        """A folder that somebody else made, or may write to, is not believed."""
        found = self._folder.lstat()
        return found.st_uid == os.getuid() and not found.st_mode & 0o022
