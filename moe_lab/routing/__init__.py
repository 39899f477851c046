"""How tokens pick experts: one file per router."""
