"""What every room needs: input errors, whole-or-absent files, run folders, settings, the Hub.

Start with `run_folder.py`: how a run owns its folder, and resumes.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
