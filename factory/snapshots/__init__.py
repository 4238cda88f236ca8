"""A week as an immutable snapshot: which rows it holds, and the files that they lie in."""
