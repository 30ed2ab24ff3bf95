"""Every figure that README and docs state: what makes it, what it is of, and whether it is still true."""
