"""The embedded stack: every real service on loopback, from one command. Run it as `python -m stack`."""
