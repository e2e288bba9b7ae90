"""Web sources: pages and sites fetched politely and safely, and kept as documents."""
