"""What waiting for many flow runs costs: by the bridge, by polling each run, and by Prefect's own waiting."""
