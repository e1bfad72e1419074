"""The parts of AuthService: who somebody is, and how they show it.

basis: what most of them are given · accounts, signup_rules, email_verification, email_change: an account and its
address · passwords, password_strength, own_password, one_time_links: passwords and mailed links · password_login,
factors, passkeys, passkey_ceremony, pending_logins, oidc_sign_in, captcha_gate: signing in · sessions, api_tokens,
proofs: what a signed-in browser or a program shows.
"""
