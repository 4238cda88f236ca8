"""What both sides of the factory share: contracts, settings, the catalogue, weekly snapshots and their checks."""
