"""Projects, who takes part in them, and how much they may use."""
