"""The spaCy components: `entlink_mentions` finds mentions, `entlink` links them.

Importing this package registers both factories and the functions that their configs name; spaCy
does so by itself, through the entry points of this distribution.
"""

from entlink.component.factories import make_entlink, make_entlink_mentions
from entlink.component.fine_tuning import FineTuning
from entlink.component.linking import EntlinkComponent
from entlink.component.mentions import MentionsComponent
from entlink.component.results import UNLABELLED, set_extensions

__all__ = [
    "UNLABELLED",
    "EntlinkComponent",
    "FineTuning",
    "MentionsComponent",
    "make_entlink",
    "make_entlink_mentions",
    "set_extensions",
]
