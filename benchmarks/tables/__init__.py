"""What the candidates for tables are worth, beside the common recipes."""
