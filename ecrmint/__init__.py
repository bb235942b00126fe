"""ecrmint: a Drone CI registry extension that mints short-lived docker logins from IAM roles."""

__version__ = "0.1.0"
