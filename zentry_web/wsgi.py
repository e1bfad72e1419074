"""What gunicorn serves."""

from zentry_web.app import make_app
from zentry_web.composition import build_container
from zentry_web.config import Config
from zentry_web.logs import configure_logs
from zentry_web.services.service_container import service_container

config = Config()
configure_logs(target=config.log)
app = make_app(config, build_container(config, container=service_container))
