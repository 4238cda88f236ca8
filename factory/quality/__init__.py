"""Whether a week may be trained on: checks, their findings, the report and the verdict."""
