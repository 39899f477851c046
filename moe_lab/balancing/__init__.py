"""How experts are kept in use: one file per balancer."""
