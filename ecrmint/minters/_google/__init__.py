"""Google: identities from every source, and access tokens of them."""
