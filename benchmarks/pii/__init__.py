"""A labelled corpus of columns for the detection of personal data, and how a detector does on it.

`tuning` may be looked at while the detector is worked on. `heldout` has other locales, names and formats; its hash
stands in `heldout.sha256`, and every evaluation on it is added to `evaluations.jsonl`. Nothing here imports the
detector's lists or patterns, and the detector imports nothing from here.
"""
