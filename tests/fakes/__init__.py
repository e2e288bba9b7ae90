"""Stand-ins for what we do not own: real servers on the loopback that speak a vendor's wire format."""
