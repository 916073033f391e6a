"""What people look at: the tier line, the meter and the wire view."""
