"""What is measured of each kind of task, one module a kind; none knows another."""
