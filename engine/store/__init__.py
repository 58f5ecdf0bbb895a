"""The store: connections, static SQL, locks and publishing."""

from .connection import QueryTimeout, Store, looking, reading, scratch, writing
from .detail import error_detail
from .publish import publish

__all__ = ["QueryTimeout", "Store", "error_detail", "looking", "publish", "reading", "scratch", "writing"]
