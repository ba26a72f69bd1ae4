"""The protocol, stated and proved without the code: as a searchable specification, by induction, and for spin."""
