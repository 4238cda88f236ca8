"""What models look at, by what rows are made of."""
