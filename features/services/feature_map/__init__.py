"""The map of all features: made once by a worker, looked at, and selected from by drawing on it."""

from features.services.feature_map.making import find_map, map_of, maps_of, request_map
from features.services.feature_map.selection import Selection, within

__all__ = ["Selection", "find_map", "map_of", "maps_of", "request_map", "within"]
