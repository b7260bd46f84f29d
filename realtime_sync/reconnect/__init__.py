"""Going on over a new connection when one is lost. Imports the core; the core imports nothing of it."""
