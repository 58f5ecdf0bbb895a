"""Services: vectorised functions that feature queries call by name; built in, or declared in resources/*.py."""

from .base import Answers, Service
from .calls import BadCall, UnboundCall, service_calls
from .desk import COSTS, Desk
from .load import BadDeclaration, Services, load_services

__all__ = ["Answers", "BadCall", "BadDeclaration", "COSTS", "Desk", "Service", "Services", "UnboundCall", "load_services", "service_calls"]
