"""Text from outside, brought into a folder that `corpus read` reads.

    web:  addresses --normalised--> frontier --robots.txt, delay--> request --> WARC record --> done
                                       ^-------------- links of the page --------------'
    code: repositories at HEAD --language, licence, left out--> JSON Lines

- `addresses`: one spelling an address; which of them belong to a site.
- `requesting`: one request, streamed, with an end to its time and size, to public networks only.
- `robots`: robots.txt of a host, kept for a day. `links`: what a page links to, and what it asks of robots.
- `warc`: records appended to files. `state`: frontier and outcomes in SQLite; it says how far a WARC file is valid.
- `visiting`: what becomes of one page. `crawl`: the loop, one request at a time a host. `web`: the command.
- `repositories`: Git objects without a working tree. `programming`, `licences`: what a file is. `code`: the command.
"""
