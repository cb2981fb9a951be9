"""WFS layers as QGIS adds them. Arguments: URL of the WFS, layer, version, CRS, west, south, east, north."""

from common import run
from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsFeatureRequest,
    QgsProject,
    QgsRectangle,
    QgsVectorLayer,
)


def main(url, name, version, crs, *box):
    uri = (
        f"pagingEnabled='true' restrictToRequestBBOX='1' srsname='{crs}' "
        f"typename='{name}' url='{url}' version='{version}'"
    )

    def layer():
        # A provider of its own: another one's cache must not answer for the server.
        return QgsVectorLayer(uri, name, "WFS")

    whole = layer()
    if not whole.isValid():
        return {"error": whole.error().message() or "invalid layer"}
    degrees = QgsCoordinateReferenceSystem("EPSG:4326")
    transform = QgsCoordinateTransform(degrees, whole.crs(), QgsProject.instance())
    extent = transform.transformBoundingBox(QgsRectangle(*(float(n) for n in box)))
    back = QgsCoordinateTransform(whole.crs(), degrees, QgsProject.instance())
    codes, empty, lille = [], 0, None
    for feature in whole.getFeatures():
        codes.append(feature["code"])
        empty += feature.geometry().isEmpty()
        if feature["code"] == "59350":
            at = back.transform(feature.geometry().centroid().asPoint())
            lille = [round(at.x(), 2), round(at.y(), 2)]
    inside = layer().getFeatures(QgsFeatureRequest().setFilterRect(extent))
    filtered = layer()
    filtered.setSubsetString("population > 50000")
    return {
        "count": whole.featureCount(),
        "fields": {f.name(): f.typeName() for f in whole.fields()},
        "geometry": whole.geometryType(),
        "crs": whole.crs().authid(),
        "features": len(codes),
        "distinct": len(set(codes)),
        "empty": empty,
        "lille": lille,
        "inside": sorted(f["code"] for f in inside),
        "filtered": sorted(f["nom"] for f in filtered.getFeatures()),
    }


run(main)
