"""What two or more of the services use, and nothing that belongs to one.

access: who may · fields, labels, paging, finding: what comes in, how lists go on · request_keys: sent twice, done
once · settings, setting_values, second_admin: what admins set, and what takes two of them · notices, mail_choices,
mail_queue: telling people · event_log, account_rows: reading the trail and the people in it · rate_limits,
rate_rules: how often · secret_box, service_tokens: secrets at rest and between services · one_by_one, rounds, storage:
doing much without one stopping the rest.
"""
