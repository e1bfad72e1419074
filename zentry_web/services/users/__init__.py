"""The parts of UserService: people, and what admins do for them and with them.

directory, notes, bulk, access, views: Admin > Users · closure, erasure, export, personal_data: an account's end and its
owner's data · ssh_keys, saved_views, announcements, frame, waiting: what people keep and see · search: the palette ·
event_export: the trail's way to other systems.
"""
