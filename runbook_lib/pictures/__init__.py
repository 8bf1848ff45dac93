"""Pictures for notebooks: drawn from what is there now, in one style, and saved with words that say the same.

``picture`` is what a notebook keeps, ``drawing`` the style, ``now`` what is asked before anything is drawn; every other
module is a kind of picture.
"""
