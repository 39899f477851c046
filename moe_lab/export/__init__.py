"""Doors to the tools that people have: a file here is a form that runs are exported to."""
