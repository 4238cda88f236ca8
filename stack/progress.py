"""The line that a person sees as each service becomes ready."""

from __future__ import annotations

from stack.state import ServiceState


def say_ready(name: str, service: ServiceState) -> None:
    """One line for a service that became ready, or a step that is done."""
    print(ready_line(name, service), flush=True)


def ready_line(name: str, service: ServiceState) -> str:
    """Phase, name, seconds from its own start, and its address if it has one."""
    return f"  {service.phase:<6}{name:<24}{service.seconds or 0:>6.1f} s  {service.address or ''}".rstrip()
