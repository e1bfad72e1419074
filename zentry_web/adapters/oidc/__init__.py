"""OpenID providers: base.py has the protocol, authlib_provider.py the real one."""
