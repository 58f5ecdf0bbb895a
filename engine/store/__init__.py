"""The store: connections, static SQL, locks and publishing."""

from .connection import QueryTimeout, Store, looking, reading, writing
from .publish import publish

__all__ = ["QueryTimeout", "Store", "looking", "publish", "reading", "writing"]
