"""A layer filtered by times, as its properties dialog does it. Arguments: URL of a service, layer, filter."""

from common import run
from qgis.core import QgsDataSourceUri, QgsVectorLayer


def main(url, name, condition):
    uri = QgsDataSourceUri()
    uri.setParam("url", url)
    uri.setParam("typename", name)
    layer = QgsVectorLayer(uri.uri(False), name, "OAPIF")
    if not layer.isValid() or not layer.setSubsetString(condition):
        return {"error": layer.error().message() or "refused"}
    return {
        "fields": {f.name(): f.typeName() for f in layer.fields()},
        "ids": sorted(f["id"] for f in layer.getFeatures()),
    }


run(main)
