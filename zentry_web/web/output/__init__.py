"""What goes out: pages, files, charts, words for events, headers, addresses."""
