"""A project or a layer definition as QGIS opens it. Arguments: the file; for a project, a PNG to draw it into."""

from common import run
from qgis.core import (
    QgsApplication,
    QgsLayerDefinition,
    QgsMapRendererSequentialJob,
    QgsMapSettings,
    QgsProject,
    QgsProjectBadLayerHandler,
)
from qgis.PyQt.QtCore import QSize
from qgis.PyQt.QtGui import QColor


class Bad(QgsProjectBadLayerHandler):
    """Counts the layers that QGIS would ask its user about."""

    count = 0

    def handleBadLayers(self, nodes):
        Bad.count += len(nodes)


def main(path, picture=None):
    said = []
    QgsApplication.messageLog().messageReceived.connect(
        lambda text, tag, level: said.append(f"{tag}: {text}") if level > 0 else None
    )
    project = QgsProject.instance()
    handler = Bad()
    project.setBadLayerHandler(handler)
    if path.endswith(".qlr"):
        ok, error = QgsLayerDefinition.loadLayerDefinition(path, project, project.layerTreeRoot())
    else:
        ok, error = project.read(path), project.error()
    order = project.layerTreeRoot().layerOrder()
    layers = [
        {
            "name": layer.name(),
            "valid": layer.isValid(),
            "crs": layer.crs().authid(),
            "provider": layer.providerType(),
            "features": layer.featureCount(),
            "renderer": layer.renderer().type() if layer.renderer() else None,
            "labels": layer.labelsEnabled(),
            "licences": layer.metadata().licenses(),
            "rights": layer.metadata().rights(),
        }
        for layer in order
    ]
    colours = 0
    if picture:
        settings = QgsMapSettings()
        settings.setLayers(order)
        settings.setDestinationCrs(project.crs())
        settings.setOutputSize(QSize(600, 600))
        settings.setBackgroundColor(QColor("white"))
        settings.setExtent(project.viewSettings().fullExtent())
        job = QgsMapRendererSequentialJob(settings)
        job.start()
        job.waitForFinished()
        image = job.renderedImage()
        image.save(picture)
        colours = len({image.pixel(x, y) for x in range(0, 600, 5) for y in range(0, 600, 5)})
    return {
        "ok": bool(ok),
        "error": error,
        "bad": Bad.count,
        "title": project.title(),
        "crs": project.crs().authid(),
        "groups": [g.name() for g in project.layerTreeRoot().findGroups()],
        "layers": layers,
        "said": said,
        "colours": colours,
    }


run(main)
