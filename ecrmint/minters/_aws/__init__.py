"""AWS: clients and identity, roles and what narrows them, for every kind of registry there."""
