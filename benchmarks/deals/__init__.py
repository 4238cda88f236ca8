"""What a forecast of opportunities is worth, by time and in folds."""
