"""Public sources of pictures, and how their files come here."""
