"""Every business decision, and the only writers of the business database.

At this root the ground (service_container, base_service, errors) and six faces: auth_service, user_service,
project_service, vm_service, billing_service, monitoring_service. Each folder has the parts of one face, which nobody
else imports; shared has what two or more of them use.
"""
