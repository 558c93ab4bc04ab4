"""Where sandboxes are kept: one module per kind of store, each fulfilling _contract.Store."""
