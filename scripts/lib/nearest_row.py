"""The baseline that a model has to beat: answer with what stands beside the most similar training row."""

import re

# The edit distance is slow, so it is computed for so many rows that share the most words.
CANDIDATES = 50


def words(text):
    """Returns the words and the punctuation marks of a text."""
    return re.findall(r"\w+|[^\w\s]", text)


def edit_distance(left, right):
    """Returns how many words must be inserted, removed or replaced."""
    previous = list(range(len(right) + 1))
    for row, a in enumerate(left, 1):
        current = [row]
        for column, b in enumerate(right, 1):
            current.append(min(previous[column] + 1, current[-1] + 1, previous[column - 1] + (a != b)))
        previous = current
    return previous[-1]


def exact_match(train, heldout):
    """Returns the baseline's exact match on (prompt, response) pairs: by word overlap, by edit distance.

    Word overlap is the Jaccard similarity of the two sets of words.
    """
    known = [(words(prompt), set(words(prompt)), response) for prompt, response in train]
    by_overlap = by_edits = 0
    for prompt, response in heldout:
        sequence = words(prompt)
        asked = set(sequence)
        ranked = sorted(known, key=lambda row: -len(asked & row[1]) / len(asked | row[1]))[:CANDIDATES]
        by_overlap += ranked[0][2] == response
        by_edits += min(ranked, key=lambda row: edit_distance(sequence, row[0]))[2] == response
    return by_overlap / len(heldout), by_edits / len(heldout)
