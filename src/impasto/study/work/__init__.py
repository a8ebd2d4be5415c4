"""The units of work of a study: one repaint, features of a few pictures, one cell; each is done once and kept."""
