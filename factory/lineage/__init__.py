"""What every step read and wrote, told as OpenLineage events: names, events, and how they are sent."""
