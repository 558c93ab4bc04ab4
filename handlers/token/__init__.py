"""Tokens: minted by the house's own issuer, believed by the broker, short-lived."""
