"""The routes of the control page: each reads, checks who asks, and hands view models to a template."""
