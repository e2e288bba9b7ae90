"""Who asks and what they may do: `Principal` and `Scope`, and the few places where a principal is made."""
