"""Markov chains of several domains: how their laws are drawn, and what can be inferred from a sequence."""
