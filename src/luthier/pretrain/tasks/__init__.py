"""Multiple-choice tasks for small base models, a file each, written by hand for this product.

LANGUAGE, TITLE and TITLE_ZH for people, and ITEMS: (beginning, right, wrong, …), strings all of them. An item has one
right choice, the first; a model never sees an order. Choices go on where the beginning ends, behind a space in English.
"""
