"""What it costs to train the five models of songs side by side."""
