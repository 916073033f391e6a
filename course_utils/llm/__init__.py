"""What the course builds: a client for four providers, and what makes it reliable and cheap."""
