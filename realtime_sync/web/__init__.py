"""For web applications: background sessions, server-sent events, HTTP errors, webhooks."""
