"""The command line's frame: the application, its help, and how an error leaves it.

The commands register themselves: `bridge.cli.running` acts on flow runs, `bridge.cli.reading` looks at things.
"""

from __future__ import annotations

import sys

import typer

from bridge.cli import exit_codes, reading, running
from bridge.errors import BridgeError
from bridge.plain_text import as_lines

EPILOGUE = "\n".join(
    [
        "Exit codes:",
        "",
        *(f"- **{code}** {meaning}" for code, meaning in exit_codes.TABLE),
        "",
        "Which Prefect is meant: --api-url, else PREFECT_API_URL, prefect.toml or the active Prefect profile.",
    ]
)

app = typer.Typer(
    name="bridge",
    help="Run Prefect deployments: started once, followed to the end, with exit codes that scripts can trust.",
    epilog=EPILOGUE,
    rich_markup_mode="markdown",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
running.register(app)
reading.register(app)


def main() -> None:
    """Entry point: runs a command; an error of the bridge's becomes one message and an exit code."""
    try:
        app()
    except BridgeError as error:
        typer.echo(f"bridge: {as_lines(str(error))}", err=True)
        sys.exit(exit_codes.code_for(error))
