"""The store: connections, static SQL, locks and publishing."""

from .cache import cache_table, is_cached
from .connection import QueryTimeout, Store, looking, reading, scratch, writing
from .content import content_of
from .detail import error_detail
from .publish import publish

__all__ = ["QueryTimeout", "Store", "cache_table", "content_of", "error_detail", "is_cached", "looking", "publish", "reading", "scratch", "writing"]
