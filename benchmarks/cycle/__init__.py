"""What the orchestrators add to a week of work."""
