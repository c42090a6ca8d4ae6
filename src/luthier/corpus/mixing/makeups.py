"""What known models were pre-trained on, by source, as their papers say: shares in percent of the training mix."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class MakeUp:
    """model: as it is called. source: where that is written. shares: percent by kind of text, not always all of it."""

    model: str
    source: str
    shares: dict[str, float]


PUBLISHED = (
    MakeUp("GPT-3", "Brown et al. 2020, table 2.2",
           {"web (Common Crawl, filtered)": 60, "WebText2": 22, "books": 16, "Wikipedia": 3}),
    MakeUp("LLaMA", "Touvron et al. 2023, table 1",
           {"web (CommonCrawl)": 67, "web (C4)": 15, "code (GitHub)": 4.5, "Wikipedia": 4.5, "books": 4.5,
            "papers (ArXiv)": 2.5, "Stack Exchange": 2}),
    MakeUp("The Pile", "Gao et al. 2020, table 1",
           {"web (Pile-CC)": 18.11, "papers (PubMed Central)": 14.40, "books (Books3)": 12.07,
            "web (OpenWebText2)": 10.01, "papers (ArXiv)": 8.96, "code (GitHub)": 7.59, "law (FreeLaw)": 6.12,
            "Stack Exchange": 5.13}),
)  # fmt: skip
