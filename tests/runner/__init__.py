"""The real Drone runner pulls a private image with the login that ecrmint gave it."""
