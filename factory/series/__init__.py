"""Series of bars: where they come from, and what each tells by those before it."""
