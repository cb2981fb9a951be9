"""A GeoPackage opened as any file is. Argument: the file."""

import os
from common import run
from qgis.core import QgsVectorLayer


def main(path):
    layer = QgsVectorLayer(path, "version", "ogr")
    if not layer.isValid():
        return {"error": "invalid layer"}
    features = sum(1 for feature in layer.getFeatures() if feature.hasGeometry())
    return {
        "uid": os.getuid(),
        "sublayers": len(layer.dataProvider().subLayers()),
        "count": layer.featureCount(),
        "features": features,
        "beside": sorted(os.listdir(os.path.dirname(path))),
    }


run(main)
