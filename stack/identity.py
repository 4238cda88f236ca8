"""What is made up once and then kept: passwords, keys and the Monday from which weeks are counted.

Owns `identity.json` and Airflow's file of passwords, both readable by their owner alone. Knows no service.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime, timedelta
from pathlib import Path

from stack.settings import Home, StackError

WEEKS_IN_THE_PAST = 21
"""40 % + 3 % a week reaches the whole catalogue in week 21, so that every step of it can be run on the first day."""

ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Identity:
    """Secrets of one stack; `week_epoch` is the Monday, 00:00 UTC, on which week 1 begins."""

    admin_password: str
    jwt_secret: str
    api_secret: str
    fernet_key: str
    week_epoch: str
    prefect_password: str
    mlflow_password: str
    mlflow_secret: str
    database_password: str

    @property
    def prefect_secret(self) -> str:
        """What Prefect calls its auth string; its web interface asks for it in one field."""
        return f"prefect:{self.prefect_password}"

    def week_moment(self, week: int) -> datetime:
        """The logical date of that week's run: its Monday, 07:05 UTC, when the weekly schedule would have fired."""
        return datetime.fromisoformat(self.week_epoch) + timedelta(weeks=week - 1, hours=7, minutes=5)


def load_identity(home: Home) -> Identity:
    """The stack's identity, made on the first call; Airflow's file of passwords is written beside it.

    A stack that was made before one of the secrets was needed gets that one now, and keeps the others. Raises
    StackError where the file is none of a stack's.
    """
    kept = _kept(home)
    identity = Identity(**{**asdict(new_identity(datetime.now(UTC))), **kept})
    if asdict(identity) != kept:
        write_private(home.identity_file, json.dumps(asdict(identity), indent=2))
    if not home.passwords_file.exists():
        write_private(home.passwords_file, json.dumps({ADMIN: identity.admin_password}))
    return identity


def _kept(home: Home) -> dict[str, str]:
    if not home.identity_file.exists():
        return {}
    try:
        kept = json.loads(home.identity_file.read_text())
        if kept.keys() <= {each.name for each in fields(Identity)}:
            return dict(kept)
        why = f"it holds {', '.join(sorted(kept.keys() - {each.name for each in fields(Identity)}))}"
    except (ValueError, AttributeError) as error:
        why = str(error)
    raise StackError(
        f"{home.identity_file} is not as a stack writes it: {why}\n"
        "  remedy:   put the file back from a copy, or begin anew by make clean: its databases know no other passwords"
    )


def new_identity(now: datetime) -> Identity:
    """Fresh random values; the epoch is the Monday 21 weeks before this week's."""
    monday = (now - timedelta(days=now.weekday())).replace(hour=0, minute=0, second=0, microsecond=0)
    return Identity(
        admin_password=secrets.token_urlsafe(12),
        jwt_secret=secrets.token_urlsafe(48),
        api_secret=secrets.token_urlsafe(32),
        fernet_key=base64.urlsafe_b64encode(os.urandom(32)).decode(),
        week_epoch=(monday - timedelta(weeks=WEEKS_IN_THE_PAST)).isoformat(),
        prefect_password=secrets.token_urlsafe(24),
        mlflow_password=secrets.token_urlsafe(24),
        mlflow_secret=secrets.token_urlsafe(32),
        database_password=secrets.token_urlsafe(24),
    )


def write_private(path: Path, text: str) -> None:
    """Write a file that its owner alone may read, whole or not at all."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)  # a disk that is full
        raise
