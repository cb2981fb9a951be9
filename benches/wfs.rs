//! WFS beside MapServer (FastCGI, behind nginx) over the same table of the same PostGIS: GetFeature
//! of 1,000 and of 30,000 communes as GML 3.2 and as GeoJSON, over HTTP, one client, nothing
//! compressed. Socle over its files and over PostGIS. Times are the best of a few runs, each to
//! the last byte; what both send differs by decimals alone (MapServer's GML has six, ours nine).

use crate::{
    client::{Client, Server, free_port},
    peers,
    postgis::{self, postgres},
    report::Report,
    site::{Site, best_within},
};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Where Debian puts MapServer.
const MAPSERV: &str = "/usr/lib/cgi-bin/mapserv";
const SIZES: [usize; 2] = [1_000, 30_000];
const FORMATS: [(&str, &str); 2] =
    [("gml", "application/gml%2Bxml;%20version=3.2"), ("geojson", "application/json")];

/// Measures.
pub fn run(site: &Site, report: &mut Report) {
    let Some(server) = postgres::shared() else {
        return report.left_out("wfs", "PostgreSQL with PostGIS is not installed");
    };
    for program in [MAPSERV, "nginx", "spawn-fcgi"] {
        let found = Command::new("sh").args(["-c", &format!("command -v {program}")]).output();
        if !found.is_ok_and(|found| found.status.success()) {
            let why = format!("{program} is not installed");
            return report.left_out("wfs-over-mapserver", &why);
        }
    }
    let (url, _) = postgis::database(site, server);
    site.socle_with("postgis.toml", &["harvest"]);
    let database = url.rsplit('/').next().expect("a name").to_owned();
    peers::publish(site, server, &database);
    let peer = MapServer::start(site, server, &database);
    let ours = |settings: &str| {
        Server::start(site.command(settings, &["serve", "--listen", "127.0.0.1:0"]))
    };
    let stores = [("files", ours("socle.toml")), ("postgis", ours("postgis.toml"))];
    for (name, format) in FORMATS {
        for size in SIZES.map(|size| size.min(site.count as usize)) {
            let theirs = ask(&peer.front.address, "/?map=COMMUNES&", "communes", format, size);
            for (store, socle) in &stores {
                let ours = ask(&socle.address, "/wfs?", "socle:communes", format, size);
                report.row(
                    &format!("wfs-{name}-{size}-{store}-over-mapserver"),
                    theirs / ours,
                    Some(">= 2"),
                    ours,
                    theirs,
                    "ms",
                );
            }
        }
    }
}

/// Milliseconds of a page.
fn ask(address: &str, root: &str, layer: &str, format: &str, size: usize) -> f64 {
    let request = format!(
        "GET {root}service=WFS&version=2.0.0&request=GetFeature&typeNames={layer}&count={size}&srsName=urn:ogc:def:crs:EPSG::4326&outputFormat={format} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    );
    let mut client = Client::new(address);
    let mut once = || {
        let answer = client.ask(request.as_bytes());
        assert_eq!(answer.status(), 200, "{request}: {}", answer.head);
        assert!(answer.body > size * 300, "{request}: {} bytes", answer.body);
        answer.body
    };
    println!("  {} bytes from {address}: {size} as {format}", once());
    best_within(7, 6.0, || {
        once();
    }) * 1e3
}

/// MapServer with one process, its connection kept, and nginx before it.
struct MapServer {
    front: Server,
    _back: Server,
}

impl MapServer {
    fn start(site: &Site, server: &postgres::Postgres, database: &str) -> Self {
        let dir = site.path("mapserver");
        fs::create_dir_all(&dir).expect("a folder");
        let write = |name: &str, text: String| -> PathBuf {
            let path = dir.join(name);
            fs::write(&path, text).expect("a file");
            path
        };
        let map = write("communes.map", map(server, database));
        let config = write(
            "mapserver.conf",
            format!(
                "CONFIG\n ENV\n  MS_MAP_PATTERN \".*\"\n END\n MAPS\n  COMMUNES \"{}\"\n END\nEND\n",
                map.display()
            ),
        );
        let back = free_port();
        let mut command = Command::new("spawn-fcgi");
        command.args(["-n", "-a", "127.0.0.1", "-p", &back.to_string(), "--", MAPSERV]);
        command.env("MAPSERVER_CONFIG_FILE", &config);
        let back_server = Server::start_at(command, back).expect("MapServer starts");
        let front = free_port();
        let conf = write("nginx.conf", nginx(&dir, &config, back, front));
        let mut command = Command::new("nginx");
        command.arg("-c").arg(conf).arg("-e").arg(dir.join("error.log"));
        let front = Server::start_at(command, front).expect("nginx starts");
        Self { front, _back: back_server }
    }
}

fn map(server: &postgres::Postgres, database: &str) -> String {
    let (port, user) = (server.port, postgres::USER);
    format!(
        r#"MAP
  NAME communes
  EXTENT -180 -90 180 90
  SIZE 100 100
  PROJECTION "epsg:4326" END
  WEB METADATA
    "ows_title" "communes" "ows_onlineresource" "http://127.0.0.1/?map=COMMUNES&"
    "ows_enable_request" "*" "ows_srs" "EPSG:4326"
  END END
  OUTPUTFORMAT
    NAME "geojson" DRIVER "OGR/GEOJSON" MIMETYPE "application/json"
    FORMATOPTION "STORAGE=stream" FORMATOPTION "FORM=SIMPLE"
  END
  LAYER
    NAME communes TYPE POLYGON STATUS ON
    CONNECTIONTYPE POSTGIS
    CONNECTION "host=127.0.0.1 port={port} user={user} dbname={database}"
    PROCESSING "CLOSE_CONNECTION=DEFER"
    DATA "geom FROM public.communes USING UNIQUE gid USING SRID=4326"
    PROJECTION "epsg:4326" END
    METADATA
      "ows_title" "communes" "gml_include_items" "all" "gml_featureid" "gid"
      "wfs_getfeature_formatlist" "geojson"
    END
  END
END
"#
    )
}

fn nginx(dir: &Path, config: &Path, back: u16, front: u16) -> String {
    let (dir, config) = (dir.display(), config.display());
    format!(
        "daemon off; worker_processes 1; pid {dir}/nginx.pid; events {{}}
         http {{
           access_log off; keepalive_requests 100000;
           client_body_temp_path {dir}/body; fastcgi_temp_path {dir}/fastcgi; proxy_temp_path {dir}/proxy;
           uwsgi_temp_path {dir}/uwsgi; scgi_temp_path {dir}/scgi;
           upstream mapserver {{ server 127.0.0.1:{back}; keepalive 1; }}
           server {{ listen 127.0.0.1:{front}; location / {{
             fastcgi_pass mapserver; fastcgi_keep_conn on; fastcgi_buffering off; fastcgi_read_timeout 300;
             fastcgi_param MAPSERVER_CONFIG_FILE {config};
             fastcgi_param QUERY_STRING $query_string; fastcgi_param REQUEST_METHOD $request_method;
             fastcgi_param SCRIPT_NAME /; fastcgi_param SERVER_NAME 127.0.0.1; fastcgi_param SERVER_PORT {front};
           }} }}
         }}\n"
    )
}
