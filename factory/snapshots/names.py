"""What snapshots call what the tables of products call otherwise.

Snapshots have neutral columns, whatever they are made of; users' own tables keep the names that they have in the world.
Snapshots of products that were cut by earlier versions bear the tables' names: `factory.snapshots.store` reads both.
"""

from __future__ import annotations

from types import MappingProxyType

NEUTRAL = MappingProxyType({"productid": "entity_id", "created_at": "moment", "prdtypecode": "target"})
"""The name in a snapshot by that of the table."""

OF_TABLES = MappingProxyType({neutral: name for name, neutral in NEUTRAL.items()})
"""The name of the table, and of snapshots of before, by that in a snapshot."""
