"""Maps of a collection: where pictures lie beside each other for a network.

>>> from pathlib import Path
>>> from impasto.embed import EmbedConfig, embed
>>> found = embed(EmbedConfig(Path("paintings")), Path("map"))                 # doctest: +SKIP
>>> found.quality                                                              # doctest: +SKIP
MapQuality(purity=0.84, trustworthiness=0.97, continuity=0.96)
>>> [item.sample.path.name for item in found.nearest_to(0, k=3)]               # doctest: +SKIP
['barque.jpg', 'harbour.jpg', 'storm.jpg']
"""

from impasto.embed.config import EmbedConfig
from impasto.embed.embedding import embed, map_features, nearest_pictures
from impasto.embed.neighbours import nearest
from impasto.embed.quality import MapQuality, Mixed
from impasto.embed.result import CollectionMap, Facts, Neighbour, read_map
from impasto.embed.suspects import Suspect, judge_labels
from impasto.embed.twins import Twin

__all__ = [
    "CollectionMap",
    "EmbedConfig",
    "Facts",
    "MapQuality",
    "Mixed",
    "Neighbour",
    "Suspect",
    "Twin",
    "embed",
    "judge_labels",
    "map_features",
    "nearest",
    "nearest_pictures",
    "read_map",
]
