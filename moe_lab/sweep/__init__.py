"""Many runs from one command: a grid of settings, each at every seed."""
