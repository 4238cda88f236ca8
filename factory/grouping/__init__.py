"""Which products are one: keys of texts and groups, near duplicates, and the groups that they join."""
