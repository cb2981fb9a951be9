//! MapServer and QGIS Server over the demo, where they are installed: their CGI, run for each request
//! of a server of our own.

use super::demo;
use crate::support::{
    finish, has, said,
    upstream::{Asked, Reply, Upstream},
};
use std::{
    path::Path,
    process::{Command, Output},
};

/// Where Debian puts QGIS Server.
const QGIS: &str = "/usr/lib/cgi-bin/qgis_mapserv.fcgi";

/// Lines of a layer's metadata that leave GeoJSON alone.
pub const GEOJSON: &str = "\"wfs_getfeature_formatlist\" \"geojson\"";

/// A line that makes MapServer give, and count, 1,500 features at most.
pub const LIMIT: &str = "\"wfs_maxfeatures\" \"1500\"";

/// MapServer; `limit` is a line of its service's metadata, `metadata` more lines of its layer's.
pub fn mapserver(folder: &Path, limit: &str, metadata: &str) -> Option<Upstream> {
    if !has("mapserv") {
        return None;
    }
    let (file, _) = demo();
    let map = folder.join("demo.map");
    let text = format!(
        "MAP
  NAME \"demo\"
  EXTENT 1 48 5 52
  PROJECTION \"init=epsg:4326\" END
  WEB METADATA
    \"wfs_title\" \"demo\"
    \"wfs_onlineresource\" \"http://127.0.0.1/wfs\"
    \"wfs_srs\" \"EPSG:4326 EPSG:2154\"
    \"wfs_enable_request\" \"*\"
    {limit}
  END END
  OUTPUTFORMAT
    NAME \"geojson\"
    DRIVER \"OGR/GEOJSON\"
    MIMETYPE \"application/json; subtype=geojson\"
    FORMATOPTION \"STORAGE=memory\"
    FORMATOPTION \"FORM=simple\"
    FORMATOPTION \"LCO:WRITE_BBOX=NO\"
    FORMATOPTION \"LCO:COORDINATE_PRECISION=9\"
  END
  LAYER
    NAME \"communes\"
    TYPE POLYGON
    STATUS ON
    CONNECTIONTYPE OGR
    CONNECTION \"{}\"
    DATA \"communes\"
    PROJECTION \"init=epsg:4326\" END
    METADATA
      \"wfs_title\" \"communes\"
      \"wfs_featureid\" \"code\"
      \"gml_featureid\" \"code\"
      \"gml_include_items\" \"all\"
      \"gml_types\" \"auto\"
      {metadata}
    END
  END
END
",
        file.display()
    );
    std::fs::write(&map, text).unwrap();
    let settings = folder.join("mapserver.conf");
    std::fs::write(&settings, "CONFIG\n  ENV\n    MS_MAP_PATTERN \".\"\n  END\nEND\n").unwrap();
    Some(Upstream::start(move |asked: &Asked| {
        let mut mapserv = Command::new("mapserv");
        mapserv.env("MS_MAPFILE", &map).env("MAPSERVER_CONFIG_FILE", &settings);
        reply(&run(&mut mapserv, asked))
    }))
}

/// QGIS Server, with a project that PyQGIS makes.
pub fn qgis_server(folder: &Path) -> Option<Upstream> {
    const PROJECT: &str = "
import sys
from qgis.core import QgsApplication, QgsCoordinateReferenceSystem, QgsProject, QgsVectorLayer
app = QgsApplication([], False)
app.initQgis()
source, target = sys.argv[1:]
project = QgsProject.instance()
project.setCrs(QgsCoordinateReferenceSystem('EPSG:4326'))
layer = QgsVectorLayer(source, 'communes', 'ogr')
assert layer.isValid()
project.addMapLayer(layer)
project.writeEntry('WFSLayers', '/', [layer.id()])
project.writeEntry('WFSLayersPrecision', '/' + layer.id(), 8)
project.writeEntry('WMSCrsList', '/', ['EPSG:4326', 'EPSG:2154'])
assert project.write(target)
";
    if !has(QGIS) || !has("/usr/bin/python3") {
        return None;
    }
    let (file, _) = demo();
    let project = folder.join("demo.qgs");
    let mut make = Command::new("/usr/bin/python3");
    make.args(["-c", PROJECT]).arg(&file).arg(&project).env("QT_QPA_PLATFORM", "offscreen");
    let made = finish(&mut make);
    if !made.status.success() {
        println!("skipped: PyQGIS makes no project: {}", said(&made));
        return None;
    }
    Some(Upstream::start(move |asked: &Asked| {
        let mut server = Command::new(QGIS);
        server.env("QGIS_PROJECT_FILE", &project).env("QT_QPA_PLATFORM", "offscreen");
        reply(&run(&mut server, asked))
    }))
}

fn run(program: &mut Command, asked: &Asked) -> Output {
    let pairs: Vec<String> =
        asked.query.iter().map(|(n, v)| format!("{n}={}", encode(v))).collect();
    finish(program.env("REQUEST_METHOD", "GET").env("QUERY_STRING", pairs.join("&")))
}

fn reply(output: &Output) -> Reply {
    let ends = [&b"\r\n\r\n"[..], b"\n\n"];
    let after = |end: &&[u8]| {
        let at = output.stdout.windows(end.len()).position(|w| w == *end)?;
        Some(&output.stdout[at + end.len()..])
    };
    let body = ends.iter().find_map(after).unwrap_or_default();
    let xml = body.starts_with(b"<");
    Reply::Ok(if xml { "text/xml" } else { "application/json" }, body.to_vec())
}

fn encode(text: &str) -> String {
    text.bytes()
        .map(|b| {
            if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") }
        })
        .collect()
}
