"""Frozen test sets: what is held out, which there are, how they are compared with the catalogue and frozen anew."""
