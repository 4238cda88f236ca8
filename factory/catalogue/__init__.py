"""The catalogue: its tables, how it is opened, read, filled and corrected."""
