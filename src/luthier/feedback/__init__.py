"""Preferences collected from people, and from models that stand in for them.

    prompts or answers -> questions -> assignments -> labels -> rows
                 project      |        assigning     labelling   export, agreement
                              sampling (answers that models write)

A *question* is a prompt with two to nine answers. It is *shared* (every annotator gets it) or goes to one annotator. An
*assignment* is a question that an annotator has open. A *label* is what one annotator said of one question: a skip is
one, too. Nothing that was said is ever deleted: undo withdraws a label, and the next one stands beside it.

A project is a folder with one SQLite database (`store`). Whoever works on it, a server (`server`), a judging model
(`judging`) or an export, does so through that file alone, so several may at once.

What a label may be, how it is turned between the order that was shown and the question's own, and which rows it becomes
is one class a kind (`kinds`).
"""
