"""What to say of a run (`message`, pure) and how to send it (`discord`)."""
