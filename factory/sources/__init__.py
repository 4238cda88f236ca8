"""Where products come from: files, the sample, a simulation."""
