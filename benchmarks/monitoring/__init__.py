"""Does the monitoring find drift, does it stay silent without, and what does a look at a million predictions cost?"""
