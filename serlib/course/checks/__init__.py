"""What each exercise's answer is held against: `foundation_1` to `chapter_5`, of each the exercises that have a check.

A check takes the answer and returns what is off, or None. It must not hold the answer: it asks for properties, builds
inputs of which the outcome is known, compares with what the library computes another way, or keeps a digest (`seal`).
"""
