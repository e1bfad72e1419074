"""What a guest says: by its console, its agent, its events, and how it stands still."""
