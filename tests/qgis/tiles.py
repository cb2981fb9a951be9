"""A vector tile layer with its served style, drawn to a picture.

Arguments: tile template, style URL, max zoom, PNG to write."""

import urllib.request

import json
from common import run
from qgis.core import (
    QgsMapBoxGlStyleConversionContext,
    QgsMapBoxGlStyleConverter,
    QgsMapRendererSequentialJob,
    QgsMapSettings,
    QgsRectangle,
    QgsVectorTileLayer,
)
from qgis.PyQt.QtCore import QSize
from qgis.PyQt.QtGui import QColor, QImage


def main(template, style, max_zoom, png):
    layer = QgsVectorTileLayer(f"type=xyz&url={template}&zmin=0&zmax={max_zoom}", "communes")
    if not layer.isValid():
        return {"error": "invalid layer"}
    with urllib.request.urlopen(style) as answer:
        document = json.load(answer)
    converter = QgsMapBoxGlStyleConverter()
    context = QgsMapBoxGlStyleConversionContext()
    if "sprite" in document:
        # As QGIS does when a style is given by address.
        sprite = document["sprite"]
        with urllib.request.urlopen(f"{sprite}@2x.json") as answer:
            index = json.load(answer)
        with urllib.request.urlopen(f"{sprite}@2x.png") as answer:
            picture = QImage.fromData(answer.read())
        context.setSprites(picture, index)
    converted = converter.convert(document, context)
    layer.setRenderer(converter.renderer())
    if converter.labeling():
        layer.setLabeling(converter.labeling())
    settings = QgsMapSettings()
    settings.setLayers([layer])
    settings.setDestinationCrs(layer.crs())
    settings.setOutputSize(QSize(480, 480))
    settings.setBackgroundColor(QColor("#ffffff"))
    # Hauts-de-France in Web Mercator metres.
    settings.setExtent(QgsRectangle(150_000, 6_250_000, 480_000, 6_640_000))
    job = QgsMapRendererSequentialJob(settings)
    job.start()
    job.waitForFinished()
    image = job.renderedImage()
    image.save(png)
    white = QColor("#ffffff").rgb()
    background = next((l["paint"]["background-color"] for l in document["layers"] if l["type"] == "background"), None)
    ground = QColor(background).rgb() if background else white
    pixels = [image.pixel(x, y) for y in range(image.height()) for x in range(image.width())]
    return {
        "converted": converted == QgsMapBoxGlStyleConverter.Success,
        "warnings": list(converter.warnings()),
        "errors": converter.errorMessage(),
        "sources": {k: v.get("tiles") or v.get("url") for k, v in document["sources"].items()},
        "colours": len(set(pixels)),
        "drawn": sum(1 for p in pixels if p not in (white, ground)),
        "crs": layer.crs().authid(),
    }


run(main)
