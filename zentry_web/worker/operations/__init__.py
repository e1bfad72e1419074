"""Doing operations: every call of the hypervisor happens here, outside any transaction, and may be repeated.

``runner`` claims an operation and ends it; ``kinds`` says what is done for each kind, a module per family of them;
``context`` is what they are given to do it with.
"""

from zentry_web.worker.operations.runner import OperationRunner

__all__ = ["OperationRunner"]
