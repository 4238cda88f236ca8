"""The kinds of task over a table's entities, one module a kind beside what they share; none knows another."""
