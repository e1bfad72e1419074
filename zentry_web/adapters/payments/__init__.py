"""Payment providers: the protocol, Stripe, and a built-in one for tests and demos."""
