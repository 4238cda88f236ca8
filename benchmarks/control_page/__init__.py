"""What the control page costs Prefect and its viewers, at 10,000 runs of a real Prefect."""
