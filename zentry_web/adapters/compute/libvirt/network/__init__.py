"""The machines' network on this host: made when first needed, a MAC address per address, a filter per machine."""
