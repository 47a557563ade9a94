"""Messages about backup jobs, by webhook and e-mail: what they say, and how they are delivered."""

from neurolake.notification.message import Message
from neurolake.notification.notifier import Delivery, Notifier

__all__ = ["Delivery", "Message", "Notifier"]
