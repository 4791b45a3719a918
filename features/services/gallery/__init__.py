"""The gallery: the features of one experiment, filtered and ordered by what a person or program may ask for.

Public names are mapped to ORM expressions here and nowhere else, so no lookup can be smuggled in through a parameter.
The page, the API and the exports take one and the same `GalleryFilter`.
"""

from features.services.gallery.filters import CLOSE_TO, GalleryFilter, refuse_unknown_names
from features.services.gallery.listing import GalleryPage, current_labels, features_of, gallery_page
from features.services.gallery.neighbourhoods import CLOSEST_AT_MOST, Neighbourhood, neighbourhood_of, register
from features.services.gallery.orderings import CLOSEST_FIRST, DEFAULT_ORDERING, ORDERINGS, OrderingName, ordering_for
from features.services.gallery.presets import CONCEPTS_FOUND, PRESETS, Preset

__all__ = [
    "CLOSEST_AT_MOST",
    "CLOSEST_FIRST",
    "CLOSE_TO",
    "CONCEPTS_FOUND",
    "DEFAULT_ORDERING",
    "ORDERINGS",
    "PRESETS",
    "GalleryFilter",
    "GalleryPage",
    "Neighbourhood",
    "OrderingName",
    "Preset",
    "current_labels",
    "features_of",
    "gallery_page",
    "neighbourhood_of",
    "ordering_for",
    "refuse_unknown_names",
    "register",
]
