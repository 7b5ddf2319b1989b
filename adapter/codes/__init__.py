"""mappings/ and a site's overlay answer: which concepts is this coding?"""

from adapter.codes.lookup import Codes, Meaning, Trace, load_codes
from adapter.codes.systems import short_name, system_of

__all__ = ["Codes", "Meaning", "Trace", "load_codes", "short_name", "system_of"]
