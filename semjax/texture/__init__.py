"""texture."""
