"""OGC API layers as QGIS adds them by address. Arguments: URL of a service, layer, west, south, east, north."""

from common import run
from qgis.core import QgsDataSourceUri, QgsFeatureRequest, QgsRectangle, QgsVectorLayer


def main(url, name, *box):
    # What "Add WFS / OGC API - Features Layer" writes.
    uri = QgsDataSourceUri()
    uri.setParam("url", url)
    uri.setParam("typename", name)
    uri.setParam("restrictToRequestBBOX", "1")
    layer = QgsVectorLayer(uri.uri(False), name, "OAPIF")
    if not layer.isValid():
        return {"error": layer.error().message() or "invalid layer"}
    extent = QgsRectangle(*(float(n) for n in box))
    # A provider of its own: the first one's cache must not answer for the server.
    apart = QgsVectorLayer(uri.uri(False), name, "OAPIF")
    inside = [f["code"] for f in apart.getFeatures(QgsFeatureRequest().setFilterRect(extent))]
    codes, empty, named = [], 0, {}
    for feature in layer.getFeatures():
        codes.append(feature["code"])
        empty += feature.geometry().isEmpty()
        named[feature["code"]] = feature["nom"]
    return {
        "count": layer.featureCount(),
        "fields": {f.name(): f.typeName() for f in layer.fields()},
        "geometry": layer.geometryType(),
        "crs": layer.crs().authid(),
        "features": len(codes),
        "distinct": len(set(codes)),
        "departements": sorted({c[:2] for c in codes}),
        "empty": empty,
        "lille": named.get("59350"),
        "inside": sorted(inside),
    }


run(main)
