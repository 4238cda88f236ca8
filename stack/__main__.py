"""The command line of the stack; the Makefile's targets call it.

Owns arguments, what is printed and exit codes: 0 as asked, 1 with one message on what to mend, 130 after Ctrl-C,
141 where whoever read the output has gone.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import time

from bridge.plain_text import as_lines
from factory.use_cases.use_case import UseCase
from stack.interruption import interruptible, shielded
from stack.lifecycle import follow, last_state, running, start, stop
from stack.progress import say_ready
from stack.settings import StackError, StackSettings, read_stack_settings, switch
from stack.state import ProcessRecord, read_state
from stack.status import status_lines

READER_GONE = 141
"""128 + SIGPIPE, as a program says that a closed pipe has ended."""


def main(arguments: list[str] | None = None) -> int:
    """Run one command; gives the exit code."""
    chosen = _parser().parse_args(arguments)
    try:
        settings = read_stack_settings()
        settings.home.require_access()
        return int(chosen.run(settings, chosen) or 0)
    except StackError as error:
        sys.stdout.flush()
        print(f"stack: {as_lines(str(error))}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # What is still held back would be written, and fail again, when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return READER_GONE
    except OSError as error:
        print(f"stack: {as_lines(explain(error))}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def explain(error: OSError) -> str:
    """What the system refused: a file, a folder or a program."""
    where = f"{error.filename}: " if error.filename else ""
    return (
        f"{where}{error.strerror or error}\n"
        "  remedy:   look at its owner and at the space on the disk, or name a folder of your own by STACK_HOME"
    )


def _up(settings: StackSettings, _: argparse.Namespace) -> int:
    state = running(settings.home)
    if state and state.phase == "ready":
        print("the stack runs already")
    elif state and state.phase == "starting":
        follow(settings.home, None, say_ready)
    else:
        _start_or_undo(settings)
    print(*status_lines(settings.home), sep="\n")
    file = shlex.quote(os.path.relpath(settings.home.environment_file))
    print(f"\nlogins: make status · shells: make shell, or source {file} · end it: make down")
    return 0


def _start_or_undo(settings: StackSettings) -> None:
    began = time.monotonic()
    with interruptible():
        try:
            start(settings, say_ready)
        except KeyboardInterrupt:
            with shielded():
                print("\ninterrupted: stopping what was started", flush=True)
                stop(settings.home)
            raise
    print(f"up in {time.monotonic() - began:.1f} s", flush=True)


def _down(settings: StackSettings, _: argparse.Namespace) -> int:
    state = last_state(settings.home)
    alive = state is not None and state.is_alive
    began = time.monotonic()
    orphans = stop(settings.home)
    if alive:
        print(f"down in {time.monotonic() - began:.1f} s")
    elif orphans:
        print(f"no supervisor ran; ended {orphans} processes that it had left behind")
    else:
        print("nothing runs")
    return 0


def _status(settings: StackSettings, _: argparse.Namespace) -> int:
    print(*status_lines(settings.home), sep="\n")
    return 0 if running(settings.home) or read_state(settings.home) is None else 1


def _logs(settings: StackSettings, chosen: argparse.Namespace) -> int:
    there = sorted(log.stem for log in settings.home.logs.glob("*.log"))
    if chosen.service and chosen.service not in there:
        raise StackError(
            f"no log of {chosen.service!r} in {settings.home.logs}; there are: {', '.join(there) or 'none'}"
        )
    if not there:
        raise StackError(f"no logs in {settings.home.logs}: nothing was started yet")
    names = [chosen.service] if chosen.service else there
    follows = ["-F"] if sys.stdout.isatty() else []
    command = ["tail", "-n", "40", *follows, *(str(settings.home.log(name)) for name in names)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, errors="replace") as tail:
        assert tail.stdout is not None  # noqa: S101 - it is a pipe
        for line in tail.stdout:
            print(as_lines(line.rstrip("\n")), flush=True)  # what flows say steers no terminal
    return tail.returncode


def _shell(settings: StackSettings, _: argparse.Namespace) -> int:
    from stack.shell import open_shell

    open_shell(settings.home)


def _demo(settings: StackSettings, chosen: argparse.Namespace) -> int:
    from stack.demo import run_demo

    return run_demo(
        settings, use_cases=_use_cases(chosen.use_case), once=chosen.once or switch("ONCE"), weeks=chosen.weeks
    )


def _use_cases(named: str | None) -> tuple[UseCase, ...]:
    """Those of that name, by the command line or USE_CASE; the first one where none is named, `all` for all."""
    from factory import use_cases

    name = named or os.environ.get("USE_CASE") or use_cases.ALL[0].name
    if name == "all":
        return use_cases.current()
    try:
        return (use_cases.get(name),)
    except KeyError as error:
        raise StackError(f"USE_CASE={name}: {error.args[0]}, or all") from error


def _supervise(settings: StackSettings, chosen: argparse.Namespace) -> int:
    from stack.supervisor import supervise

    owner = ProcessRecord.model_validate_json(chosen.owner) if chosen.owner else None
    code = supervise(settings, owner)
    failed = read_state(settings.home)
    if failed and failed.error:
        print(failed.error)
    return code


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 on")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m stack", description="The embedded stack: real services, one command."
    )
    commands = parser.add_subparsers(required=True, metavar="command")

    def add(name: str, run: object, text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(run=run)
        return command

    add("up", _up, "start every service and leave them running")
    add("down", _down, "end every service, orphans of an earlier run included")
    add("status", _status, "services with state, memory, CPU and address (exit code 1 when it broke down)")
    add("logs", _logs, "the services' logs").add_argument("service", nargs="?", help="one service instead of all")
    demo = add("demo", _demo, "run three weeks of a use case; a stack that runs already is used and left running")
    demo.add_argument("--use-case", metavar="NAME", help="whose weeks, or all (USE_CASE says so too; else products)")
    demo.add_argument(
        "--once", action="store_true", help="stop what was started and exit instead of staying up (ONCE=1 says so too)"
    )
    demo.add_argument(
        "--weeks", type=_count, metavar="N", help="how many weeks to run (default 3, or as the use case says)"
    )
    add("shell", _shell, "a shell in which bridge, prefect, mlflow, airflow and python are those of the stack")
    add("supervise", _supervise, "(internal) own a running stack").add_argument("--owner", default="")
    return parser


if __name__ == "__main__":
    sys.exit(main())
