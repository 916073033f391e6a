"""The recorded tier: authored recordings, and exchanges kept verbatim."""
