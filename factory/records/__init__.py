"""What was done and seen, row by row: weeks, decisions, measurements, drift checks, predictions."""
