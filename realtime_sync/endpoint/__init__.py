"""Where and how to connect: addresses, credentials, environment variables, retries."""
