"""Images on this host: fetched, looked at, converted, kept."""
