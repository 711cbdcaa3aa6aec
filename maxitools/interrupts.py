"""
Lets an interrupt end a command without a traceback until the command can answer it.

Imported by the commands before anything else; where they are modules of another program, it does
nothing.
"""

import os
import signal
import sys

_COMMANDS = "maximask", "maxitrack", "maxireport"

_name = os.path.basename(getattr(sys.modules.get("__main__"), "__file__", None) or "")
if _name.removesuffix(".py") in _COMMANDS:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
