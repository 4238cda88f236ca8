"""Where files lie, and which addresses may be named."""
