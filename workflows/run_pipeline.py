"""`python workflows/run_pipeline.py`, as its users know it: `python -m flows.songs` with the same options."""

from __future__ import annotations

from flows.songs import main

if __name__ == "__main__":
    main()
