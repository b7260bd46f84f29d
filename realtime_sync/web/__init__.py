"""For web applications: background sessions, server-sent events, speech while it is made, HTTP errors, webhooks."""
