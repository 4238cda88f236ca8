"""Pure parts of the flows: models, decisions and drift. No disk, no network, no orchestrator, no registry."""
