"""The providers' wire formats, and the facts that both sides of the wire need."""
